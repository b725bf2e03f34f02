"""`python -m llavamed_trainer` as a user types it: quick help, one line on an error, several processes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from llavamed_trainer.recipes import RECIPES
from tests.conftest import CHECKOUT

# --cpu would start a single process whatever --num_processes says; without a GPU these two run on the CPU
TWO_PROCESSES = ("--multi_gpu", "--num_processes", "2", "--num_machines", "1", "--main_process_port", "0")


def run_command(
    *words: str | Path, launcher: tuple[str, ...] = (), **settings: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *launcher, "llavamed_trainer", *map(str, words)],
        cwd=CHECKOUT,
        env={**os.environ, "COLUMNS": "100", "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", **settings},
        capture_output=True,
        text=True,
    )


def test_help_names_every_command_without_loading_torch() -> None:
    code = (
        "import sys; from llavamed_trainer.cli.app import app\n"
        "try: app(['--help'])\n"
        "except SystemExit: pass\n"
        "assert not {'torch', 'transformers', 'datasets', 'pyarrow'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=CHECKOUT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for command in (
        "assemble",
        "plan",
        "train",
        "merge",
        "check",
        "predict",
        "score",
        "judge",
        "tables",
        "sweep",
    ):
        assert f" {command} " in done.stdout


def test_help_of_train_names_the_recipes() -> None:
    done = run_command("train", "--help")
    assert done.returncode == 0
    assert all(name in done.stdout for name in RECIPES)


def test_a_wrong_call_is_reported_in_one_line() -> None:
    done = run_command("train", "--config", "stage1", "--lerning_rate", "1")
    assert done.returncode == 2
    lines = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert lines == ["error: train does not take --lerning_rate: did you mean --learning_rate?"]
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_two_processes_share_a_training_step_and_one_of_them_prints(
    tiny_llava: Path, dataset: Path, tmp_path: Path
) -> None:
    done = run_command(
        *("train", "--config", "stage2-60k", "--model_name_or_path", tiny_llava, "--dataset", dataset),
        *("--global_batch_size", "8", "--per_device_train_batch_size", "2", "--dataloader_num_workers", "0"),
        *("--logging_steps", "1", "--max_steps", "2", "--output_dir", tmp_path / "run"),
        launcher=("accelerate.commands.launch", *TWO_PROCESSES, "--module"),
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("2 rows × 2 processes × 2 accumulated = 8 rows") == 1
    assert done.stdout.count("training step 2/2") == 1
    assert json.loads((tmp_path / "run" / "run.json").read_text())["state"] == "done"


@pytest.mark.slow
def test_environment_variables_of_a_file_are_set_before_torch_is_imported(tmp_path: Path) -> None:
    settings = tmp_path / "mine.yaml"
    settings.write_text("recipe: stage1\nenv: {LLAVAMED_TRIED: 3}\n")
    code = (
        "import os, sys\n"
        "class Watch:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'torch': print('torch sees', os.environ.get('LLAVAMED_TRIED'))\n"
        "sys.meta_path.insert(0, Watch())\n"
        "from llavamed_trainer.cli.app import app\n"
        "app(['train', '--config', sys.argv[1], '--help-all'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(settings)], cwd=CHECKOUT, capture_output=True, text=True
    )
    assert done.stdout.splitlines()[0] == "torch sees 3", done.stderr
