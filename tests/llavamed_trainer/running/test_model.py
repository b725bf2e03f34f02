"""Flags of LoRA decide what adapters change; without them it is the language model and the projector."""

from pathlib import Path
from typing import Any

from trl import ModelConfig

from llavamed_trainer.models import Stage, load_llava
from llavamed_trainer.running.model import prepare_model


def adapters_for(checkpoint: Path, **flags: Any) -> Any:
    model, _ = load_llava(str(checkpoint))
    return prepare_model(model, ModelConfig(use_peft=True, **flags), Stage.PROJECTOR_AND_LANGUAGE_MODEL)


def test_adapters_go_on_the_language_model_and_the_projector_is_trained_whole(tiny_llava: Path) -> None:
    adapters = adapters_for(tiny_llava, lora_r=4, lora_alpha=8)
    assert (adapters.r, adapters.lora_alpha, adapters.task_type) == (4, 8, "CAUSAL_LM")
    assert "language_model" in adapters.target_modules
    assert adapters.modules_to_save == ["model.multi_modal_projector.linear_1"]


def test_flags_name_other_modules_and_parameters(tiny_llava: Path) -> None:
    adapters = adapters_for(
        tiny_llava,
        lora_target_modules=["q_proj", "v_proj"],
        lora_target_parameters=["mlp.experts.gate_up_proj"],
        lora_modules_to_save=["lm_head"],
    )
    assert adapters.target_modules == {"q_proj", "v_proj"}
    assert adapters.target_parameters == ["mlp.experts.gate_up_proj"]
    assert adapters.modules_to_save == ["lm_head"]
