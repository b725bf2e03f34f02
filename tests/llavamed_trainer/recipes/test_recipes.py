"""Recipes hold the paper's numbers, and a user's own file builds on them."""

import re
from importlib.resources import files
from pathlib import Path

import pytest

from llavamed_data.errors import UsageError
from llavamed_trainer.recipes import RECIPES, accumulation, find_recipe, load_recipe

# what the paper's Tables 4, 5, 10 and 11 and the released code fix: stage, text, dataset, epochs, rate
PAPER = {
    "stage1": ("projector", "all", "llava-med/alignment-600k", 1, 2e-3),
    "stage1-full": ("projector+language-model", "all", "llava-med/alignment-600k", 1, 2e-5),
    "stage1-no-instruction": ("projector+language-model", "answers", "llava-med/alignment-600k", 1, 2e-5),
    "stage2-10k": ("projector+language-model", "all", "llava-med/10k", 3, 2e-5),
    "stage2-60k": ("projector+language-model", "all", "llava-med/60k", 3, 2e-5),
    "stage2-60k-im": ("projector+language-model", "all", "llava-med/60k-im", 3, 2e-5),
    "finetune-vqa-rad": ("projector+language-model", "all", "llava-med/vqa-rad", 9, 2e-5),
    "finetune-slake": ("projector+language-model", "all", "llava-med/slake", 9, 2e-5),
    "finetune-path-vqa": ("projector+language-model", "all", "llava-med/path-vqa", 9, 2e-5),
}


def test_there_is_a_recipe_for_every_stage_of_the_paper() -> None:
    assert set(RECIPES) == set(PAPER)


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_has_the_papers_numbers(name: str) -> None:
    stated = load_recipe(name).settings
    assert (
        stated["stage"],
        stated["text"],
        stated["dataset"],
        stated["num_train_epochs"],
        stated["learning_rate"],
    ) == PAPER[name]
    assert stated["split"] == "train"
    assert (stated["global_batch_size"], stated["max_length"], stated["bf16"]) == (128, 2048, True)
    assert (stated["lr_scheduler_type"], stated["warmup_steps"], stated["weight_decay"]) == (
        "cosine",
        0.03,
        0.0,
    )


@pytest.mark.parametrize("name", RECIPES)
def test_every_number_names_its_source(name: str) -> None:
    text = files("llavamed_trainer.recipes").joinpath(f"{name}.yaml").read_text(encoding="utf-8")
    what, how = text.split("# How it is run: our choice")[0], text.split("# How it is run: our choice")[1]
    stated = [line for line in what.splitlines() if re.match(r"[a-z_0-9]+: ", line)]
    unsourced = [
        line for line in stated if "#" not in line and not line.startswith(("recipe:", "source:", "split:"))
    ]
    assert unsourced == []
    assert "per_device_train_batch_size" in how


def test_stages_follow_one_another() -> None:
    assert (
        load_recipe("stage2-60k-im").settings["model_name_or_path"]
        == load_recipe("stage1").settings["output_dir"]
    )
    before = load_recipe("stage2-60k-im").settings["output_dir"]
    assert load_recipe("finetune-vqa-rad").settings["model_name_or_path"] == before


def test_a_packaged_recipe_goes_by_name_with_or_without_its_ending(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_recipe("stage1") == find_recipe("stage1.yaml") == load_recipe("stage1")


def test_a_file_comes_before_a_packaged_recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("stage1.yaml").write_text("learning_rate: 0.5\n")
    found = find_recipe("stage1.yaml")
    assert dict(found.settings) == {"learning_rate": 0.5}
    assert found.name == "own settings"


def test_a_file_builds_on_the_recipe_it_names(tmp_path: Path) -> None:
    own = tmp_path / "mine.yaml"
    own.write_text("recipe: stage2-60k\nnum_train_epochs: 6\n")
    found = find_recipe(str(own))
    assert found.name == "stage2-60k"
    assert found.settings["num_train_epochs"] == 6
    assert found.settings["dataset"] == "llava-med/60k"


def test_an_unknown_recipe_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(UsageError, match="did you mean finetune-vqa-rad"):
        find_recipe("finetune-vqarad")


def test_a_missing_file_is_not_taken_for_a_recipe(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no file"):
        find_recipe(str(tmp_path / "stage1.yaml"))


@pytest.mark.parametrize("text", ["- a\n- b\n", "learning_rate: [1\n", "just words\n"])
def test_a_file_that_is_no_table_is_refused_by_name(tmp_path: Path, text: str) -> None:
    own = tmp_path / "mine.yaml"
    own.write_text(text)
    with pytest.raises(UsageError, match=re.escape(str(own))):
        find_recipe(str(own))


@pytest.mark.parametrize(
    ("rows", "per_device", "processes", "batches"), [(128, 16, 8, 1), (128, 16, 2, 4), (8, 2, 1, 4)]
)
def test_accumulation_fills_the_global_batch(
    rows: int, per_device: int, processes: int, batches: int
) -> None:
    assert accumulation(rows, per_device, processes) == batches
    assert accumulation(rows, per_device, processes, stated=batches) == batches


@pytest.mark.parametrize(
    ("rows", "per_device", "processes", "stated", "message"),
    [
        (100, 16, 1, None, "--per_device_train_batch_size 10 would"),
        (128, 16, 3, None, "--global_batch_size must be a multiple of 3, such as 129"),
        (128, 16, 1, 4, "are 64 rows a training step, global_batch_size is 128"),
        (8, 16, 1, None, "--per_device_train_batch_size 8 would"),
        (0, 16, 1, None, "at least one row"),
    ],
)
def test_a_batch_that_does_not_divide_is_refused_with_a_way_out(
    rows: int, per_device: int, processes: int, stated: int | None, message: str
) -> None:
    with pytest.raises(UsageError, match=re.escape(message)):
        accumulation(rows, per_device, processes, stated=stated)
