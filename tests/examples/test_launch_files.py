"""Launch files: read by accelerate's own reader, and the Slurm script run with stand-ins for Slurm's commands."""

import argparse
import os
import subprocess
from pathlib import Path

import pytest
from accelerate.commands.config.config_args import load_config_from_file
from accelerate.commands.launch import _validate_launch_command, launch_command_parser

from tests.conftest import EXAMPLES

LAYOUTS = ("fsdp", "deepspeed_zero3", "ddp_multi_node")


@pytest.mark.parametrize("layout", LAYOUTS)
def test_accelerate_reads_the_layout(layout: str) -> None:
    found = load_config_from_file(str(EXAMPLES / "accelerate" / f"{layout}.yaml"))
    assert found.mixed_precision == "bf16"
    assert found.num_processes == 8 * found.num_machines


def test_every_layout_is_tested() -> None:
    assert {path.stem for path in (EXAMPLES / "accelerate").iterdir()} == set(LAYOUTS)


def test_fsdp_shards_everything_and_saves_whole_checkpoints() -> None:
    found = load_config_from_file(str(EXAMPLES / "accelerate" / "fsdp.yaml")).fsdp_config
    assert found["fsdp_version"] == 2
    assert found["fsdp_reshard_after_forward"] is True
    assert found["fsdp_state_dict_type"] == "FULL_STATE_DICT"


def test_deepspeed_is_zero_3_and_saves_whole_checkpoints() -> None:
    found = load_config_from_file(str(EXAMPLES / "accelerate" / "deepspeed_zero3.yaml")).deepspeed_config
    assert (found["zero_stage"], found["zero3_save_16bit_model"]) == (3, True)


def put(folder: Path, name: str, script: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/bash\n{script}\n")
    path.chmod(0o755)


def launched_on(node: int, tmp_path: Path, *arguments: str, **settings: str) -> argparse.Namespace:
    """What accelerate is given on one of two machines, as its own parser reads it."""
    put(tmp_path, "scontrol", "printf 'gpu-07\\ngpu-08\\n'")
    put(tmp_path, "srun", f'shift; export SLURM_NODEID={node}; exec "$@"')
    put(tmp_path, "accelerate", 'shift; printf "%s\\n" "$@"')
    done = subprocess.run(
        [EXAMPLES / "train_on_slurm.sh", *arguments],
        cwd=EXAMPLES.parent,
        env={
            "PATH": f"{tmp_path}:{os.environ['PATH']}",
            "SLURM_NNODES": "2",
            "SLURM_GPUS_ON_NODE": "4",
            "SLURM_JOB_NODELIST": "gpu-[07-08]",
            **settings,
        },
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return launch_command_parser().parse_args(done.stdout.splitlines())


def test_slurm_starts_every_gpu_of_every_machine(tmp_path: Path) -> None:
    first = launched_on(0, tmp_path, "--config", "stage2-60k-im", "--output_dir", "a folder")
    second = launched_on(1, tmp_path, "--config", "stage2-60k-im")
    assert (first.num_machines, first.num_processes) == (2, 8)
    assert (first.machine_rank, second.machine_rank) == (0, 1)
    assert first.main_process_ip == second.main_process_ip == "gpu-07"
    assert first.module
    assert first.training_script == "llavamed_trainer"
    assert first.training_script_args == ["train", "--config", "stage2-60k-im", "--output_dir", "a folder"]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_slurm_takes_any_layout(layout: str, tmp_path: Path) -> None:
    stated = launched_on(0, tmp_path, "--config", "stage1", CONFIG=layout)
    assert load_config_from_file(str(EXAMPLES.parent / stated.config_file)).num_processes
    stated, _defaults, _ = _validate_launch_command(stated)
    assert (stated.use_fsdp, stated.use_deepspeed) == (layout == "fsdp", layout == "deepspeed_zero3")
    assert stated.num_processes == 8  # the machines' own number, not the file's


def test_slurm_says_how_it_is_meant_where_there_is_none() -> None:
    done = subprocess.run(
        ["bash", EXAMPLES / "train_on_slurm.sh"],
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
    )
    assert done.returncode != 0
    assert "send this by sbatch" in done.stderr


def test_the_script_is_sound_bash() -> None:
    assert subprocess.run(["bash", "-n", EXAMPLES / "train_on_slurm.sh"]).returncode == 0
