"""What a stage of the curriculum trains in a model, and what it freezes (section 4 and Figure 3 of the paper)."""

from enum import StrEnum
from typing import Any

from llavamed_data.errors import UsageError
from llavamed_trainer.models.family import ModelFamily
from llavamed_trainer.models.llava import LLAVA

FAMILIES = {family.model_type: family for family in (LLAVA,)}
"""The families whose models can be trained, by `model_type`."""


class Stage(StrEnum):
    """The parts of a model that a stage trains. The vision tower is in none of them."""

    PROJECTOR = "projector"
    PROJECTOR_AND_LANGUAGE_MODEL = "projector+language-model"


def family_of(model: Any) -> ModelFamily:
    """The family of a loaded model.

    Raises:
        UsageError: the model is of no family that is known here.
    """
    kind = model.config.model_type
    if kind not in FAMILIES:
        raise UsageError(
            f"a {kind} model cannot be trained here: the stages, the collator and the templates are for "
            f"{', '.join(FAMILIES)} alone; train others with TRL's SFTTrainer and its own collator"
        )
    return FAMILIES[kind]


def apply_stage(model: Any, stage: Stage) -> None:
    """Freezes what the stage does not train. Call it before the trainer is built, which makes the optimizer.

    Args:
        model: a vision–language model of one of the `FAMILIES`.
        stage: which parts are trained.
    """
    family = family_of(model)
    model.requires_grad_(False)
    trained = [family.trained_projector(model)]
    if stage is Stage.PROJECTOR_AND_LANGUAGE_MODEL:
        trained += [family.language_model, family.output_layer]
    for path in trained:
        model.get_submodule(path).requires_grad_(True)


def lora_config(model: Any, **settings: Any) -> Any:
    """A LoRA configuration for the language model's linear layers; the projector is trained whole beside them.

    The vision tower gets no adapter.

    Args:
        model: a vision–language model of one of the `FAMILIES`.
        settings: further arguments of `peft.LoraConfig` (`r`, `lora_alpha`, `lora_dropout`, …).

    Raises:
        UsageError: the package peft is missing.
    """
    try:
        from peft import LoraConfig
    except ImportError as error:
        raise UsageError("LoRA needs the package peft: pip install peft") from error
    family = family_of(model)
    return LoraConfig(
        task_type="CAUSAL_LM",
        target_modules=family.lora_layers,
        modules_to_save=[family.trained_projector(model)],
        **settings,
    )
