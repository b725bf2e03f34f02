"""What a user gets from `train`: whole runs on the tiny model."""

import copy
import io
import json
import os
import re
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import torch
from datasets import Dataset, Image
from huggingface_hub import HfApi, ModelCard
from rich.console import Console
from safetensors.torch import load_file, save_file
from transformers import AutoProcessor, LlavaForConditionalGeneration

from llavamed_data.errors import LlavaMedError, UsageError
from llavamed_trainer.models import load_llava
from llavamed_trainer.models.loading import adapter_base
from llavamed_trainer.recipes import RECIPES, load_recipe
from llavamed_trainer.running import parse_settings, run_training
from tests.conftest import CHECKOUT
from tests.llavamed_trainer.running.conftest import Train, write_set
from tests.servers.hub import HubFault, HubProcess, running_hub


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_recipe_trains_and_its_loss_falls(
    recipe: str, train: Train, tiny_llava: Path, tmp_path: Path
) -> None:
    report = train(recipe, "--learning_rate", "5e-3")
    assert report.steps == 8  # 16 rows × 4 epochs / 8 a step
    assert report.first_loss is not None
    assert report.last_loss is not None
    assert report.last_loss < report.first_loss
    before, after = (load_file(folder / "model.safetensors") for folder in (tiny_llava, tmp_path / "run"))
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert not any("vision_tower" in name for name in changed)
    assert any("multi_modal_projector.linear_1" in name for name in changed)
    both = load_recipe(recipe).settings["stage"] == "projector+language-model"
    assert any("language_model" in name for name in changed) == both


def test_a_run_leaves_a_model_that_stock_transformers_loads(train: Train, tmp_path: Path) -> None:
    train("stage2-60k-im", "--max_steps", "1")
    model, seen = LlavaForConditionalGeneration.from_pretrained(tmp_path / "run", output_loading_info=True)
    assert not seen["missing_keys"]
    assert not seen["unexpected_keys"]
    assert model.config.projector_hidden_act == "linear"
    assert "generation" in AutoProcessor.from_pretrained(tmp_path / "run").chat_template


def test_the_card_states_the_run(train: Train, tmp_path: Path) -> None:
    train("stage1")
    card = ModelCard.load(tmp_path / "run" / "README.md")
    text = card.text
    assert "recipe `stage1` (section 4, Table 4" in text
    assert re.search(r"\| sets\d+/drawn \| files [0-9a-f]{12} \| cc-by-nc-4.0 \|", text)
    assert "| learning\\_rate | 0.002 |" in text
    assert "![Loss over the training steps of the run](loss.png)" in text
    assert len(re.findall(r"^\| \d+ \| \d+\.\d{4} \|$", text, re.MULTILINE)) == 8
    assert "Not for clinical use" in text
    assert (tmp_path / "run" / "loss.png").stat().st_size > 1000
    assert card.data.base_model is None  # a folder is no model of the Hub


@pytest.mark.parametrize("split", ["test", "train+test[:50%]"])
def test_training_on_a_split_for_evaluation_is_said_there_and_in_the_card(
    split: str, train: Train, output: io.StringIO, tmp_path: Path
) -> None:
    train("stage1", "--split", split, "--max_steps", "1")
    text = " ".join(output.getvalue().split())
    assert re.search(r"WARNING: this trains on data for evaluation \(split test of \S+\)", text)
    card = ModelCard.load(tmp_path / "run" / "README.md").text
    assert re.search(r"\| WARNING \| trained on split test of .*, so its scores there do not count", card)


def copied(dataset: Path, folder: Path, **stated: str) -> Path:
    """A copy of a dataset under another name, with a card that states other things."""
    shutil.copytree(dataset, folder)
    lines = "".join(f"{name}: {value}\n" for name, value in stated.items())
    (folder / "README.md").write_text(f"---\n{lines}---\n# A set\n")
    return folder


