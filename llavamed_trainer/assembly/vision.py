"""Vision towers: CLIP, SigLIP, ViT, DINOv2 by their folders or Hub names, BiomedCLIP by its open_clip file."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from huggingface_hub import hf_hub_download
from huggingface_hub.errors import HfHubHTTPError
from safetensors import SafetensorError
from transformers import AutoConfig, AutoImageProcessor, AutoModel
from transformers.models.vit.modeling_vit import ViTPooler

from llavamed_data.errors import UsageError
from llavamed_trainer.assembly.biomedclip import FILES, file_of, load_biomedclip
from llavamed_trainer.assembly.weights import refuse_gaps

_INNER = {"clip": "clip_vision_model", "siglip": "siglip_vision_model"}
"""Types of checkpoints that hold a text tower too → the type of their vision tower."""

_WITH_CLASS_TOKEN = ("clip_vision_model", "vit", "dinov2")
_WITHOUT = ("siglip_vision_model",)


@dataclass(frozen=True, slots=True)
class VisionTower:
    """A vision tower and what goes with it.

    Attributes:
        model: with its `config`.
        image_processor: brings images to its size.
        additional: tokens beside those of the patches (a class token).
    """

    model: Any
    image_processor: Any
    additional: int

    @property
    def strategy(self) -> Literal["default", "full"]:
        """Whether LLaVA leaves the first token out (`default`) or takes all (`full`)."""
        return "default" if self.additional else "full"

    @property
    def tokens(self) -> int:
        """Tokens that an image of the tower's own size takes."""
        config = self.model.config
        return (_side(config.image_size) // _side(config.patch_size)) ** 2


def load_vision(name: str, dtype: torch.dtype) -> VisionTower:
    """A vision tower.

    Args:
        name: folder, Hub name, or an open_clip file of BiomedCLIP.
        dtype: of its weights.

    Raises:
        UsageError: there is none, it lacks weights, or it is of a kind that a stock LLaVA cannot hold.
    """
    if (file := _open_clip_file(name)) is not None:
        model, processor = load_biomedclip(file)
        moved: torch.nn.Module = model
        _add_idle_pooler(model)
        return VisionTower(moved.to(dtype), processor, additional=1)
    try:
        config = AutoConfig.from_pretrained(name)
        kind = _INNER.get(config.model_type, config.model_type)
        if kind not in (*_WITH_CLASS_TOKEN, *_WITHOUT):
            raise UsageError(
                f"{name} is a {config.model_type} model, no vision tower of a stock LLaVA: take one of CLIP, SigLIP, "
                "ViT, DINOv2, or BiomedCLIP's open_clip file"
            )
        inner = config.vision_config if config.model_type in _INNER else config
        options = {"add_pooling_layer": False} if kind == "vit" else {}
        model, loaded = AutoModel.from_pretrained(
            name, config=inner, dtype=dtype, output_loading_info=True, **options
        )
        processor = AutoImageProcessor.from_pretrained(name)  # type: ignore[no-untyped-call]
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        line = " ".join(str(error).split())[:200]
        raise UsageError(f"there is no vision tower {name!r}, as a folder or on the Hub: {line}") from error
    refuse_gaps(loaded, name)
    if kind == "vit":
        _add_idle_pooler(model)
    return VisionTower(model, processor, additional=1 if kind in _WITH_CLASS_TOKEN else 0)


def _add_idle_pooler(model: Any) -> None:
    """A stock LLaVA builds a ViT with a pooler that it never uses: without weights it would be drawn at each load."""
    model.pooler = ViTPooler(model.config).to(model.dtype)
    for parameter in model.pooler.parameters():
        torch.nn.init.zeros_(parameter)


def _open_clip_file(name: str) -> Path | None:
    place = Path(name)
    if place.exists():
        return file_of(place)
    if "biomedclip" not in name.lower():
        return None
    for file in FILES:
        try:
            return Path(hf_hub_download(name, file))
        except (HfHubHTTPError, OSError):
            continue
    raise UsageError(f"{name} has none of {', '.join(FILES)}: give the path of the file")


def _side(size: Any) -> int:
    return int(size[0] if isinstance(size, tuple | list) else size)
