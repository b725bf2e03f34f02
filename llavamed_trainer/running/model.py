"""The model of a training run: loaded, in 4 or 8 bits if asked, and prepared for its stage or for LoRA adapters."""

import re
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import AutoModelForImageTextToText, ProcessorMixin
from trl import ModelConfig, get_peft_config, get_quantization_config

from llavamed_data.errors import LlavaMedError, UsageError
from llavamed_trainer.collate import learnt_end_ids
from llavamed_trainer.collate.processor_batches import check_processor
from llavamed_trainer.models import (
    TEMPLATES,
    Stage,
    apply_stage,
    family_of,
    find_template,
    load_model,
    lora_config,
)
from llavamed_trainer.models.chat_templates import marks_answers
from llavamed_trainer.models.loading import adapter_base, load_processor, read_config
from llavamed_trainer.models.registry import family_of_processor
from llavamed_trainer.models.stages import adapted_layers
from llavamed_trainer.training import load_sharded
from llavamed_trainer.training.sharding import wants_sharding


def load_stated_model(
    stated: ModelConfig, template: str | None = None, *, computed_in: torch.dtype | None = None
) -> tuple[Any, ProcessorMixin]:
    """Loads the checkpoint that `--model_name_or_path` names; a LoRA adapter is merged into its base.

    Args:
        stated: TRL's model arguments.
        template: the name or file of a chat template that replaces the checkpoint's own.
        computed_in: the data type of autocast, if training uses it; weights of 4 bit are computed with in it.

    Returns:
        The model and its processor.

    Raises:
        UsageError: there is no such checkpoint or template, or its model is not supported.
        LlavaMedError: 4 or 8 bits are asked for where they cannot be used.
    """
    name = stated.model_name_or_path
    if not name:
        raise UsageError("give the model to train: --model_name_or_path")
    _check_quantisation(stated)
    options: dict[str, Any] = {"dtype": stated.dtype, "attn_implementation": stated.attn_implementation}
    if stated.load_in_4bit or stated.load_in_8bit:
        options["quantization_config"] = _quantisation(stated, name, computed_in)
    processor: ProcessorMixin
    if wants_sharding() and not torch.accelerator.is_available():
        if adapter_base(name) is not None:
            raise UsageError(
                f"{name} is an adapter, which cannot be merged into a sharded model: merge it first"
            )
        read_config(name, revision=stated.model_revision)
        processor = load_processor(name, revision=stated.model_revision)
        model: Any = load_sharded(name, revision=stated.model_revision, **options)
    else:
        model, processor = load_model(name, revision=stated.model_revision, check=_check_unlisted, **options)
    if template:
        processor.chat_template = find_template(template)
    return model, processor


def replace_endless_template(processor: ProcessorMixin) -> str | None:
    """Puts `vicuna_v1` in the place of a chat template of the same turns from which a model would not learn to stop.

    The template of the llava-1.5 checkpoints on the Hub is such a one: it writes `USER:` and `ASSISTANT:` as
    `vicuna_v1` does, and no end token. Other templates that leave the end out are refused by the collator.

    Returns:
        What was done, for the user; None if nothing was.
    """
    template = processor.chat_template
    if not isinstance(template, str) or not marks_answers(template) or learnt_end_ids(processor):
        return None
    turns: list[Any] = [
        {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "What is it?"}]}
    ]
    try:
        asked = processor.apply_chat_template(turns, add_generation_prompt=True, tokenize=False)
    except Exception:  # a template may raise anything; the collator says what is wrong with it
        return None
    if not re.search(r"\bUSER: .*What is it\?.*\bASSISTANT:$", str(asked), re.DOTALL):
        return None
    processor.chat_template = TEMPLATES["vicuna_v1"]
    return (
        "WARNING: the checkpoint's chat template writes no end token after answers, so a model trained with it would "
        "never stop: vicuna_v1, which has the same turns and ends answers, is used in its place (--template chooses)"
    )