def test_rows_of_a_benchmark_and_the_evaluation_set_are_known_under_other_names(
    train: Train, drawn_rows: list[dict[str, Any]], dataset: Path, output: io.StringIO, tmp_path: Path
) -> None:
    rows = [
        row | {"id": f"vqa-rad-{'test' if at < 3 else 'train'}-{at}"}
        for at, row in enumerate(drawn_rows[:16])
    ]
    mixed = write_set(tmp_path / "mixed", rows)
    train("stage1", "--dataset", mixed, "--max_steps", "1")
    text = " ".join(output.getvalue().split())
    assert f"data for evaluation (3 rows of test splits of benchmarks in {mixed})" in text
    train(
        "stage1", "--dataset", mixed, "--max_steps", "1", "--streaming", "--output_dir", tmp_path / "streamed"
    )
    text = " ".join(output.getvalue().split())
    assert f"(3 rows of test splits of benchmarks among the first 16 in {mixed})" in text
    renamed = copied(dataset, tmp_path / "renamed", pretty_name="LLaVA-Med Eval")
    train("stage1", "--dataset", renamed, "--max_steps", "1", "--output_dir", tmp_path / "second")
    assert f"data for evaluation (the evaluation set {renamed})" in " ".join(output.getvalue().split())
    assert "WARNING" in (tmp_path / "second" / "README.md").read_text()


def test_the_warning_of_a_test_split_can_be_left_out_and_the_card_states_it_all_the_same(
    train: Train, output: io.StringIO, tmp_path: Path
) -> None:
    train("stage1", "--split", "test", "--max_steps", "1", "--allow-test-split")
    assert "WARNING" not in output.getvalue()
    assert "trained on split test of" in (tmp_path / "run" / "README.md").read_text()


def test_a_length_that_no_row_fits_is_refused_with_the_length_that_rows_need(train: Train) -> None:
    with pytest.raises(
        UsageError, match=r"--max_length 19 has no room for any row: .* give --max_length \d+ or more"
    ):
        train("stage1", "--max_length", "19")


def test_a_column_of_one_image_each_is_refused_with_how_it_becomes_a_list(
    train: Train, drawn_rows: list[dict[str, Any]], tmp_path: Path
) -> None:
    (tmp_path / "one").mkdir()
    Dataset.from_list(
        [{"messages": row["messages"], "image": row["images"][0]} for row in drawn_rows[:4]]
    ).cast_column("image", Image()).to_parquet(tmp_path / "one" / "train.parquet")
    with pytest.raises(UsageError, match=r"has a column image of one image each.*rows\.map\(lambda row"):
        train("stage1", "--dataset", tmp_path / "one")


