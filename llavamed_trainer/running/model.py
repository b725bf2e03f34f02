"""The model and processor that a run starts from."""

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

import torch
from transformers import AutoProcessor, LlavaForConditionalGeneration, ProcessorMixin
from trl.trainer.model_config import ModelConfig
from trl.trainer.utils import get_quantization_config

from llavamed_data.errors import LlavaMedError, UsageError
from llavamed_trainer.assembly import TEMPLATES
from llavamed_trainer.assembly.weights import refuse_gaps
from llavamed_trainer.training import load_sharded
from llavamed_trainer.training.sharding import wants_sharding

_OLD_LAYOUT = ("llava", "llava_llama", "llava_mistral")
_ADAPTER = "adapter_config.json"
_MAIN = "main"


def load_model(
    stated: ModelConfig, template: str | None = None
) -> tuple[LlavaForConditionalGeneration, ProcessorMixin]:
    """The checkpoint that `--model_name_or_path` names; a LoRA adapter is merged into what it was trained on.

    Raises:
        UsageError: there is none, or it is no LLaVA of transformers.
        LlavaMedError: 4 or 8 bit are asked for where they cannot be had.
    """
    name = stated.model_name_or_path
    if not name:
        raise UsageError("which model is to be trained: give --model_name_or_path")
    _check_quantised(stated)
    _check_layout(Path(name))
    try:
        model = _load(name, stated)
        read: Any = AutoProcessor
        processor = read.from_pretrained(name, revision=stated.model_revision)
    except (OSError, ValueError) as error:
        raise UsageError(
            f"there is no LLaVA checkpoint {name!r}, neither as a folder here nor on the Hub: train the stage before, "
            f"give --model_name_or_path, or make one with python -m llavamed_trainer assemble ({_line(error)})"
        ) from error
    if template:
        processor.chat_template = _template(template)
    return model, processor


def _load(name: str, stated: ModelConfig) -> LlavaForConditionalGeneration:
    adapter = Path(name) / _ADAPTER
    base = (
        json.loads(adapter.read_text(encoding="utf-8"))["base_model_name_or_path"]
        if adapter.is_file()
        else name
    )
    options: dict[str, Any] = {"attn_implementation": stated.attn_implementation}
    if (quantised := get_quantization_config(stated)) is not None:
        options["quantization_config"] = quantised
    options["revision"] = stated.model_revision if base == name else _MAIN
    if wants_sharding() and not torch.accelerator.is_available():
        if base != name:
            raise UsageError(
                f"{name} is an adapter, which cannot be merged into a sharded model: merge it before"
            )
        return load_sharded(base, dtype=stated.dtype, **options)
    stock: Any = LlavaForConditionalGeneration
    model, found = stock.from_pretrained(base, dtype=stated.dtype, output_loading_info=True, **options)
    refuse_gaps(found, base)
    if base == name:
        return cast("LlavaForConditionalGeneration", model)
    from peft import PeftModel

    merged: LlavaForConditionalGeneration = PeftModel.from_pretrained(model, name).merge_and_unload()
    return merged


def _check_quantised(stated: ModelConfig) -> None:
    if not (stated.load_in_4bit or stated.load_in_8bit):
        return
    bits = "4 bit" if stated.load_in_4bit else "8 bit"
    if not stated.use_peft:
        raise UsageError(
            f"weights in {bits} cannot be trained themselves: add --use_peft, which trains LoRA adapters"
        )
    if not torch.accelerator.is_available():
        raise LlavaMedError(f"{bits} takes a GPU, and none is seen here: leave --load_in_{bits[0]}bit out")
    if find_spec("bitsandbytes") is None:
        raise LlavaMedError(f"{bits} takes the package bitsandbytes: pip install bitsandbytes")


def _check_layout(folder: Path) -> None:
    """Old checkpoints load with new, random weights, and but for a warning nobody would know."""
    config = folder / "config.json"
    if not config.is_file():
        return
    stated = json.loads(config.read_text(encoding="utf-8"))
    kind = stated.get("model_type")
    if "mm_vision_tower" in stated or (kind in _OLD_LAYOUT[1:]):
        raise UsageError(
            f"{folder} has the layout of the released LLaVA code: python -m llavamed_trainer assemble makes a "
            "transformers checkpoint of it"
        )
    if kind != "llava":
        raise UsageError(f"{folder} is a {kind or 'nameless'} model, not a LLaVA")


def _template(name: str) -> str:
    if name not in TEMPLATES:
        raise UsageError(f"no chat template is called {name!r}: choose from {', '.join(TEMPLATES)}")
    return TEMPLATES[name]


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]
