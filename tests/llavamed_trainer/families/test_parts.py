"""Every parameter of a model belongs to one named part, whatever is trained, and what is shown adds up."""

from pathlib import Path
from typing import Any

import pytest
from peft import get_peft_model
from transformers import AutoModelForImageTextToText

from llavamed_trainer.models import Stage, apply_stage, family_of, lora_config, part_sizes

NAMED = {"vision tower", "projector", "language model", "output layer"}


@pytest.mark.parametrize("stage", [*Stage, "all", "lora"])
def test_every_parameter_belongs_to_one_named_part(tiny_model: Path, stage: Stage | str) -> None:
    model: Any = AutoModelForImageTextToText.from_pretrained(tiny_model)
    whole = sum(each.numel() for each in model.parameters())
    family = family_of(model)
    projector = [name for name, _ in model.named_parameters() if name.startswith(family.projector)]
    if isinstance(stage, Stage):
        apply_stage(model, stage)
    elif stage == "lora":
        model = get_peft_model(model, lora_config(model, r=2))
    sizes = {part.name: part for part in part_sizes(model)}
    assert sizes.keys() - {"adapters"} <= NAMED, "a parameter is in no named part"
    assert {"vision tower", "projector", "language model"} <= sizes.keys()
    assert sum(part.total for name, part in sizes.items() if name != "adapters") == whole
    trained = {name for name, each in model.named_parameters() if each.requires_grad}
    counted = sum(each.numel() for each in model.parameters() if each.requires_grad)
    assert sum(part.trained for part in sizes.values()) == counted
    assert sizes["projector"].total == sum(
        each.numel()
        for name, each in model.named_parameters()
        if ".original_module." not in name and _plain(name) in projector
    )
    if stage == "lora":
        frozen = {name for name in projector if not any(_plain(each) == name for each in trained)}
        linear = {f"model.multi_modal_projector.linear_2.{each}" for each in ("weight", "bias")}
        assert frozen <= {"model.image_newline", *linear}


def _plain(name: str) -> str:
    """The name that a parameter has without adapters."""
    return name.removeprefix("base_model.model.").replace(".modules_to_save.default", "")