def test_names_that_cannot_be_looked_up_offline_say_so(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    with pytest.raises(
        UsageError, match=r"there is no dataset 'lab/set' here, and the Hub.*HF_HUB_OFFLINE is set"
    ):
        train("stage1", "--dataset", "lab/set")
    with pytest.raises(
        UsageError, match=r"no checkpoint 'lab/model' here, and the Hub.*HF_HUB_OFFLINE is set"
    ):
        train("stage1", "--model_name_or_path", "lab/model")


def test_training_on_the_training_split_needs_no_warning(
    train: Train, output: io.StringIO, tmp_path: Path
) -> None:
    train("stage1", "--split", "train[:50%]", "--max_steps", "1")
    assert "WARNING" not in output.getvalue() + (tmp_path / "run" / "README.md").read_text()


def test_the_log_has_a_line_for_each_training_step(train: Train, output: io.StringIO, tmp_path: Path) -> None:
    train("finetune-vqa-rad", "--num_train_epochs", "2")
    text = output.getvalue()
    assert "projector+language-model" in text
    assert "16 of split train" in text
    assert "4 rows × 1 process × 2 accumulated = 8 rows" in text
    line = next(line for line in text.splitlines() if line.startswith("training step 2/4 (50.0%)"))
    assert re.search(
        r"loss \d+\.\d{4} · learning rate \d\.\d\de-\d\d · [\d,]+ tokens/s · [\d.,]+ images/s · padding \d+\.\d% "
        r"· [\d.]+ GB",
        line,
    )
    assert re.search(r"left, ends \w{3} \d\d:\d\d", line)
    assert f'LlavaForConditionalGeneration.from_pretrained("{tmp_path / "run"}")' in text
    assert "predict --model" in text


def test_on_a_terminal_there_is_a_bar(train: Train) -> None:
    screen = io.StringIO()
    train("stage1", "--max_steps", "2", console=Console(file=screen, force_terminal=True, width=160))
    assert "2/2" in screen.getvalue()
    assert "tokens/s" in screen.getvalue()


def test_speed_and_padding_reach_whatever_reports(train: Train, tmp_path: Path) -> None:
    train("stage1", "--max_steps", "2")
    logged = json.loads((tmp_path / "run" / "trainer_state.json").read_text())["log_history"][0]
    assert logged["tokens_per_second"] > 0
    assert logged["images_per_second"] > 0
    assert 0 <= logged["padding"] < 1


class Broken(io.StringIO):
    """An output that fails at a line, as a full disk or a closed pipe would fail."""

    def __init__(self, line: str) -> None:
        super().__init__()
        self._line = line

    def write(self, text: str) -> int:
        if text.startswith(self._line):
            raise OSError(28, "No space left on device")
        return super().write(text)


@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["stage1", "stage2-60k"])
def test_a_run_that_failed_resumes_to_the_same_weights(
    recipe: str, train: Train, output: io.StringIO, tmp_path: Path
) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    train(recipe, "--save_steps", "2", "--output_dir", whole)
    with pytest.raises(OSError, match="No space"):
        train(
            recipe,
            "--save_steps",
            "2",
            "--output_dir",
            broken,
            console=Console(file=Broken("training step 6/8"), width=160),
        )
    report = train(recipe, "--save_steps", "2", "--output_dir", broken)
    assert "resuming from" in output.getvalue()
    assert "checkpoint-4" in output.getvalue()
    assert report.steps == 8
    ends = [load_file(folder / "model.safetensors") for folder in (whole, broken)]
    assert ends[0].keys() == ends[1].keys()
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])
    curves = [
        json.loads((folder / "trainer_state.json").read_text())["log_history"] for folder in (whole, broken)
    ]
    losses = [[entry["loss"] for entry in curve if "loss" in entry] for curve in curves]
    assert losses[0] == losses[1]


def test_a_run_does_not_change_the_settings_that_it_was_given(
    tiny_llava: Path, dataset: Path, tmp_path: Path, output: io.StringIO
) -> None:
    words = [
        *("--config", "stage2-60k", "--model_name_or_path", tiny_llava, "--dataset", dataset, "--packing"),
        *("--global_batch_size", 8, "--per_device_train_batch_size", 4, "--dataloader_num_workers", 0),
        *("--num_train_epochs", 1, "--output_dir", tmp_path / "run"),
    ]
    settings = parse_settings([str(word) for word in words])
    before = copy.deepcopy(settings.training.to_dict())
    run_training(settings, console=Console(file=output))
    assert settings.training.to_dict() == before
    assert settings.training.packing
    assert settings.training.max_steps == -1


def test_a_run_that_is_done_is_not_done_again(train: Train, output: io.StringIO, tmp_path: Path) -> None:
    first = train("stage1", "--max_steps", "2")
    before = (tmp_path / "run" / "model.safetensors").stat().st_mtime_ns
    again = train("stage1", "--max_steps", "2")
    assert (again.steps, again.last_loss) == (first.steps, first.last_loss)
    assert (tmp_path / "run" / "model.safetensors").stat().st_mtime_ns == before
    assert "is done already" in output.getvalue()
    with pytest.raises(UsageError, match="holds another run"):
        train("stage1", "--max_steps", "3")


def test_a_stream_trains_as_many_steps_as_a_download(train: Train, output: io.StringIO) -> None:
    report = train("stage1", "--streaming", "--shuffle_buffer", "0", "--num_train_epochs", "2")
    assert report.steps == 4
    assert "streamed" in output.getvalue()


