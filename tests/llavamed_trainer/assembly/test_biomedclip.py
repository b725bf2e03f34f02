"""BiomedCLIP's tower computes in transformers what timm's ViT computes, which is written out here in plain torch."""

from pathlib import Path

import pytest
import torch
from torch.nn import functional

from llavamed_data.errors import UsageError
from llavamed_trainer.assembly.biomedclip import load_biomedclip
from llavamed_trainer.assembly.parts import load_vision

WIDTH, HEADS, PATCH, SIDE = 128, 2, 16, 32
State = dict[str, torch.Tensor]


def timm_weights(depth: int = 3) -> State:
    """Random weights under the names of timm's `vit_base_patch16_224`, for 32 px and another width."""
    shapes = {
        "cls_token": (1, 1, WIDTH),
        "pos_embed": (1, 1 + (SIDE // PATCH) ** 2, WIDTH),
        "patch_embed.proj.weight": (WIDTH, 3, PATCH, PATCH),
        "patch_embed.proj.bias": (WIDTH,),
        "norm.weight": (WIDTH,),
        "norm.bias": (WIDTH,),
    }
    for block in range(depth):
        for name, rows, columns in (
            ("attn.qkv", 3 * WIDTH, WIDTH),
            ("attn.proj", WIDTH, WIDTH),
            ("mlp.fc1", 4 * WIDTH, WIDTH),
            ("mlp.fc2", WIDTH, 4 * WIDTH),
        ):
            shapes[f"blocks.{block}.{name}.weight"] = (rows, columns)
            shapes[f"blocks.{block}.{name}.bias"] = (rows,)
        for norm in ("norm1", "norm2"):
            shapes[f"blocks.{block}.{norm}.weight"] = (WIDTH,)
            shapes[f"blocks.{block}.{norm}.bias"] = (WIDTH,)
    generator = torch.Generator().manual_seed(0)
    return {name: 0.1 * torch.randn(shape, generator=generator) for name, shape in shapes.items()}


def timm_layers(weights: State, pixels: torch.Tensor, depth: int = 3) -> list[torch.Tensor]:
    """What each block gives: pre-norm attention and MLP with residuals, exact GELU, LayerNorm at 1e-6."""

    def linear(name: str, x: torch.Tensor) -> torch.Tensor:
        return functional.linear(x, weights[f"{name}.weight"], weights[f"{name}.bias"])

    def norm(name: str, x: torch.Tensor) -> torch.Tensor:
        return functional.layer_norm(x, (WIDTH,), weights[f"{name}.weight"], weights[f"{name}.bias"], 1e-6)

    patches = functional.conv2d(
        pixels, weights["patch_embed.proj.weight"], weights["patch_embed.proj.bias"], stride=PATCH
    )
    x = patches.flatten(2).transpose(1, 2)
    x = torch.cat([weights["cls_token"].expand(len(x), -1, -1), x], dim=1) + weights["pos_embed"]
    given = []
    for block in range(depth):
        name = f"blocks.{block}"
        qkv = linear(f"{name}.attn.qkv", norm(f"{name}.norm1", x))
        batch, length, _ = qkv.shape
        q, k, v = qkv.reshape(batch, length, 3, HEADS, WIDTH // HEADS).permute(2, 0, 3, 1, 4)
        scores = (q @ k.transpose(-1, -2)) / (WIDTH // HEADS) ** 0.5
        mixed = (scores.softmax(-1) @ v).transpose(1, 2).reshape(batch, length, WIDTH)
        x = x + linear(f"{name}.attn.proj", mixed)
        x = x + linear(
            f"{name}.mlp.fc2", functional.gelu(linear(f"{name}.mlp.fc1", norm(f"{name}.norm2", x)))
        )
        given.append(x)
    return given


def saved(weights: State, folder: Path) -> Path:
    state = {f"visual.trunk.{name}": value for name, value in weights.items()}
    state |= {"visual.head.proj.weight": torch.zeros(8, WIDTH), "logit_scale": torch.zeros(())}
    torch.save(state, folder / "open_clip_pytorch_model.bin")
    return folder / "open_clip_pytorch_model.bin"


def test_every_layer_gives_what_timms_layer_gives(tmp_path: Path) -> None:
    weights = timm_weights()
    converted, processor = load_biomedclip(saved(weights, tmp_path))
    pixels = torch.randn(2, 3, SIDE, SIDE)
    with torch.no_grad():
        here = converted.eval()(pixels, output_hidden_states=True).hidden_states
        there = timm_layers(weights, pixels)
    for layer in (-1, -2, -3):
        assert torch.allclose(here[layer], there[layer], atol=1e-5)
    assert processor.crop_size["height"] == SIDE
    assert processor.image_mean == pytest.approx([0.48145466, 0.4578275, 0.40821073])


def test_the_folder_of_the_file_is_enough_and_the_class_token_is_left_out(tmp_path: Path) -> None:
    saved(timm_weights(depth=2), tmp_path)
    tower = load_vision(str(tmp_path), torch.float32)
    assert (tower.strategy, tower.class_tokens, tower.tokens) == ("default", 1, 4)


def test_a_tower_that_is_no_plain_vit_is_refused(tmp_path: Path) -> None:
    state = {f"visual.trunk.{name}": value for name, value in timm_weights(depth=2).items()}
    torch.save(
        {**state, "visual.trunk.blocks.0.ls1.gamma": torch.ones(128)},
        tmp_path / "open_clip_pytorch_model.bin",
    )
    with pytest.raises(UsageError, match=r"blocks\.0\.ls1\.gamma"):
        load_biomedclip(tmp_path / "open_clip_pytorch_model.bin")
    torch.save({"text.weight": torch.ones(1)}, tmp_path / "open_clip_pytorch_model.bin")
    with pytest.raises(UsageError, match="no vision transformer of timm"):
        load_biomedclip(tmp_path / "open_clip_pytorch_model.bin")
