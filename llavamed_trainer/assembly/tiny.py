"""Writes a random LLaVA of some hundred thousand parameters, for trying things out: real classes and files."""

from collections.abc import Iterable
from pathlib import Path

import torch
from datasets import load_dataset
from datasets.exceptions import DatasetNotFoundError
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    CLIPImageProcessor,
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
)

from llavamed_data.errors import UsageError, one_line
from llavamed_data.io.atomic import atomic_folder, require_free
from llavamed_trainer.assembly.parts import PROJECTORS
from llavamed_trainer.models.chat_templates import TEMPLATES
from llavamed_trainer.models.llava import IMAGE_TOKEN, make_linear
from llavamed_trainer.models.saving import save_checkpoint

_SIDE, _PATCH = 56, 14
_WIDTH, _LAYERS, _HEADS = 64, 2, 4
_VOCABULARY = 1024
_MAX_ROWS = 10_000
"""The number of rows of a dataset whose texts the tokenizer is trained on, at most."""


def assemble_tiny(
    out: Path,
    texts: Iterable[str],
    *,
    projector: str = "linear",
    template: str = "vicuna_v1",
    seed: int = 0,
) -> Path:
    """Writes a tiny random LLaVA that stock `from_pretrained` reads.

    The vision tower is a CLIP of 2 layers for images of 56 × 56 px in patches of 14, so that an image takes 16 tokens.
    The language model is a Llama of 2 layers and width 64. The tokenizer is a byte-level BPE of at most 1,024 tokens.

    Args:
        out: the folder to write.
        texts: what the tokenizer is trained on.
        projector: `linear` or `mlp2x_gelu`.
        template: one of `TEMPLATES`.
        seed: of the weights.

    Returns:
        `out`.
    """
    tokenizer = _tokenizer(texts)
    images = CLIPImageProcessor(
        size={"shortest_edge": _SIDE}, crop_size={"height": _SIDE, "width": _SIDE}, do_convert_rgb=True
    )
    processor = LlavaProcessor(  # type: ignore[no-untyped-call]
        image_processor=images,
        tokenizer=tokenizer,
        patch_size=_PATCH,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        image_token=IMAGE_TOKEN,
        chat_template=TEMPLATES[template],
    )
    vision = CLIPVisionConfig(
        hidden_size=_WIDTH,
        intermediate_size=2 * _WIDTH,
        num_hidden_layers=_LAYERS,
        num_attention_heads=_HEADS,
        image_size=_SIDE,
        patch_size=_PATCH,
        projection_dim=_WIDTH,
    )
    text = LlamaConfig(
        hidden_size=_WIDTH,
        intermediate_size=4 * _WIDTH,
        num_hidden_layers=_LAYERS,
        num_attention_heads=_HEADS,
        num_key_value_heads=_HEADS,
        vocab_size=len(tokenizer),
        max_position_embeddings=2048,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    config = LlavaConfig(
        vision_config=vision,
        text_config=text,
        image_token_index=tokenizer.get_vocab()[IMAGE_TOKEN],
        projector_hidden_act=PROJECTORS[projector],
        vision_feature_select_strategy="default",
        vision_feature_layer=-2,
        image_seq_length=(_SIDE // _PATCH) ** 2,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = LlavaForConditionalGeneration(config)
    if projector == "linear":
        make_linear(model)
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    save_checkpoint(model, processor, out)
    return out


def assemble_tiny_of(
    dataset: str, out: Path, *, projector: str = "linear", template: str = "vicuna_v1", seed: int = 0
) -> Path:
    """Writes a tiny random LLaVA whose tokenizer is trained on the texts of a dataset.

    Args:
        dataset: a folder, or a name on the Hub.
        out: the folder to write; it appears complete or not at all.
        projector: `linear` or `mlp2x_gelu`.
        template: one of `TEMPLATES`.
        seed: of the weights.

    Returns:
        `out`.

    Raises:
        UsageError: there is no such dataset, projector or template, or `out` is not empty.
    """
    if projector not in PROJECTORS or template not in TEMPLATES:
        raise UsageError(
            f"choose a projector from {', '.join(PROJECTORS)} and a template from {', '.join(TEMPLATES)}"
        )
    require_free(out)
    try:
        sets = load_dataset(dataset)
    except (DatasetNotFoundError, FileNotFoundError, ConnectionError, ValueError) as error:
        raise UsageError(
            f"there is no dataset {dataset!r} to train a tokenizer on: {one_line(error)}"
        ) from error
    rows = next(iter(sets.values()))
    if "messages" not in rows.column_names:
        raise UsageError(f"{dataset} has no column messages: build one with python -m llavamed_data build")
    texts = (
        part["text"]
        for row in rows.select_columns(["messages"]).take(_MAX_ROWS)
        for turn in row["messages"]
        for part in turn["content"]
        if part["text"]
    )
    with atomic_folder(out) as temporary:
        assemble_tiny(temporary, texts, projector=projector, template=template, seed=seed)
    return out


def _tokenizer(texts: Iterable[str]) -> PreTrainedTokenizerFast:
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=_VOCABULARY,
        special_tokens=["<s>", "</s>", "<pad>", IMAGE_TOKEN],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator(texts, trainer)
    special = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>"}
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=bpe, additional_special_tokens=[IMAGE_TOKEN], **special
    )
