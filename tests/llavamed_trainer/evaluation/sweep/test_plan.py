"""Grids to plans: counted by hand, and what may be shared."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.core import TyperGroup
from typer.main import get_command

from llavamed_data.errors import UsageError
from llavamed_trainer.cli.app import app
from llavamed_trainer.evaluation.sweep import SweepPlan, load_grid, make_plan

BASES = {"clip 7b llava": {"checkpoint": "org/llava"}}


def grid(folder: Path, **stated: Any) -> str:
    path = folder / "grid.yaml"
    path.write_text(yaml.safe_dump({"bases": BASES, "benchmarks": ["vqa-rad"], **stated}))
    return str(path)


def plan(folder: Path, **stated: Any) -> SweepPlan:
    return make_plan(load_grid(grid(folder, **stated)), Path("out"))


def test_table_4_counted_by_hand() -> None:
    # 23 rows of (a), and of (b) the three that (a) does not have: 26 models, each scored on three benchmarks.
    # Fine-tuned are 12 of them (10K: 1, 3; 60K: 1, 3; 60K-IM: 1, 3, 9, 15, 18; 13B, BioMed CLIP: 9; LLaVA: 3).
    table = make_plan(load_grid("table4.yaml"), Path("out"))
    assert table.counts == {"assemble": 1, "stage1": 6, "stage2": 11, "finetune": 36, "evaluate": 78}


def test_table_9_counted_by_hand() -> None:
    # Stage 1: LLaVA at 1 and 3 epochs, Vicuna, BioMed CLIP. Stage 2 on 60K-IM: 1, 3, 6 epochs of LLaVA without
    # Stage 1, and 3 epochs after each of the three Stages 1 of 1 epoch. Fine-tuned are 4 of the 13 rows.
    table = make_plan(load_grid("table9"), Path("out"))
    assert table.counts == {"assemble": 2, "stage1": 4, "stage2": 6, "finetune": 12, "evaluate": 39}


def test_table_10_counted_by_hand() -> None:
    # Stage 1: projector, full, without instruction. Stage 2: 1 + 3 (no Stage 1) + 2 · (1, 3, 6 epochs, 2 more seeds).
    table = make_plan(load_grid("table10"), Path("out"))
    assert table.counts == {"stage1": 3, "stage2": 14, "evaluate": 54}


def test_a_stage_1_is_trained_once_for_all_that_starts_from_it(tmp_path: Path) -> None:
    made = plan(tmp_path, grid=[{"instruct": ["10k", "60k"], "stage1": 1, "stage2": 3, "ft": [0, 9]}])
    stages = [run for run in made.runs.values() if run.kind == "stage1"]
    assert [run.name for run in stages] == ["clip-7b-llava/stage1-1ep"]
    assert {run.name for run in made.after(stages[0].name)} == {
        "clip-7b-llava/stage1-1ep/stage2-10k-3ep",
        "clip-7b-llava/stage1-1ep/stage2-60k-3ep",
    }
    assert made.counts == {"stage1": 1, "stage2": 2, "finetune": 2, "evaluate": 4}
    # By itself each of the four rows has Stage 1, Stage 2 and a score, two have fine-tuning too.
    assert made.unshared == 3 + 3 + 4 + 4


def test_different_lengths_of_a_stage_share_nothing(tmp_path: Path) -> None:
    made = plan(tmp_path, grid=[{"stage1": [1, 3]}])
    assert [run.needs for run in made.runs.values() if run.kind == "stage1"] == [None, None]


def test_seeds_start_from_one_stage_1(tmp_path: Path) -> None:
    made = plan(tmp_path, grid=[{"instruct": "10k", "stage1": 1, "stage2": 3, "ft": 1}], seeds=[1, 2, 3])
    assert made.counts == {"stage1": 1, "stage2": 3, "finetune": 3, "evaluate": 3}
    commands = [" ".join(run.commands[0]) for run in made.runs.values() if run.kind == "stage2"]
    assert [f"--seed {seed} " in each for seed, each in zip((1, 2, 3), commands, strict=True)] == [True] * 3


def test_each_run_comes_after_what_it_needs(tmp_path: Path) -> None:
    for name in ("table4", "table9", "table10"):
        seen = set[str | None]({None})
        for run in make_plan(load_grid(name), tmp_path).runs.values():
            assert run.needs in seen
            seen.add(run.name)


def test_the_commands_of_a_row(tmp_path: Path) -> None:
    made = make_plan(
        load_grid(
            grid(
                tmp_path,
                grid=[
                    {"instruct": "60k-im", "stage1": 1, "stage2": 3, "stage1_variant": "full-no-instruction"}
                ],
                datasets={"alignment": "data/align", "vqa-rad": "data/vqa-rad"},
                settings={"all": {"bf16": False}, "stage1": {"max_rows": 8}},
            )
        ),
        Path("out"),
        ["accelerate", "launch"],
    )
    first, second, scored = made.runs.values()
    model = "out/clip-7b-llava/stage1-no-instruction-1ep/model"
    assert " ".join(first.commands[0]) == (
        "accelerate launch -m llavamed_trainer train --config stage1-no-instruction --model_name_or_path org/llava "
        f"--dataset data/align --num_train_epochs 1 --seed 1 --bf16 False --max_rows 8 --output_dir {model}"
    )
    assert f"--config stage2-60k-im --model_name_or_path {model} --num_train_epochs 3" in " ".join(
        second.commands[0]
    )
    predict, score = (" ".join(command) for command in scored.commands)
    assert predict.startswith("{python} -m llavamed_trainer predict --model out/clip-7b-llava/")
    assert "--benchmark data/vqa-rad" in predict
    assert "--variant instruct=60k-im,stage1=1,stage2=3,ft=0" in score


@pytest.mark.parametrize("kind", ["assemble", "evaluate"])
def test_the_flags_of_packaged_grids_are_those_of_the_commands(kind: str) -> None:
    commands = {
        command[3]: command
        for run in make_plan(load_grid("table9"), Path("out")).runs.values()
        if run.kind == kind
        for command in run.commands
    }
    assert commands.keys() == ({"assemble"} if kind == "assemble" else {"predict", "score"})
    group = get_command(app)
    assert isinstance(group, TyperGroup)
    for name, command in commands.items():
        known = {flag for each in group.commands[name].params for flag in each.opts}
        assert {part for part in command if part.startswith("--")} <= known


@pytest.mark.parametrize(
    ("stated", "message"),
    [
        ({"grids": []}, "there is no 'grids'"),
        ({"tables": ["7"]}, "there is no table '7'"),
        ({}, "states nothing to train"),
        ({"grid": [{"stage1": 1, "init": "vicuna"}]}, "its bases have no 'clip 7b vicuna'"),
        ({"grid": [{"epochs": 1}]}, "there is no 'epochs'"),
        ({"grid": [{"ft": 1}], "benchmarks": ["okvqa"]}, "there is no benchmark 'okvqa'"),
        (
            {"grid": [{"ft": 1}], "settings": {"stage3": {}}},
            "settings go under all, stage1, stage2, finetune",
        ),
        ({"grid": [{"ft": 1}], "bases": {"clip 7b llava": {}}}, "needs a checkpoint, or flags"),
        ({"grid": [{"ft": 1}], "bases": {"clip": {}}}, "must be VISION LANGUAGE-MODEL INIT"),
        ({"grid": [{"ft": 1}], "bases": ["clip 7b llava"]}, "bases must be a mapping"),
        ({"grid": [{"ft": 1}], "bases": {"clip 7b llava": {"assemble": "tiny"}}}, "assemble of the base"),
        ({"grid": [{"ft": 1}], "settings": 3}, "settings must be a mapping"),
        ({"grid": [{"ft": 1}], "predict": "fast"}, "predict must be a mapping"),
        ({"grid": [{"ft": 1}], "seeds": "two"}, "the seed 'two' is not a number"),
        ({"grid": [{"stage2": "two", "instruct": "10k"}]}, "stage2=two is not a number"),
        ({"grid": 3}, "a block of grid must be a mapping"),
        ({"tables": 7}, "there is no table 7"),
    ],
)
def test_what_is_wrong_with_a_grid_is_named(tmp_path: Path, stated: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        load_grid(grid(tmp_path, **stated))


def test_a_grid_that_is_no_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "grid.yaml").write_bytes(b"name: \xff")
    with pytest.raises(UsageError, match=r"grid.yaml cannot be read"):
        load_grid(str(tmp_path / "grid.yaml"))


def test_a_grid_that_is_not_there_is_named() -> None:
    with pytest.raises(UsageError, match="one of the packaged grids: table4, table9, table10"):
        load_grid("table5.yaml")