def test_max_rows_trains_on_the_first_rows(train: Train) -> None:
    assert train("stage1", "--max_rows", "8", "--num_train_epochs", "3").steps == 3


def test_rows_are_evaluated_and_the_best_checkpoint_is_kept(train: Train, output: io.StringIO) -> None:
    report = train(
        *("finetune-slake", "--learning_rate", "5e-3", "--eval_strategy", "steps", "--eval_steps", "2"),
        *("--eval_split", "test", "--save_steps", "2", "--load_best_model_at_end", "true"),
    )
    assert report.steps == 8
    assert output.getvalue().count("evaluation loss") >= 4


def test_a_packed_run_trains(train: Train) -> None:
    report = train("stage2-60k", "--packing", "--learning_rate", "5e-3")
    assert report.first_loss is not None
    assert report.last_loss is not None
    assert report.last_loss < report.first_loss


def test_a_packed_run_says_how_many_rows_a_training_step_takes(
    train: Train, tiny_llava: Path, dataset: Path, output: io.StringIO, tmp_path: Path
) -> None:
    # 16 rows in packs of 2,048 tokens: all in one or two packs, so that a training step of 8 packs takes all 16 rows.
    report = train("stage2-60k", "--packing", "--num_train_epochs", "2")
    text = " ".join(output.getvalue().split())
    assert report.steps == 2  # one an epoch
    assert re.search(
        r"4 packs × 1 process × 2 accumulated = 8 packs of (8|16)\.0 rows in the mean, about 16 rows", text
    )
    assert "a training step takes about 16 rows, not 8" in text
    assert re.search(r"\| training steps │ 2 \(2 epochs\)|training steps │ 2 \(2 epochs\)", text)
    card = ModelCard.load(tmp_path / "run" / "README.md").text
    assert "| global\\_batch\\_size | 8 packs of rows |" in card


def test_the_advice_for_packs_gives_about_the_rows_of_the_recipe(
    train: Train, output: io.StringIO, tmp_path: Path
) -> None:
    short = ("--packing", "--max_length", "400", "--num_train_epochs", "1")
    train("stage2-60k", *short, "--output_dir", tmp_path / "first")
    text = " ".join(output.getvalue().split())
    found = re.search(
        r"--global_batch_size (\d+) --per_device_train_batch_size (\d+) would take about (\d+)", text
    )
    assert found
    assert abs(int(found[3]) - 8) <= 4
    train(
        *("stage2-60k", *short, "--output_dir", tmp_path / "second"),
        *("--global_batch_size", found[1], "--per_device_train_batch_size", found[2]),
    )
    assert f"about {found[3]} rows" in " ".join(output.getvalue().split())


def test_bad_rows_are_counted_by_reason_and_listed(
    train: Train, drawn_rows: list[dict[str, Any]], output: io.StringIO, tmp_path: Path
) -> None:
    rows = [dict(row) for row in drawn_rows[:16]]
    rows[3]["images"] = [{"bytes": b"no picture", "path": "x.jpg"}]
    rows[5]["messages"] = rows[5]["messages"][:1]
    folder = write_set(tmp_path / "sets" / "bad", rows)
    report = train("stage2-60k", "--dataset", folder, "--num_train_epochs", "1")
    assert report.bad_rows == {"image unreadable": 1, "no answer": 1}
    listed = [json.loads(line) for line in (tmp_path / "run" / "bad_rows.jsonl").read_text().splitlines()]
    assert {line["id"] for line in listed} == {"drawn-3", "drawn-5"}
    assert "16 of split train, 1 of them cannot be trained on" in output.getvalue()  # images are read later
    assert "rows that could not be trained on: 2" in output.getvalue()
    with pytest.raises(LlavaMedError, match=r"rows could not be trained on, 1 is allowed"):
        train("stage2-60k", "--dataset", folder, "--max_bad_rows", "1", "--output_dir", tmp_path / "strict")


