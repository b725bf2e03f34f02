"""Flags of LoRA decide what adapters change; without them it is the language model and the projector."""

import re
from pathlib import Path
from typing import Any

import pytest
from trl import ModelConfig

from llavamed_data.errors import UsageError
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
    assert adapters.target_parameters == ["mlp.experts.gate_up_proj"]
    assert adapters.modules_to_save == ["model.multi_modal_projector.linear_1", "lm_head"]


@pytest.mark.parametrize("chosen", [["q_proj"], ["q_proj", "v_proj"], ["self_attn.q_proj", "v_proj"]])
def test_chosen_layers_are_those_of_the_language_model_and_not_of_the_tower(
    chosen: list[str], tiny_llava: Path
) -> None:
    model, _ = load_llava(str(tiny_llava))
    adapters = adapters_for(tiny_llava, lora_target_modules=chosen)
    adapted = [path for path, _ in model.named_modules() if re.fullmatch(adapters.target_modules, path)]
    layers = model.config.text_config.num_hidden_layers
    assert adapted == [
        f"model.language_model.layers.{layer}.self_attn.{name}"
        for layer in range(layers)
        for name in ("q_proj", "v_proj")[: len(chosen)]
    ]
    assert any(
        path.startswith("model.vision_tower") and path.endswith("q_proj") for path, _ in model.named_modules()
    )


def test_all_linear_means_the_language_models_layers(tiny_llava: Path) -> None:
    assert (
        adapters_for(tiny_llava, lora_target_modules=["all-linear"]).target_modules
        == adapters_for(tiny_llava).target_modules
    )


def test_modules_that_are_not_there_are_named(tiny_llava: Path) -> None:
    with pytest.raises(
        UsageError, match="no linear layer called nothing_proj: choose from down_proj, gate_proj, "
    ):
        adapters_for(tiny_llava, lora_target_modules=["q_proj", "nothing_proj"])
    with pytest.raises(
        UsageError, match="--lora_modules_to_save names lm_hed, and the model has no such module"
    ):
        adapters_for(tiny_llava, lora_modules_to_save=["lm_hed"])
