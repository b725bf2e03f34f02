"""What a stage of the curriculum trains, and what stays as it is (section 4 and Figure 3 of the paper)."""

from enum import StrEnum
from typing import Any

from llavamed_data.errors import UsageError
from llavamed_trainer.assembly.projector import is_linear

LANGUAGE_LAYERS = r".*language_model\..*\.(q|k|v|o|gate|up|down)_proj"
"""Not `all-linear`, nor bare names: they adapt the frozen vision tower too."""


class Stage(StrEnum):
    """What is trained; the vision tower never is."""

    PROJECTOR = "projector"
    PROJECTOR_AND_LANGUAGE_MODEL = "projector+language-model"


def apply_stage(model: Any, stage: Stage) -> None:
    """Freezes what the stage does not train. To be called before the trainer is built.

    The identity in the paper's linear projector stays frozen in every stage.

    Args:
        model: a `LlavaForConditionalGeneration`.
        stage: of the curriculum.
    """
    model.requires_grad_(False)
    projector = model.model.multi_modal_projector
    projector.requires_grad_(True)
    if is_linear(model):
        projector.linear_2.requires_grad_(False)
    if stage is Stage.PROJECTOR_AND_LANGUAGE_MODEL:
        model.model.language_model.requires_grad_(True)
        model.lm_head.requires_grad_(True)


def lora_config(model: Any, **settings: Any) -> Any:
    """LoRA on the language model's linear layers, the projector trained whole; the vision tower gets no adapter.

    Args:
        model: a `LlavaForConditionalGeneration`.
        settings: of `peft.LoraConfig` (`r`, `lora_alpha`, `lora_dropout`, …).

    Raises:
        UsageError: peft is missing.
    """
    try:
        from peft import LoraConfig
    except ImportError as error:
        raise UsageError("LoRA takes the package peft: pip install peft") from error
    saved = "multi_modal_projector.linear_1" if is_linear(model) else "multi_modal_projector"
    return LoraConfig(
        task_type="CAUSAL_LM", target_modules=LANGUAGE_LAYERS, modules_to_save=[saved], **settings
    )
