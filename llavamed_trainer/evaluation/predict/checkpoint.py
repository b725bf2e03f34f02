"""A LLaVA checkpoint made ready to answer: a folder or a name on the Hub, whole or an adapter."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers

from llavamed_data.errors import UsageError
from llavamed_trainer.assembly.loading import load_llava

_SAMPLED = 1 << 20
_WEIGHTS = (".safetensors", ".bin")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Model and processor, on the device, in evaluation mode."""

    model: Any
    processor: Any

    @property
    def device(self) -> torch.device:
        """Where the model lies."""
        device: torch.device = self.model.device
        return device


def load_checkpoint(name: str, device: torch.device, dtype: str = "auto") -> Checkpoint:
    """Loads a LLaVA checkpoint, or a LoRA adapter with the base that it names, merged.

    Args:
        name: a folder or a name on the Hub.
        device: where it shall lie.
        dtype: `auto` is bfloat16 on a GPU and float32 elsewhere; else a name of torch's.

    Raises:
        UsageError: as `load_llava`; no chat template, or an unknown dtype.
    """
    transformers.utils.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    model, processor = load_llava(name, dtype=_dtype(dtype, device))
    if not processor.chat_template:
        raise UsageError(f"{name} has no chat template: give it one with `llavamed_trainer assemble`")
    return Checkpoint(model.to(device).eval(), processor)


def identity(name: str) -> str:
    """What tells one checkpoint from another of the same name: files, sizes and samples of the weights.

    A name on the Hub stands for itself.
    """
    folder = Path(name)
    digest = hashlib.sha256(b"" if folder.is_dir() else name.encode())
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.suffix not in (".json", ".jinja", ".model", *_WEIGHTS):
            continue
        size = path.stat().st_size
        digest.update(f"{path.name} {size}\n".encode())
        with path.open("rb") as file:
            digest.update(file.read(_SAMPLED))
            if size > 2 * _SAMPLED:
                file.seek(size - _SAMPLED)
                digest.update(file.read())
    return digest.hexdigest()


def _dtype(name: str, device: torch.device) -> torch.dtype:
    if name == "auto":
        return torch.bfloat16 if device.type == "cuda" else torch.float32
    dtype = getattr(torch, name, None)
    if not isinstance(dtype, torch.dtype) or not dtype.is_floating_point:
        raise UsageError(f"--dtype {name} is none: choose from auto, float32, bfloat16, float16")
    return dtype
