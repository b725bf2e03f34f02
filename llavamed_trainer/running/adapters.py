"""LoRA as flags ask for it."""

from typing import Any

from transformers import LlavaForConditionalGeneration
from trl.trainer.model_config import ModelConfig

from llavamed_trainer.training import lora_config


def make_adapters(stated: ModelConfig, model: LlavaForConditionalGeneration) -> Any:
    """What `--use_peft` asks for, a `LoraConfig` for the right modules unless others are named; None without it."""
    if not stated.use_peft:
        return None
    adapters = lora_config(
        model,
        r=stated.lora_r,
        lora_alpha=stated.lora_alpha,
        lora_dropout=stated.lora_dropout,
        use_rslora=stated.use_rslora,
        use_dora=stated.use_dora,
    )
    if stated.lora_target_modules is not None:
        adapters.target_modules = stated.lora_target_modules
    if stated.lora_modules_to_save is not None:
        adapters.modules_to_save = stated.lora_modules_to_save
    return adapters