def prepare_model(model: Any, stated: ModelConfig, stage: Stage) -> Any:
    """Freezes what the stage does not train, or makes the `LoraConfig` that `--use_peft` asks for.

    Adapters go on the language model's linear layers, those that `--lora_target_modules` names or all. The projector is
    trained whole beside them, and so is what `--lora_modules_to_save` names.

    Returns:
        The `LoraConfig`; None without `--use_peft`.

    Raises:
        UsageError: a flag names a module that the model does not have.
    """
    if not stated.use_peft:
        apply_stage(model, stage)
        return None
    # what an adapter states as its base: the whole path, which is found from any folder
    name = str(stated.model_name_or_path)
    model.name_or_path = str(Path(name).resolve()) if Path(name).is_dir() else name
    default = lora_config(model)
    adapters: Any = get_peft_config(stated)
    chosen: list[str] | str = stated.lora_target_modules or []  # one name alone is a text in ModelConfig
    names = [chosen] if isinstance(chosen, str) else chosen
    adapters.target_modules = adapted_layers(model, [name for name in names if name != "all-linear"])
    saved = stated.lora_modules_to_save or []
    paths = [f".{path}" for path, _ in model.named_modules()]
    if unknown := [name for name in saved if not any(path.endswith(f".{name}") for path in paths)]:
        raise UsageError(f"--lora_modules_to_save names {unknown[0]}, and the model has no such module")
    adapters.modules_to_save = [*default.modules_to_save, *saved]
    return adapters


def _check_unlisted(processor: Any) -> None:
    """Refuses a processor of no listed family with which no batches can be made, while no weights are there yet."""
    if family_of_processor(processor) is None:
        check_processor(processor)


def _check_quantisation(stated: ModelConfig) -> None:
    if not (stated.load_in_4bit or stated.load_in_8bit):
        return
    bits = "4" if stated.load_in_4bit else "8"
    if not stated.use_peft:
        raise UsageError(
            f"weights in {bits} bit cannot be trained themselves: add --use_peft, which trains LoRA adapters"
        )
    if find_spec("bitsandbytes") is None:
        raise LlavaMedError(f"{bits} bit needs the package bitsandbytes: pip install bitsandbytes")
    here = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    device = here.type if here else "cpu"
    if device not in getattr(import_module("bitsandbytes"), "supported_torch_devices", {"cuda"}):
        raise LlavaMedError(
            f"the bitsandbytes that is installed does not compute on this device ({device}): pip install --upgrade "
            f"bitsandbytes, or leave out --load_in_{bits}bit"
        )


def _quantisation(stated: ModelConfig, name: str, computed_in: torch.dtype | None) -> Any:
    """TRL's quantisation of the language model's layers; all other parts keep their weights.

    The stock choice takes the projector too, which is trained whole beside the adapters and saved with them: it would
    be trained from, or in, 4 bit. The tower is a small share of the memory, and its features stay those that the model
    has after merging.

    Raises:
        UsageError: the checkpoint is an adapter, or in few bits itself.
    """
    bits = "4" if stated.load_in_4bit else "8"
    if adapter_base(name) is not None:
        raise UsageError(
            f"{name} is an adapter, which cannot be merged into weights of {bits} bit without a loss: merge it first "
            f"(python -m llavamed_trainer merge {name} OUT) and train OUT"
        )
    config = read_config(name, revision=stated.model_revision)
    if getattr(config, "quantization_config", None):
        raise UsageError(f"the weights of {name} are in few bits already: leave out --load_in_{bits}bit")
    auto: Any = AutoModelForImageTextToText
    with torch.device("meta"):
        model = auto.from_config(config)
    family = family_of(model)
    quantised: Any = get_quantization_config(stated)
    if stated.load_in_4bit and computed_in is not None:
        quantised.bnb_4bit_compute_dtype = computed_in
    inside = f"{family.language_model}."
    quantised.llm_int8_skip_modules = [
        path
        for path, module in model.named_modules()
        if isinstance(module, nn.Linear) and not path.startswith(inside)
    ]
    return quantised
