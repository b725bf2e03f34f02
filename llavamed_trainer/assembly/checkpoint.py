"""Checkpoints written whole: `assemble` from parts, `convert_legacy` from the released layout."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import LlavaForConditionalGeneration

from llavamed_data.errors import UsageError
from llavamed_data.io.atomic import atomic_folder
from llavamed_trainer.assembly.joining import join
from llavamed_trainer.assembly.language import load_language
from llavamed_trainer.assembly.legacy import load_legacy, load_projector_file, template_of
from llavamed_trainer.assembly.own_template import OWN, own_template
from llavamed_trainer.assembly.templates import TEMPLATES
from llavamed_trainer.assembly.vision import load_vision

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True, slots=True)
class Assembled:
    """What was written.

    Attributes:
        folder: of the checkpoint.
        parameters: part (`vision tower`, `projector`, `language model`) → number of parameters.
        tokens_per_image: tokens that an image takes.
        image_side: width and height of what the model sees, in pixels.
        dtype: of the weights.
        template: the chat template's name.
    """

    folder: Path
    parameters: dict[str, int]
    tokens_per_image: int
    image_side: int
    dtype: str
    template: str


def assemble(
    out: Path,
    *,
    vision_tower: str,
    language_model: str,
    projector: str = "linear",
    template: str = "vicuna_v1",
    dtype: str = "bfloat16",
    projector_weights: Path | None = None,
    seed: int = 0,
) -> Assembled:
    """Writes a LLaVA checkpoint that stock `from_pretrained` reads.

    Args:
        out: folder to write; it appears whole or not at all.
        vision_tower: folder or Hub name of a CLIP, SigLIP, ViT or DINOv2, or BiomedCLIP's open_clip file.
        language_model: folder or Hub name of a causal language model.
        projector: `linear` as in the paper, or `mlp2x_gelu`.
        template: one of `TEMPLATES`, `own` for the language model's, or the path of a Jinja file.
        dtype: `float32`, `bfloat16` or `float16`.
        projector_weights: LLaVA's `mm_projector.bin`; the projector is random where None.
        seed: of the random projector, and of the embeddings of new tokens.

    Raises:
        UsageError: a part is not there or does not fit, or `out` is not empty.
        LlavaMedError: a file is damaged.
    """

    def made() -> tuple[LlavaForConditionalGeneration, Any]:
        vision = load_vision(vision_tower, DTYPES[dtype])
        language = load_language(language_model, DTYPES[dtype])
        text = (
            own_template(language.tokenizer, language_model) if template == OWN else template_text(template)
        )
        model, processor = join(vision, language, projector=projector, template=text)
        if projector_weights is not None:
            load_projector_file(model, projector_weights)
        return model, processor

    return _write(out, made, dtype, template, seed)


def convert_legacy(
    folder: Path,
    out: Path,
    *,
    vision_tower: str | None = None,
    template: str | None = None,
    dtype: str = "bfloat16",
) -> Assembled:
    """Writes a checkpoint of the released LLaVA or LLaVA-Med v1.5 code as a transformers one.

    Args:
        folder: of the released checkpoint.
        out: folder to write; it appears whole or not at all.
        vision_tower: where its vision tower is; the Hub name that it states where None.
        template: one of `TEMPLATES`, or the path of a Jinja file; `mistral` or `vicuna_v1` where None, by its language
            model.
        dtype: of the weights that are written.

    Raises:
        UsageError: it is no such checkpoint, or something is missing.
        LlavaMedError: a file is damaged.
    """

    chosen = template or template_of(folder)

    def made() -> tuple[LlavaForConditionalGeneration, Any]:
        return load_legacy(
            folder, vision_tower=vision_tower, template=template_text(chosen), dtype=DTYPES[dtype]
        )

    return _write(out, made, dtype, chosen)


def template_text(name: str) -> str:
    """A chat template by its name, or by the path of a file.

    Raises:
        UsageError: there is no such template, or it does not mark what the assistant says.
    """
    if name in TEMPLATES:
        return TEMPLATES[name]
    path = Path(name)
    if not path.is_file():
        raise UsageError(
            f"no chat template is called {name!r}: choose from {', '.join(TEMPLATES)}, or give a file's path"
        )
    text = path.read_text(encoding="utf-8")
    if not re.search(r"\{%[-+]?\s*generation\s*[-+]?%\}", text):
        raise UsageError(
            f"{path} does not mark what the assistant says: put {{% generation %}} around its answers"
        )
    return text


def _write(
    out: Path,
    made: Callable[[], tuple[LlavaForConditionalGeneration, Any]],
    dtype: str,
    template: str,
    seed: int = 0,
) -> Assembled:
    if dtype not in DTYPES:
        raise UsageError(f"no such dtype: {dtype!r}; choose from {', '.join(DTYPES)}")
    with atomic_folder(out) as partial, torch.random.fork_rng():
        torch.manual_seed(seed)
        model, processor = made()
        model.save_pretrained(partial)
        processor.save_pretrained(partial)
    inner, image = model.model, processor.image_processor
    head = 0 if model.config.tie_word_embeddings else _size(model.lm_head)
    parts = {
        "vision tower": _size(inner.vision_tower),
        "projector": _size(inner.multi_modal_projector),
        "language model": _size(inner.language_model) + head,
    }
    size = image.crop_size if getattr(image, "do_center_crop", False) else image.size
    return Assembled(out, parts, model.config.image_seq_length, int(size["height"]), dtype, template)


def _size(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
