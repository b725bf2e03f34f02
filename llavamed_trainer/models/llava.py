"""The LLaVA family: the names of its parts, the paper's linear projector, and the tokens that an image takes."""

from typing import Any, TypeAlias, cast

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import nn
from torch.distributed.tensor import DTensor
from transformers import BaseImageProcessor, LlavaForConditionalGeneration, LlavaProcessor, ProcessorMixin

from llavamed_data.errors import UsageError
from llavamed_trainer.models.family import ModelFamily

Pixels: TypeAlias = npt.NDArray[np.float32]

IMAGE_TOKEN = "<image>"  # noqa: S105  (a token of text, no password)
"""The token that stands for an image in the text of every LLaVA that this package writes."""


def make_linear(model: LlavaForConditionalGeneration) -> None:
    """Turns the two-layer projector into the paper's single linear layer (section 4 and Figure 3).

    With `projector_hidden_act="linear"` nothing stands between the two layers. `linear_2` becomes the identity and is
    frozen, so that the projector computes `linear_1` alone, and stock transformers still loads the checkpoint.

    Raises:
        ValueError: the model's projector has another activation.
    """
    if model.config.projector_hidden_act != "linear":
        raise ValueError(f"the projector's activation is {model.config.projector_hidden_act!r}, not 'linear'")
    second = model.model.multi_modal_projector.linear_2
    with torch.no_grad():
        nn.init.eye_(second.weight)
        if second.bias is not None:
            second.bias.zero_()
    second.requires_grad_(False)


def is_linear(model: LlavaForConditionalGeneration) -> bool:
    """Whether the projector computes a single linear layer, as `make_linear` leaves it.

    Of a model on the meta device only the activation is known.
    """
    if model.config.projector_hidden_act != "linear":
        return False
    second = model.model.multi_modal_projector.linear_2
    if second.weight.is_meta:
        return True
    # Sharded weights are gathered: a process holds a part of them only.
    weight, bias = (
        tensor.full_tensor() if isinstance(tensor, DTensor) else tensor
        for tensor in (second.weight, second.bias)
    )
    identity = torch.eye(*weight.shape, dtype=weight.dtype, device=weight.device)
    return torch.equal(weight, identity) and (bias is None or not bool(bias.any()))


def _trained_projector(model: LlavaForConditionalGeneration) -> tuple[str, ...]:
    """Leaves out the identity of a linear projector, which stays as it is in every stage."""
    return ("model.multi_modal_projector.linear_1" if is_linear(model) else "model.multi_modal_projector",)


LLAVA = ModelFamily(
    name="LLaVA",
    model_types=("llava",),
    vision_tower="model.vision_tower",
    projector=("model.multi_modal_projector",),
    language_model="model.language_model",
    processors=("LlavaProcessor",),
    packing_refused=None,
    trained_projector=_trained_projector,
)


def llava_processor(processor: ProcessorMixin) -> LlavaProcessor:
    """Returns the same processor after checking that batches can be made with it.

    Raises:
        UsageError: it is no `LlavaProcessor`, it lacks a setting from which the number of image tokens follows, or its
            tokenizer does not give the character offsets of its tokens.
    """
    missing = [
        name
        for name in ("image_processor", "image_token_id", "patch_size", "vision_feature_select_strategy")
        if getattr(processor, name, None) is None
    ]
    if missing:
        raise UsageError(
            f"a {type(processor).__name__} without {' and '.join(missing)} cannot make batches for LLaVA: give a "
            "LlavaProcessor (python -m llavamed_trainer assemble writes one)"
        )
    if not getattr(processor.tokenizer, "is_fast", False):
        raise UsageError(
            "the tokenizer is a slow one, which gives no character offsets: load it with use_fast=True"
        )
    return cast(LlavaProcessor, processor)


def tokens_per_image(processor: LlavaProcessor) -> int:
    """The number of tokens that an image takes: its patches, plus what the tower adds, less what the model leaves out.

    CLIP and ViT add one token, the class token, which the strategy `default` leaves out; SigLIP adds none, and `full`
    leaves none out. `LlavaProcessor.replace_image_token` follows the same rule.
    """
    _, height, width = pixel_shape(processor.image_processor)
    patches = (height // processor.patch_size) * (width // processor.patch_size)
    left_out = processor.vision_feature_select_strategy == "default"
    return int(patches + processor.num_additional_image_tokens - left_out)


def pixel_shape(processor: BaseImageProcessor) -> tuple[int, int, int]:
    """The channels, height and width of the pixel values that an image processor makes, found by calling it.

    Raises:
        UsageError: images of different shapes come out in different sizes, which do not fit one batch.
    """
    wide, high = (process_image(processor, gradient(*size)).shape for size in ((64, 40), (40, 64)))
    if wide != high or len(wide) != 3:
        raise UsageError(
            f"the {type(processor).__name__} makes images of different sizes ({wide} and {high}): set do_center_crop "
            "and crop_size, or a size with height and width"
        )
    return int(wide[0]), int(wide[1]), int(wide[2])


def process_image(processor: BaseImageProcessor, image: Image.Image) -> Pixels:
    """The pixel values that an image processor makes of one image: [channels, height, width]."""
    made: Any = processor(images=[image], return_tensors="pt")
    pixels: Pixels = made["pixel_values"][0].numpy()
    return pixels


def gradient(width: int, height: int) -> Image.Image:
    """A smooth RGB image of the given size, on which image processors are tried."""
    across, down = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    channels = [across, down, (np.sin(6 * across) * np.cos(5 * down) + 1) / 2]
    return Image.fromarray((np.stack(channels, axis=-1) * 255).astype(np.uint8))
