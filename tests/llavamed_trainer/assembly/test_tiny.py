"""The tiny model is a whole LLaVA, the same each time; the command makes one for a dataset."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoProcessor, LlavaForConditionalGeneration

from llavamed_trainer.assembly import assemble_tiny
from tests.llavamed_trainer.running.conftest import write_set


def test_the_tiny_model_is_small_and_the_same_each_time(tmp_path: Path, tiny_llava: Path) -> None:
    model = LlavaForConditionalGeneration.from_pretrained(tiny_llava)
    assert sum(parameter.numel() for parameter in model.parameters()) < 1_000_000
    assert AutoProcessor.from_pretrained(tiny_llava).tokenizer.encode("<image>") == [
        model.config.image_token_index
    ]
    first, second = (assemble_tiny(tmp_path / name, ["a lesion", "a mass"]) for name in "ab")
    assert (first / "model.safetensors").read_bytes() == (second / "model.safetensors").read_bytes()


@pytest.mark.slow
def test_the_command_trains_the_tokenizer_on_the_texts_of_a_dataset(
    drawn_rows: list[dict[str, Any]], tmp_path: Path
) -> None:
    write_set(tmp_path / "sets" / "drawn", drawn_rows)
    command = [sys.executable, "-m", "llavamed_trainer", "assemble", "models/tiny", "--tiny", "--dataset"]
    done = subprocess.run([*command, "./sets/drawn"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "models/tiny: a tiny random LLaVA, for trying things out" in done.stdout
    assert len(AutoProcessor.from_pretrained(tmp_path / "models/tiny").tokenizer) > 300
    (tmp_path / "empty").mkdir()
    again = subprocess.run([*command, "./empty"], cwd=tmp_path, capture_output=True, text=True)
    assert again.returncode == 2
    assert again.stderr.splitlines()[-1].startswith("error: models/tiny exists already")
