"""Writes LLaVA checkpoints that stock transformers reads: from parts, or from the layout of the released code."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import LlavaForConditionalGeneration

from llavamed_data.errors import UsageError
from llavamed_data.io.atomic import atomic_folder
from llavamed_trainer.assembly.legacy import load_legacy, load_projector_file, template_of
from llavamed_trainer.assembly.parts import join, load_language, load_vision
from llavamed_trainer.models.chat_templates import find_template, template_with_images
from llavamed_trainer.models.llava import LLAVA
from llavamed_trainer.models.saving import save_checkpoint

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
"""The data types of weights, by the names that flags give them."""

OWN_TEMPLATE = "own"
"""The name of the language model's own chat template, with images and marks."""


@dataclass(frozen=True, slots=True)
class AssembledModel:
    """A checkpoint that was written.

    Attributes:
        folder: of the checkpoint.
        parameters: the number of parameters of each part: `vision tower`, `projector`, `language model`.
        tokens_per_image: the number of tokens that an image takes.
        image_side: width and height in pixels of the images that the model takes.
        dtype: of the weights.
        template: the name of the chat template.
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
) -> AssembledModel:
    """Writes a LLaVA checkpoint from a vision tower and a language model.

    Args:
        out: the folder to write; it appears complete or not at all.
        vision_tower: folder or Hub name of a CLIP, SigLIP, ViT or DINOv2, or BiomedCLIP's open_clip file.
        language_model: folder or Hub name of a causal language model.
        projector: `linear` as in the paper, or `mlp2x_gelu`.
        template: one of `TEMPLATES`, `own` for the language model's, or the path of a Jinja file.
        dtype: `float32`, `bfloat16` or `float16`.
        projector_weights: LLaVA's `mm_projector.bin`; if it is not given, the projector is random.
        seed: of the random projector, and of the embeddings of new tokens.

    Raises:
        UsageError: a part is missing or does not fit, or `out` is not empty.
        LlavaMedError: a file is damaged.
    """

    def make() -> tuple[LlavaForConditionalGeneration, Any]:
        vision = load_vision(vision_tower, DTYPES[dtype])
        language = load_language(language_model, DTYPES[dtype])
        text = (
            template_with_images(language.tokenizer, language_model)
            if template == OWN_TEMPLATE
            else find_template(template)
        )
        model, processor = join(vision, language, projector=projector, template=text)
        if projector_weights is not None:
            load_projector_file(model, projector_weights)
        return model, processor

    return _write(out, make, dtype, template, seed)


def convert_legacy(
    folder: Path,
    out: Path,
    *,
    vision_tower: str | None = None,
    template: str | None = None,
    dtype: str = "bfloat16",
) -> AssembledModel:
    """Converts a checkpoint of the released LLaVA or LLaVA-Med v1.5 code.

    Args:
        folder: of the released checkpoint.
        out: the folder to write; it appears complete or not at all.
        vision_tower: folder or Hub name of its vision tower; by default the name that the checkpoint states.
        template: one of `TEMPLATES`, or the path of a Jinja file; by default `mistral` or `vicuna_v1`, by its language
            model.
        dtype: of the weights that are written.

    Raises:
        UsageError: it is no such checkpoint, or something is missing.
        LlavaMedError: a file is damaged.
    """
    chosen = template or template_of(folder)

    def make() -> tuple[LlavaForConditionalGeneration, Any]:
        return load_legacy(
            folder, vision_tower=vision_tower, template=find_template(chosen), dtype=DTYPES[dtype]
        )

    return _write(out, make, dtype, chosen)


def _write(
    out: Path,
    make: Callable[[], tuple[LlavaForConditionalGeneration, Any]],
    dtype: str,
    template: str,
    seed: int = 0,
) -> AssembledModel:
    if dtype not in DTYPES:
        raise UsageError(f"no data type is called {dtype!r}: choose from {', '.join(DTYPES)}")
    with atomic_folder(out) as temporary, torch.random.fork_rng():
        torch.manual_seed(seed)
        model, processor = make()
        save_checkpoint(model, processor, temporary)
    parameters = {
        "vision tower": _count(model, LLAVA.vision_tower),
        "projector": sum(_count(model, path) for path in LLAVA.projector),
        "language model": _count(model, LLAVA.language_model),
    }
    if not model.config.tie_word_embeddings:
        parameters["language model"] += _count(model, LLAVA.output_layer)
    images = processor.image_processor
    size = images.crop_size if getattr(images, "do_center_crop", False) else images.size
    return AssembledModel(
        out, parameters, model.config.image_seq_length, int(size["height"]), dtype, template
    )


def _count(model: torch.nn.Module, part: str) -> int:
    return sum(parameter.numel() for parameter in model.get_submodule(part).parameters())
