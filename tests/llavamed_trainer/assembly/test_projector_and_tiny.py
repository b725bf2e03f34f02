"""The paper's linear projector is one linear layer; the tiny model is a whole LLaVA; the command makes both."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from transformers import AutoProcessor, LlavaForConditionalGeneration

from llavamed_trainer.assembly import assemble_tiny
from llavamed_trainer.assembly.projector import is_linear, make_linear


def test_the_linear_projector_equals_one_linear_layer(tiny_llava: Path) -> None:
    model = LlavaForConditionalGeneration.from_pretrained(tiny_llava)
    projector = model.model.multi_modal_projector
    layer = torch.nn.Linear(64, 64)
    layer.load_state_dict(projector.linear_1.state_dict())
    features = torch.randn(7, 64)
    assert torch.equal(projector(features), layer(features))
    assert is_linear(model)


def test_an_mlp_is_not_taken_for_linear(tmp_path: Path) -> None:
    folder = assemble_tiny(tmp_path / "mlp", ["a b"], projector="mlp2x_gelu", template="mistral")
    model = LlavaForConditionalGeneration.from_pretrained(folder)
    assert not is_linear(model)
    with pytest.raises(ValueError, match="not 'linear'"):
        make_linear(model)


def test_the_tiny_one_is_small_and_the_same_each_time(tmp_path: Path, tiny_llava: Path) -> None:
    model = LlavaForConditionalGeneration.from_pretrained(tiny_llava)
    assert sum(parameter.numel() for parameter in model.parameters()) < 1_000_000
    assert AutoProcessor.from_pretrained(tiny_llava).tokenizer.encode("<image>") == [
        model.config.image_token_index
    ]
    first, second = (assemble_tiny(tmp_path / name, ["a lesion", "a mass"]) for name in "ab")
    assert (first / "model.safetensors").read_bytes() == (second / "model.safetensors").read_bytes()


def test_the_command_makes_a_tiny_one_of_a_dataset_s_words(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "llavamed_data", "build", "10k", "--quiet"], cwd=tmp_path, check=True
    )
    command = [sys.executable, "-m", "llavamed_trainer", "assemble", "models/tiny", "--tiny", "--dataset"]
    done = subprocess.run([*command, "llava-med/10k"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "models/tiny: a tiny random LLaVA, which knows nothing" in done.stdout
    assert len(AutoProcessor.from_pretrained(tmp_path / "models/tiny").tokenizer) > 500
    (tmp_path / "empty").mkdir()
    again = subprocess.run([*command, "./empty"], cwd=tmp_path, capture_output=True, text=True)
    assert again.returncode == 2
    assert again.stderr.splitlines()[-1].startswith("error: models/tiny is there already")
