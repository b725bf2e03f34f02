"""The example of a script of one's own: TRL's trainer, our collator."""

import json
import runpy
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.conftest import EXAMPLES

SCRIPT = EXAMPLES / "sft_llavamed.py"


@pytest.mark.parametrize("adapters", [False, True])
def test_the_script_trains_on_a_processor(
    adapters: bool, tiny_llava: Path, dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = [
        *("--model_name_or_path", tiny_llava, "--dataset_name", dataset, "--output_dir", tmp_path / "out"),
        *(
            "--max_steps",
            2,
            "--per_device_train_batch_size",
            4,
            "--logging_steps",
            1,
            "--learning_rate",
            "5e-3",
        ),
        *("--use_cpu", "--bf16", "false", "--report_to", "none", "--max_length", 256, "--save_steps", 2),
        *(("--use_peft", "--lora_r", 4) if adapters else ()),
    ]
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), *map(str, words)])
    runpy.run_path(str(SCRIPT), run_name="__main__")
    state = json.loads((tmp_path / "out" / "checkpoint-2" / "trainer_state.json").read_text())
    losses = [entry["loss"] for entry in state["log_history"] if "loss" in entry]
    assert len(losses) == 2
    assert losses[1] < losses[0]
    if adapters:
        names = load_file(tmp_path / "out" / "adapter_model.safetensors")
        assert any("language_model" in name and "lora_A" in name for name in names)
        assert not any("vision_tower" in name for name in names)
    else:
        before, after = (load_file(folder / "model.safetensors") for folder in (tiny_llava, tmp_path / "out"))
        changed = {name for name in before if not torch.equal(before[name], after[name])}
        assert changed
        assert not any("vision_tower" in name for name in changed)