def test_a_run_in_which_no_row_has_messages_says_what_is_wrong_with_the_first(
    train: Train, drawn_rows: list[dict[str, Any]], tmp_path: Path
) -> None:
    folder = write_set(
        tmp_path / "silent", [{**row, "messages": row["messages"][:1]} for row in drawn_rows[:3]]
    )
    with pytest.raises(
        LlavaMedError, match=r"none of the 3 rows .* for this reason: no answer \(.+\): correct them"
    ):
        train("stage2-60k", "--dataset", folder)


@pytest.mark.parametrize("flags", [[], ["--packing"], pytest.param(["--streaming"], marks=pytest.mark.slow)])
def test_a_run_without_a_single_usable_row_fails_and_leaves_no_model(
    flags: list[str], train: Train, drawn_rows: list[dict[str, Any]], tmp_path: Path
) -> None:
    torn = [{"bytes": b"no picture", "path": "x.jpg"}]
    folder = write_set(tmp_path / "sets" / "torn", [{**row, "images": torn} for row in drawn_rows[:16]])
    words = ("stage2-60k", "--dataset", folder, "--max_steps", "1", "--save_steps", "1", *flags)
    for _ in range(2):  # a rerun of the same command must not take what it finds for a model
        with pytest.raises(LlavaMedError, match=r"none of the \d+ rows .*image unreadable.*bad_rows.jsonl"):
            train(*words)
    assert not (tmp_path / "run" / "README.md").exists()
    assert not (tmp_path / "run" / "model.safetensors").exists()
    assert json.loads((tmp_path / "run" / "run.json").read_text())["state"] == "running"


def test_one_usable_row_among_bad_ones_is_trained_on(
    train: Train, drawn_rows: list[dict[str, Any]], tmp_path: Path
) -> None:
    torn = [{"bytes": b"no picture", "path": "x.jpg"}]
    rows = [{**row, "images": torn} for row in drawn_rows[:15]] + [drawn_rows[15]]
    folder = write_set(tmp_path / "sets" / "nearly", rows)
    report = train("stage2-60k", "--dataset", folder, "--num_train_epochs", "1")
    assert (report.steps, report.bad_rows) == (2, {"image unreadable": 15})


_EVALUATED = ("--eval_strategy", "steps", "--eval_steps", "1", "--max_steps", "1", "--eval_split", "test")


def test_rows_that_cannot_be_used_do_not_lower_the_evaluation_loss(
    train: Train, drawn_rows: list[dict[str, Any]], output: io.StringIO, tmp_path: Path
) -> None:
    torn = [{"bytes": b"no picture", "path": "x.jpg"}]
    rows = [{**row, "images": torn} for row in drawn_rows[16:22]]
    losses = []
    for name, evaluated in (("whole", drawn_rows[22:24]), ("torn", [*rows, *drawn_rows[22:24]])):
        folder = write_set(tmp_path / "sets" / name, evaluated, "test")
        words = ("--eval_dataset", folder, "--per_device_eval_batch_size", 2, "--output_dir", tmp_path / name)
        train("stage2-60k", *_EVALUATED, *words)
        losses.append(re.findall(r"evaluation loss (\d+\.\d+)", output.getvalue())[-1])
    assert losses[0] == losses[1]
    assert float(losses[0]) > 1


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ({"images": [{"bytes": b"no picture", "path": "x.jpg"}]}, "no row of the evaluation set can be used"),
        ({"messages": []}, "none of the 8 rows of split test of .* can be evaluated"),
    ],
)
def test_an_evaluation_without_a_single_usable_row_fails(
    fault: dict[str, Any], message: str, train: Train, drawn_rows: list[dict[str, Any]], tmp_path: Path
) -> None:
    folder = write_set(tmp_path / "sets" / "bad", [{**row, **fault} for row in drawn_rows[16:24]], "test")
    with pytest.raises(LlavaMedError, match=message):
        train("stage2-60k", *_EVALUATED, "--eval_dataset", folder)
    assert not (tmp_path / "run" / "model.safetensors").exists()


