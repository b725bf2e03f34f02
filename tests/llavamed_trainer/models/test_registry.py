"""Families are found from configurations alone; what cannot be trained is refused by name, before any weights."""

import json
from pathlib import Path

import pytest
from transformers import AutoConfig, PreTrainedConfig

from llavamed_data.errors import UsageError
from llavamed_trainer.models import FAMILIES, find_family, load_model

SMALL = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}


def config(kind: str, **settings: object) -> PreTrainedConfig:
    return AutoConfig.for_model(kind, **settings)


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("llava", "LLaVA"),
        ("llava_next", "LLaVA-NeXT"),
        ("llava_onevision", "LLaVA-OneVision"),
        ("qwen2_vl", "Qwen2-VL and Qwen2.5-VL"),
        ("qwen2_5_vl", "Qwen2-VL and Qwen2.5-VL"),
        ("qwen3_vl", "Qwen3-VL"),
        ("smolvlm", "SmolVLM and Idefics3"),
        ("idefics3", "SmolVLM and Idefics3"),
        ("gemma3", "Gemma 3 and MedGemma"),
        ("internvl", "InternVL"),
        ("mistral3", "Mistral Small 3"),
    ],
)
def test_a_family_is_found_by_the_type_of_its_models(kind: str, name: str) -> None:
    family = find_family(config(kind))
    assert family.name == name
    assert family in FAMILIES


def test_pixtral_in_the_class_of_llava_is_a_family_of_its_own() -> None:
    pixtral = config("llava", vision_config={"model_type": "pixtral", **SMALL})
    assert find_family(pixtral).name == "Pixtral"
    assert find_family(config("llava", vision_config={"model_type": "siglip_vision_model"})).name == "LLaVA"


def test_a_model_of_no_listed_family_is_told_apart_by_the_names_of_its_parts() -> None:
    family = find_family(config("glm4v", text_config=SMALL, vision_config={"depth": 1}))
    assert (family.vision_tower, family.projector) == ("model.visual", ("model.visual.merger",))
    assert (family.language_model, family.output_layer) == ("model.language_model", "lm_head")
    assert not family.tested
    assert family.packing_refused
    assert family not in FAMILIES


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("llama", "llama is no vision–language model of transformers"),
        ("git", "git models are not supported: its projector and its language model cannot be told"),
        ("florence2", "florence2 models are not supported: it has an encoder and a decoder"),
        ("paligemma", "paligemma models are not supported: its processor takes one prompt"),
        (
            "mllama",
            "mllama models are not supported: images reach its language model through layers of cross",
        ),
        ("chameleon", "chameleon models are not supported"),
        ("internvl_chat", "internvl_chat models are not supported: .* name ends in -hf"),
        ("nobody_knows", "nobody_knows models are not supported: this version of transformers"),
        ("llava_mistral", "the released LLaVA code: convert it with python -m llavamed_trainer assemble"),
    ],
)
def test_what_cannot_be_trained_is_refused_by_its_type_though_there_are_no_weights(
    kind: str, message: str, tmp_path: Path
) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": kind}))
    with pytest.raises(UsageError, match=message):
        load_model(str(tmp_path))
