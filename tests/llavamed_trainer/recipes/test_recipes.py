"""Recipes hold the paper's numbers, and a user's own file builds on them."""

import re
from importlib.resources import files
from pathlib import Path

import pytest

from llavamed_data.errors import UsageError
from llavamed_trainer.recipes import BASES, RECIPES, accumulation, find_recipe, load_base, load_recipe

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


def test_recipes_that_start_from_the_published_llava_state_a_template_that_ends_answers() -> None:
    starts = [
        name for name in RECIPES if load_recipe(name).settings["model_name_or_path"].startswith("llava-hf/")
    ]
    assert starts == ["stage1", "stage1-full", "stage1-no-instruction"]
    assert {load_recipe(name).settings["template"] for name in starts} == {"vicuna_v1"}


# the names on the Hub; the learning rates with full tuning (None: the recipe's own) and LoRA; rank and alpha
OF_BASES = {
    "llava-1.5-7b": ("llava-hf/llava-1.5-7b-hf", None, 2e-4, 128, 256),
    "llava-med-v1.5": ("models/llava-med-v1.5-mistral-7b", None, 2e-4, 128, 256),
    "qwen2.5-vl-3b": ("Qwen/Qwen2.5-VL-3B-Instruct", 1e-5, 1e-4, 16, 32),
    "qwen2.5-vl-7b": ("Qwen/Qwen2.5-VL-7B-Instruct", 1e-5, 1e-4, 16, 32),
    "qwen3-vl-4b": ("Qwen/Qwen3-VL-4B-Instruct", 1e-5, 1e-4, 16, 32),
    "qwen3-vl-8b": ("Qwen/Qwen3-VL-8B-Instruct", 1e-5, 1e-4, 16, 32),
    "medgemma-4b": ("google/medgemma-4b-it", 1e-5, 2e-4, 16, 16),
    "smolvlm-500m": ("HuggingFaceTB/SmolVLM-500M-Instruct", 2e-5, 1e-4, 8, 8),
    "smolvlm-2.2b": ("HuggingFaceTB/SmolVLM2-2.2B-Instruct", 2e-5, 2e-4, 32, 16),
}


def test_all_bases_are_known_here() -> None:
    assert set(BASES) == set(OF_BASES)


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize("base", BASES)
def test_a_recipe_is_laid_out_for_a_base(base: str, name: str) -> None:
    model, rate, lora_rate, rank, alpha = OF_BASES[base]
    own = load_recipe(name).settings
    full = find_recipe(name, base).settings
    lora = find_recipe(name, base, adapters=True).settings
    assert full["learning_rate"] == (rate or own["learning_rate"])
    assert (lora["learning_rate"], lora["lora_r"], lora["lora_alpha"]) == (lora_rate, rank, alpha)
    assert lora["dtype"] == "bfloat16"
    assert "dtype" not in full
    start = f"runs/{base}/stage2-60k-im" if name.startswith("finetune") else model
    for settings in (full, lora):
        assert settings["model_name_or_path"] == start
        assert settings["output_dir"] == f"runs/{base}/{name}"
        # what is trained on what is the recipe's
        for setting in (
            "stage",
            "dataset",
            "split",
            "text",
            "num_train_epochs",
            "global_batch_size",
            "max_length",
        ):
            assert settings[setting] == own[setting]
        template = {"llava-1.5-7b": "vicuna_v1", "llava-med-v1.5": "mistral"}.get(base)
        assert settings.get("template") == template


@pytest.mark.parametrize("base", BASES)
def test_every_setting_of_a_base_names_its_source(base: str) -> None:
    text = files("llavamed_trainer.recipes").joinpath("bases", f"{base}.yaml").read_text(encoding="utf-8")
    stated = [line for line in text.splitlines() if re.match(r"  [a-z_0-9]+: |template: ", line)]
    assert [line for line in stated if "#" not in line] == []
    assert load_base(base).source in find_recipe("stage1", base).source


def test_a_file_names_a_base_and_comes_over_it(tmp_path: Path) -> None:
    own = tmp_path / "mine.yaml"
    own.write_text("recipe: stage2-60k\nbase: smolvlm-500m\nuse_peft: true\nlora_r: 4\n")
    found = find_recipe(str(own))
    assert (found.name, found.base) == ("stage2-60k", "smolvlm-500m")
    assert (found.settings["lora_r"], found.settings["lora_alpha"]) == (4, 8)
    assert find_recipe(str(own), "medgemma-4b").settings["model_name_or_path"] == "google/medgemma-4b-it"


def test_a_file_without_a_recipe_takes_a_base(tmp_path: Path) -> None:
    own = tmp_path / "mine.yaml"
    own.write_text("dataset: my/set\nbase: qwen2.5-vl-7b\noutput_dir: mine\n")
    found = find_recipe(str(own))
    assert found.settings["model_name_or_path"] == "Qwen/Qwen2.5-VL-7B-Instruct"
    assert found.settings["output_dir"] == "mine"


def test_a_template_goes_with_the_model_that_it_is_named_for(tmp_path: Path) -> None:
    own = tmp_path / "mine.yaml"
    own.write_text("recipe: stage1\nmodel_name_or_path: Qwen/Qwen2.5-VL-3B-Instruct\n")
    assert "template" not in find_recipe(str(own)).settings
    own.write_text("recipe: stage1\nmodel_name_or_path: models/mine\ntemplate: mistral\n")
    assert find_recipe(str(own)).settings["template"] == "mistral"
    own.write_text("recipe: stage1\nseed: 1\n")
    assert find_recipe(str(own)).settings["template"] == "vicuna_v1"


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("qwen3-vl", "did you mean qwen3-vl-4b or qwen3-vl-8b?"),
        ("medgema-4b", "did you mean medgemma-4b?"),
        ("gpt-4o", "choose from llava-1.5-7b, "),
    ],
)
def test_an_unknown_base_is_refused_with_the_nearest_names(name: str, hint: str) -> None:
    with pytest.raises(UsageError, match=re.escape(f"no base model is called '{name}': {hint}")):
        find_recipe("stage1", name)


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