def test_adapters_are_trained_loaded_and_merged_by_the_next_stage(
    train: Train, tiny_llava: Path, tmp_path: Path, output: io.StringIO
) -> None:
    from peft import PeftModel

    adapted = tmp_path / "adapted"
    report = train(
        "stage2-60k-im", "--use_peft", "--lora_r", "4", "--learning_rate", "5e-3", "--output_dir", adapted
    )
    assert report.first_loss is not None
    assert report.last_loss is not None
    assert report.last_loss < report.first_loss
    assert "LoRA of rank 4" in output.getvalue()
    base = LlavaForConditionalGeneration.from_pretrained(tiny_llava)
    names = [
        name
        for name, _ in PeftModel.from_pretrained(base, str(adapted)).named_parameters()
        if "lora_A" in name
    ]
    assert names
    assert not any("vision_tower" in name for name in names)
    assert ModelCard.load(adapted / "README.md").data.library_name == "peft"
    after = train("finetune-vqa-rad", "--model_name_or_path", adapted, "--max_steps", "1")
    assert after.first_loss == pytest.approx(report.last_loss, abs=1.0)
    assert after.first_loss < report.first_loss
    merged = load_file(tmp_path / "run" / "model.safetensors")
    assert not any("lora" in name for name in merged)
    assert "load it:     PeftModel.from_pretrained(" in output.getvalue()


def test_an_adapter_on_an_adapter_is_not_said_to_load_by_itself(
    train: Train, tmp_path: Path, output: io.StringIO
) -> None:
    """PEFT loads it onto the base of the first adapter, and leaves the first adapter out."""
    first, second = tmp_path / "first", tmp_path / "second"
    train("stage2-60k-im", "--use_peft", "--lora_r", "4", "--max_steps", "1", "--output_dir", first)
    before = len(output.getvalue())
    words = ("finetune-vqa-rad", "--use_peft", "--lora_r", "4", "--max_steps", "1")
    train(*words, "--model_name_or_path", first, "--output_dir", second)
    said = output.getvalue()[before:]
    assert "load it:" not in said
    assert f"merge it:    python -m llavamed_trainer merge {second} OUT" in said


