"""Converts BiomedCLIP's vision tower from its open_clip file to transformers' ViT.

The tower is a timm ViT-B/16 (`visual.trunk.` in the file); the projection head after it is not needed. timm keeps
query, key and value in one matrix (`attn.qkv`), transformers in three.
"""

import re
from pathlib import Path

import torch
from transformers import CLIPImageProcessor, ViTConfig, ViTModel

from llavamed_data.errors import UsageError
from llavamed_trainer.assembly.weights import State, read_file

FILES = ("open_clip_pytorch_model.bin", "open_clip_model.safetensors")
"""The names under which the file is published."""

_TRUNK = "visual.trunk."
_HEAD_WIDTH = 64
"""The width of an attention head in every ViT of timm that the file may hold: B/16 has 12 heads, L/16 has 16."""

_MEAN = (0.48145466, 0.4578275, 0.40821073)
_STD = (0.26862954, 0.26130258, 0.27577711)
"""The mean and standard deviation of the channels that the tower was trained with (open_clip_config.json,
`preprocess_cfg`: those of OpenAI's CLIP)."""

_NAMES = (
    (r"^cls_token$", "embeddings.cls_token"),
    (r"^pos_embed$", "embeddings.position_embeddings"),
    (r"^patch_embed\.proj\.", "embeddings.patch_embeddings.projection."),
    (r"^norm\.", "layernorm."),
    (r"^blocks\.(\d+)\.norm1\.", r"layers.\1.layernorm_before."),
    (r"^blocks\.(\d+)\.norm2\.", r"layers.\1.layernorm_after."),
    (r"^blocks\.(\d+)\.attn\.proj\.", r"layers.\1.attention.o_proj."),
    (r"^blocks\.(\d+)\.mlp\.fc1\.", r"layers.\1.mlp.fc1."),
    (r"^blocks\.(\d+)\.mlp\.fc2\.", r"layers.\1.mlp.fc2."),
)
"""timm's names of weights as regular expressions, and transformers' names."""


def file_of(path: Path) -> Path | None:
    """The open_clip file that `path` is or holds; None if it is something else."""
    if path.is_file() and path.name in FILES:
        return path
    return next((path / name for name in FILES if (path / name).is_file()), None)


def load_biomedclip(path: Path) -> tuple[ViTModel, CLIPImageProcessor]:
    """Loads the tower, in float32, and the image processor that it was trained with.

    Raises:
        UsageError: the file holds no timm ViT.
        LlavaMedError: it is damaged.
    """
    trunk = {
        name.removeprefix(_TRUNK): value for name, value in read_file(path).items() if name.startswith(_TRUNK)
    }
    if "pos_embed" not in trunk:
        raise UsageError(f"{path} holds no vision transformer of timm under {_TRUNK}")
    tower = _convert(trunk)
    side = _image_side(trunk)
    processor = CLIPImageProcessor(
        size={"shortest_edge": side},
        crop_size={"height": side, "width": side},
        image_mean=list(_MEAN),
        image_std=list(_STD),
    )
    return tower, processor


def _convert(trunk: State) -> ViTModel:
    """Converts timm's ViT to transformers'; the outputs of every layer are the same."""
    width = trunk["cls_token"].shape[-1]
    config = ViTConfig(
        hidden_size=width,
        num_hidden_layers=1
        + max(int(match[1]) for name in trunk if (match := re.match(r"blocks\.(\d+)\.", name))),
        num_attention_heads=max(1, width // _HEAD_WIDTH),
        intermediate_size=trunk["blocks.0.mlp.fc1.weight"].shape[0],
        image_size=_image_side(trunk),
        patch_size=trunk["patch_embed.proj.weight"].shape[-1],
        layer_norm_eps=1e-6,
    )
    tower = ViTModel(config, add_pooling_layer=False)
    state: State = {}
    for name, value in trunk.items():
        state |= _renamed(name, value)
    missing, unknown = tower.load_state_dict(state, strict=False)
    if missing or unknown:
        raise UsageError(
            f"the tower is no plain ViT of timm: {', '.join((missing + unknown)[:3])} has no counterpart"
        )
    return tower


def _image_side(trunk: State) -> int:
    """The width and height in pixels of the images that the tower takes."""
    patches = trunk["pos_embed"].shape[1] - 1
    return int(trunk["patch_embed.proj.weight"].shape[-1] * round(patches**0.5))


def _renamed(name: str, value: torch.Tensor) -> State:
    if match := re.match(r"blocks\.(\d+)\.attn\.qkv\.(weight|bias)$", name):
        parts = zip(("q_proj", "k_proj", "v_proj"), value.chunk(3), strict=True)
        return {f"layers.{match[1]}.attention.{part}.{match[2]}": each.clone() for part, each in parts}
    for pattern, replacement in _NAMES:
        new, count = re.subn(pattern, replacement, name)
        if count:
            return {new: value}
    return {name: value}
