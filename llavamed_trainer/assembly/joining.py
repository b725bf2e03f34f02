"""A vision tower and a language model, joined by a new projector to a stock LLaVA."""

from typing import Any

import torch
from transformers import LlavaConfig, LlavaForConditionalGeneration, LlavaProcessor

from llavamed_data.errors import UsageError
from llavamed_trainer.assembly.language import IMAGE_TOKEN, LanguageModel
from llavamed_trainer.assembly.projector import make_linear
from llavamed_trainer.assembly.vision import VisionTower

PROJECTORS = {"linear": "linear", "mlp2x_gelu": "gelu"}
"""Projector → its activation. `linear` is the paper's (section 4), `mlp2x_gelu` that of LLaVA-1.5."""

FEATURE_LAYER = -2
"""Features are those of the second-to-last layer, as LLaVA takes them."""


def join(
    vision: VisionTower,
    language: LanguageModel,
    *,
    projector: str = "linear",
    template: str,
    feature_layer: int = FEATURE_LAYER,
) -> tuple[LlavaForConditionalGeneration, Any]:
    """The model, with a random projector, and its processor. The parts are taken over, not copied.

    Raises:
        UsageError: there is no such projector.
    """
    if projector not in PROJECTORS:
        raise UsageError(f"no projector is called {projector!r}: choose from {', '.join(PROJECTORS)}")
    tokenizer = language.tokenizer
    config = LlavaConfig(
        vision_config=vision.model.config,
        text_config=language.model.config,
        image_token_index=tokenizer.get_vocab()[IMAGE_TOKEN],
        projector_hidden_act=PROJECTORS[projector],
        vision_feature_select_strategy=vision.strategy,
        vision_feature_layer=feature_layer,
        image_seq_length=vision.tokens,
        tie_word_embeddings=bool(language.model.config.tie_word_embeddings),
    )
    with torch.device("meta"):
        model = LlavaForConditionalGeneration(config)
    projection = model.model.multi_modal_projector.to_empty(device="cpu").to(language.model.dtype)
    for layer in (projection.linear_1, projection.linear_2):
        layer.reset_parameters()
    model.model.vision_tower = vision.model
    model.model.language_model = language.model.get_decoder()
    model.lm_head = language.model.get_output_embeddings()
    if projector == "linear":
        make_linear(model)
    model.generation_config = language.model.generation_config
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    processor = LlavaProcessor(  # type: ignore[no-untyped-call]
        image_processor=vision.image_processor,
        tokenizer=tokenizer,
        patch_size=vision.model.config.patch_size,
        vision_feature_select_strategy=vision.strategy,
        num_additional_image_tokens=vision.additional,
        image_token=IMAGE_TOKEN,
        chat_template=template,
    )
    return model, processor
