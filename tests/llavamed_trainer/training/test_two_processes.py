"""Two processes on CPU (gloo) have the loss curve of one, also when killed and resumed; a run shards or fails."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from datasets import Dataset
from transformers import LlavaForConditionalGeneration

from llavamed_trainer.models import Stage
from tests.conftest import CHECKOUT

from .runs import BOTH, Row, config, dataset, load, losses, state_of, trainer


@pytest.fixture(scope="module")
def rows(drawn_rows: list[Row], tiny_llava: Path) -> Dataset:
    return dataset(drawn_rows[:16], tiny_llava)


@pytest.fixture(scope="module")
def on_disk(rows: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("rows")
    rows.save_to_disk(path)
    return path


def launch(*arguments: object, **environment: str) -> "subprocess.CompletedProcess[str]":
    """`accelerate launch` on CPU; with `--cpu` it starts one process, whatever the number asked for."""
    command = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu"]
    command += ["--num_processes", "2", "--num_machines", "1", "--main_process_port", "0"]
    command += ["--mixed_precision", "no", "--dynamo_backend", "no", "--num_cpu_threads_per_process", "1"]
    script = Path(__file__).with_name("two_processes.py")
    told = {
        **os.environ,
        "PYTHONPATH": str(CHECKOUT),
        "ACCELERATE_USE_CPU": "true",
        "TOKENIZERS_PARALLELISM": "false",
    }
    return subprocess.run(
        [*command, str(script), *map(str, arguments)],
        env={**told, **environment},
        capture_output=True,
        text=True,
        timeout=200,
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("way", "stage"),
    [("ddp", BOTH), ("sharded", BOTH), ("sharded", Stage.PROJECTOR)],
    ids=["ddp", "sharded", "sharded-projector"],
)
def test_two_processes_have_the_loss_curve_of_one_and_resume_after_a_kill(
    tiny_llava: Path, rows: Dataset, on_disk: Path, tmp_path: Path, way: str, stage: Stage
) -> None:
    one = trainer(load(tiny_llava, stage), tiny_llava, config(tmp_path / "one", save_strategy="no"), rows)
    one.train()

    out = tmp_path / "two"
    killed = launch(tiny_llava, on_disk, out, way, 2, stage, "die-at=5")
    assert killed.returncode != 0
    assert not (out / "losses.json").exists()
    assert {path.name for path in out.glob("checkpoint-*")} == {"checkpoint-2", "checkpoint-4"}
    resumed = launch(tiny_llava, on_disk, out, way, 2, stage, "resume")
    assert resumed.returncode == 0, resumed.stderr[-3000:]
    assert json.loads((out / "losses.json").read_text()) == pytest.approx(losses(one), abs=2e-4)

    trained = LlavaForConditionalGeneration.from_pretrained(out / "final").state_dict()
    for name, wanted in state_of(one.model).items():
        assert torch.allclose(trained[name], wanted, atol=2e-4), name


@pytest.mark.slow
def test_a_launch_that_asked_for_fsdp_and_did_not_get_it_fails(
    tiny_llava: Path, on_disk: Path, tmp_path: Path
) -> None:
    made = launch(tiny_llava, on_disk, tmp_path, "ddp", 2, BOTH, ACCELERATE_USE_FSDP="true")
    assert made.returncode != 0
    assert "the launch asked for FSDP" in made.stderr
