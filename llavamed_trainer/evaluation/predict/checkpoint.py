"""A LLaVA checkpoint made ready to answer: a folder or a name on the Hub, whole or an adapter."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import AutoProcessor, LlavaForConditionalGeneration
from transformers.utils.peft_utils import find_adapter_config_file

from llavamed_data.errors import UsageError

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
        UsageError: no such checkpoint, one that is no LLaVA, that lacks weights (a checkpoint of the projector
            alone does) or a chat template, or an unknown dtype.
    """
    transformers.utils.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    kind = _dtype(dtype, device)
    adapter = _adapter(name)
    try:
        if adapter is None:
            model, processor = _whole(name, kind), _processor(name)
        else:
            model, processor = _adapted(name, kind)
    except (OSError, ValueError, KeyError) as error:
        if isinstance(error, UsageError):
            raise
        raise UsageError(f"{name} is no LLaVA checkpoint: {' '.join(str(error).split())[:200]}") from error
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


def _whole(name: str, dtype: torch.dtype) -> Any:
    config = transformers.AutoConfig.from_pretrained(name)
    if config.model_type != "llava":
        raise UsageError(
            f"{name} is a {config.model_type} model: predict answers with LLaVA checkpoints; serve others with an "
            "OpenAI-compatible server and name it with --base-url"
        )
    loaded: Any = LlavaForConditionalGeneration.from_pretrained(name, dtype=dtype, output_loading_info=True)
    model, told = loaded
    if told["missing_keys"]:
        lost = sorted(told["missing_keys"])
        raise UsageError(
            f"{name} lacks {len(lost)} of the model's weights, such as {lost[0]}: name a whole checkpoint or an "
            "adapter"
        )
    return model


def _adapted(name: str, dtype: torch.dtype) -> tuple[Any, Any]:
    from peft import PeftConfig, PeftModel

    base = PeftConfig.from_pretrained(name).base_model_name_or_path
    if not base:
        raise UsageError(f"the adapter {name} does not say which model it belongs to")
    model = PeftModel.from_pretrained(_whole(base, dtype), name).merge_and_unload()
    own = any((Path(name) / file).exists() for file in ("processor_config.json", "preprocessor_config.json"))
    return model, _processor(name if own else base)


def _processor(name: str) -> Any:
    return AutoProcessor.from_pretrained(name)  # type: ignore[no-untyped-call]


def _adapter(name: str) -> str | None:
    try:
        found: str | None = find_adapter_config_file(name)
    except OSError:
        return None
    return found


def _dtype(name: str, device: torch.device) -> torch.dtype:
    if name == "auto":
        return torch.bfloat16 if device.type == "cuda" else torch.float32
    dtype = getattr(torch, name, None)
    if not isinstance(dtype, torch.dtype) or not dtype.is_floating_point:
        raise UsageError(f"--dtype {name} is none: choose from auto, float32, bfloat16, float16")
    return dtype