def test_an_adapter_finds_its_base_from_any_folder(
    train: Train, tiny_llava: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(tiny_llava, tmp_path / "models" / "tiny")
    monkeypatch.chdir(tmp_path)
    steps = ("--max_steps", "1", "--warmup_steps", "0", "--learning_rate", "1e-2")
    adapter = ("stage2-60k", "--use_peft", "true", *steps)
    train(*adapter, "--model_name_or_path", "models/tiny", "--output_dir", "runs/first")
    train(*adapter, "--model_name_or_path", "runs/first", "--output_dir", "runs/second")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    loaded = [load_llava(f"../runs/{name}")[0].state_dict() for name in ("first", "second")]
    assert any(not torch.equal(loaded[0][name], loaded[1][name]) for name in loaded[0])
    # an adapter that was trained with a relative path before
    config = tmp_path / "runs" / "first" / "adapter_config.json"
    stated = json.loads(config.read_text())
    assert stated["base_model_name_or_path"] == str(tmp_path / "models" / "tiny")
    config.write_text(json.dumps({**stated, "base_model_name_or_path": "models/tiny"}))
    again = load_llava("../runs/first")[0].state_dict()
    assert all(torch.equal(loaded[0][name], again[name]) for name in again)


def test_a_wrong_base_of_an_adapter_is_named(tiny_llava: Path, tmp_path: Path) -> None:
    adapter = tmp_path / "runs" / "lora"
    adapter.mkdir(parents=True)

    def base_of(stated: object) -> str | None:
        (adapter / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": stated}))
        return adapter_base(str(adapter))

    with pytest.raises(UsageError, match="states itself"):
        base_of(str(adapter))
    with pytest.raises(UsageError, match="does not state which model"):
        base_of(5)
    shutil.copytree(tiny_llava, tmp_path / "models" / "tiny")
    moved = base_of("/before/it/was/moved/models/tiny")  # with the adapter, to the same place beside it
    assert moved == str(tmp_path / "models" / "tiny")
    assert base_of("org/name") == "org/name"
    base_of(str(tmp_path / "gone"))
    with pytest.raises(
        UsageError, match=r"base of the adapter .*lora cannot be loaded .*base_model_name_or_path"
    ):
        load_llava(str(adapter))
    (adapter / "adapter_config.json").write_text("{")
    with pytest.raises(UsageError, match="damaged or do not belong together"):
        load_llava(str(adapter))


@pytest.mark.parametrize("recipe", [name for name in RECIPES if name != "stage2-60k-im"])
def test_every_recipe_runs_with_adapters(
    recipe: str, train: Train, output: io.StringIO, tmp_path: Path
) -> None:
    train(recipe, "--use_peft", "true", "--max_steps", "2", "--gradient_checkpointing", "false")
    names = load_file(tmp_path / "run" / "adapter_model.safetensors").keys()
    assert any("language_model" in name and "lora_A" in name for name in names)
    assert any("multi_modal_projector" in name for name in names)
    assert not any("vision_tower" in name for name in names)
    beside = "trained beside the projector of this stage" in output.getvalue()
    assert beside == (load_recipe(recipe).settings["stage"] == "projector")


def test_a_checkpoint_that_lacks_weights_is_not_trained_from_random_ones(
    train: Train, tiny_llava: Path, tmp_path: Path
) -> None:
    torn = tmp_path / "torn"
    shutil.copytree(tiny_llava, torn)
    weights = load_file(torn / "model.safetensors")
    del weights["language_model.model.norm.weight"]
    save_file(weights, torn / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UsageError, match="lacks 1 weight "):
        train("stage1", "--model_name_or_path", str(torn), "--max_steps", "1")


def _cut_in_half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("model.safetensors", None),
        ("model.safetensors", ""),
        ("config.json", "[]"),
        ("config.json", '{"model_type": "llava", '),
        ("tokenizer.json", '{"version": "1.0"}'),
        ("processor_config.json", "x"),
    ],
)
def test_a_damaged_checkpoint_is_named_in_one_line(
    file: str, content: str | None, train: Train, tiny_llava: Path, tmp_path: Path
) -> None:
    damaged = tmp_path / "damaged"
    shutil.copytree(tiny_llava, damaged)
    if content is None:
        _cut_in_half(damaged / file)
    else:
        (damaged / file).write_text(content)
    with pytest.raises(UsageError, match="cannot be loaded .*damaged or do not belong together") as caught:
        train("stage1", "--model_name_or_path", damaged)
    assert str(damaged) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("images", "message"), [(["a.jpg"], "holds no lists of images"), ([], "has no rows in 'train'")]
)
def test_a_dataset_of_other_types_or_without_rows_is_refused_in_one_line(
    images: list[str], message: str, train: Train, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    rows = {"id": ["1"] * len(images), "messages": [[]] * len(images), "images": images}
    Dataset.from_dict(rows).to_parquet(tmp_path / "other" / "train.parquet")
    with pytest.raises(UsageError, match=message) as caught:
        train("stage1", "--dataset", tmp_path / "other")
    assert "\n" not in str(caught.value)


def test_a_disk_that_is_full_is_told_in_one_line(tiny_llava: Path, dataset: Path, tmp_path: Path) -> None:
    words = [
        *("train", "--config", "stage2-60k", "--model_name_or_path", tiny_llava, "--dataset", dataset),
        *("--global_batch_size", 8, "--dataloader_num_workers", 0, "--max_steps", 1, "--save_steps", 1),
        *("--output_dir", tmp_path / "run"),
    ]
    done = subprocess.run(
        ["bash", "-c", 'ulimit -f 1000; exec "$@"', "bash", sys.executable, "-m", "llavamed_trainer"]
        + [str(word) for word in words],
        cwd=CHECKOUT,
        env={**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert "error: no checkpoint or model could be written to" in done.stderr


def test_four_bit_is_refused_without_adapters_or_its_package(
    train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UsageError, match="add --use_peft"):
        train("stage2-60k-im", "--load_in_4bit")
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    with pytest.raises(LlavaMedError, match="4 bit needs the package bitsandbytes: pip install bitsandbytes"):
        train("stage2-60k-im", "--use_peft", "--load_in_4bit")


@pytest.mark.skipif(find_spec("bitsandbytes") is None, reason="needs bitsandbytes")
def test_an_adapter_is_not_merged_into_weights_of_few_bits(train: Train, tmp_path: Path) -> None:
    train("stage2-60k", "--use_peft", "--lora_r", "2", "--max_steps", "1")
    flags = ("--use_peft", "--load_in_4bit", "--output_dir", str(tmp_path / "next"))
    with pytest.raises(UsageError, match=r"merge it first \(python -m llavamed_trainer merge"):
        train("stage2-60k", "--model_name_or_path", tmp_path / "run", *flags)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--dataset", "nobody/nothing"], "there is no dataset 'nobody/nothing'"),
        (["--model_name_or_path", "runs/nothing"], "there is no checkpoint 'runs/nothing'"),
        (["--split", "validation"], "cannot be read as 'validation'"),
        (["--eval_strategy", "epoch"], "--eval_strategy needs --eval_split"),
        (["--template", "vicuna"], "no chat template is called 'vicuna'"),
        (["--dataset_revision", "main"], "is a folder here"),
    ],
)
def test_a_missing_dataset_model_or_split_is_named(
    flags: list[str], message: str, train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(UsageError, match=re.escape(message)):
        train("stage1", *flags)


def test_a_dataset_of_another_form_is_refused_and_its_missing_columns_are_named(
    train: Train, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "train.jsonl").write_text('{"image": "a.jpg", "conversations": []}\n')
    with pytest.raises(
        UsageError, match=r"has no column messages and images \(it has image, conversations\)"
    ):
        train("stage1", "--dataset", tmp_path / "other")


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"model_type": "llama"}, "llama is no vision–language model"),
        ({"model_type": "llava_mistral"}, "assemble"),
    ],
)
def test_a_model_of_another_kind_is_refused(
    config: dict[str, str], message: str, train: Train, tmp_path: Path
) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text(json.dumps(config))
    with pytest.raises(UsageError, match=message):
        train("stage1", "--model_name_or_path", tmp_path / "model")


