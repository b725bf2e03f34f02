"""The model and processor that a run starts from."""

from importlib.util import find_spec
from typing import Any

import torch
from transformers import LlavaForConditionalGeneration, ProcessorMixin
from trl.trainer.model_config import ModelConfig
from trl.trainer.utils import get_quantization_config

from llavamed_data.errors import LlavaMedError, UsageError
from llavamed_trainer.assembly import TEMPLATES
from llavamed_trainer.assembly.loading import adapter_base, load_llava, load_processor
from llavamed_trainer.training import load_sharded
from llavamed_trainer.training.sharding import wants_sharding


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
    options: dict[str, Any] = {"dtype": stated.dtype, "attn_implementation": stated.attn_implementation}
    if (quantised := get_quantization_config(stated)) is not None:
        options["quantization_config"] = quantised
    if wants_sharding() and not torch.accelerator.is_available():
        if adapter_base(name) is not None:
            raise UsageError(
                f"{name} is an adapter, which cannot be merged into a sharded model: merge it before"
            )
        model = load_sharded(name, revision=stated.model_revision, **options)
        processor = load_processor(name, revision=stated.model_revision)
    else:
        model, processor = load_llava(name, revision=stated.model_revision, **options)
    if template:
        processor.chat_template = _template(template)
    return model, processor


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


def _template(name: str) -> str:
    if name not in TEMPLATES:
        raise UsageError(f"no chat template is called {name!r}: choose from {', '.join(TEMPLATES)}")
    return TEMPLATES[name]
