"""The names of LLaVA's parts, and the paper's projector, which is one linear layer."""

from pathlib import Path

import pytest
import torch
from transformers import LlavaForConditionalGeneration

from llavamed_trainer.assembly import assemble_tiny
from llavamed_trainer.models import Stage, apply_stage, family_of
from llavamed_trainer.models.llava import is_linear, make_linear
from llavamed_trainer.models.stages import trained_projector


def test_the_linear_projector_equals_one_linear_layer(tiny_llava: Path) -> None:
    model = LlavaForConditionalGeneration.from_pretrained(tiny_llava)
    projector = model.model.multi_modal_projector
    layer = torch.nn.Linear(64, 64)
    layer.load_state_dict(projector.linear_1.state_dict())
    features = torch.randn(7, 64)
    assert torch.equal(projector(features), layer(features))
    assert is_linear(model)


def test_an_mlp_projector_is_not_taken_for_a_linear_one(tmp_path: Path) -> None:
    folder = assemble_tiny(tmp_path / "mlp", ["a b"], projector="mlp2x_gelu", template="mistral")
    model = LlavaForConditionalGeneration.from_pretrained(folder)
    assert not is_linear(model)
    with pytest.raises(ValueError, match="not 'linear'"):
        make_linear(model)


def test_every_part_of_the_family_is_a_submodule_of_its_model(tiny_llava: Path) -> None:
    model = LlavaForConditionalGeneration.from_pretrained(tiny_llava)
    family = family_of(model)
    parts = (family.vision_tower, *family.projector, family.language_model, family.output_layer)
    held = sum(weights.numel() for part in parts for weights in model.get_submodule(part).parameters())
    assert held == sum(weights.numel() for weights in model.parameters())
    assert trained_projector(model) == ("model.multi_modal_projector.linear_1",)


def test_an_mlp_projector_is_trained_whole(tmp_path: Path) -> None:
    model = LlavaForConditionalGeneration.from_pretrained(
        assemble_tiny(tmp_path / "mlp", ["a b"], projector="mlp2x_gelu")
    )
    apply_stage(model, Stage.PROJECTOR)
    trained = {name for name, weights in model.named_parameters() if weights.requires_grad}
    layers = ("linear_1.weight", "linear_1.bias", "linear_2.weight", "linear_2.bias")
    assert trained == {f"model.multi_modal_projector.{layer}" for layer in layers}