def test_a_run_without_a_model_is_refused() -> None:
    with pytest.raises(UsageError, match="give the model to train"):
        run_training(parse_settings(["--global_batch_size", "8", "--output_dir", "nowhere"]))


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubProcess]:
    with running_hub(tmp_path_factory.mktemp("hub") / "data") as server:
        yield server


def test_the_model_is_pushed_though_the_hub_fails_meanwhile(
    hub: HubProcess, train: Train, output: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", hub.address)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setenv("HF_TOKEN", hub.token("ada"))
    hub.faults(
        HubFault("POST /api/repos/create", "status", code=403),
        HubFault("POST .*/commit/", "status", code=403),
    )
    report = train(
        *(
            "stage2-10k",
            "--push_to_hub",
            "--hub_model_id",
            "med-lab/tiny",
            "--hub_strategy",
            "end",
            "--max_steps",
            "2",
        )
    )
    hub.faults()
    assert report.steps == 2
    assert "training continues" in output.getvalue()
    assert "retrying in 1 s" in output.getvalue()
    assert f"pushed to {hub.address}/med-lab/tiny" in output.getvalue()
    names = set(HfApi().list_repo_files("med-lab/tiny"))
    assert {"model.safetensors", "config.json", "README.md", "loss.png", "chat_template.jinja"} <= names
    assert not any(
        name.startswith("checkpoint") or name in ("run.json", "training_args.bin") for name in names
    )
    with urllib.request.urlopen(f"{hub.address}/med-lab/tiny/resolve/main/README.md") as answer:
        assert "# tiny" in ModelCard(answer.read().decode()).text
