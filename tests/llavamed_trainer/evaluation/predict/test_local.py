"""Answers by a model on this machine."""

import io
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import load_dataset
from PIL import Image
from rich.console import Console
from transformers import AutoProcessor, LlavaForConditionalGeneration
from typer.testing import CliRunner

from llavamed_data.errors import LlavaMedError, UsageError
from llavamed_trainer.cli.app import app
from llavamed_trainer.evaluation.predict import PredictOptions, convert, predict
from llavamed_trainer.evaluation.questions import OPTIONS
from llavamed_trainer.evaluation.scoring import score_predictions, scores_to_dict
from llavamed_trainer.running import parse_settings, run_training
from tests.llavamed_trainer.evaluation.benchmarks import drawn, make_row, make_set
from tests.llavamed_trainer.running.conftest import write_set


@pytest.fixture
def options(varied_llava: Path, benchmark: Path) -> PredictOptions:
    return PredictOptions(model=str(varied_llava), benchmark=str(benchmark), batch_size=5, max_new_tokens=12)


@pytest.fixture(scope="session")
def uninterrupted(varied_llava: Path, benchmark: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("uninterrupted") / "answers.jsonl"
    predict(
        out,
        PredictOptions(model=str(varied_llava), benchmark=str(benchmark), batch_size=5, max_new_tokens=12),
    )
    return out


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def one_by_one(folder: Path, benchmark: Path, *, limit: int = 12) -> list[str]:
    """The way of the libraries' documentation: processor, generate, decode, one row at a time."""
    model = LlavaForConditionalGeneration.from_pretrained(folder)
    processor = AutoProcessor.from_pretrained(folder)
    answers = []
    for row in load_dataset(str(benchmark), split="test").filter(lambda row: row["language"] == "en"):
        content = [{"type": "image"}, {"type": "text", "text": row["messages"][0]["content"][1]["text"]}]
        text = processor.apply_chat_template(
            [{"role": "user", "content": content}], add_generation_prompt=True
        )
        inputs = processor(
            text=text, images=[row["images"][0].convert("RGB")], return_tensors="pt", add_special_tokens=False
        )
        with torch.inference_mode():
            tokens = model.generate(**inputs, do_sample=False, max_new_tokens=limit)
        new = tokens[0, inputs["input_ids"].shape[1] :]
        answers.append(processor.tokenizer.decode(new, skip_special_tokens=True).strip())
    return answers


def test_batches_give_the_same_answers_as_rows_one_by_one(
    varied_llava: Path, benchmark: Path, uninterrupted: Path
) -> None:
    answers = [row["answer"] for row in rows_of(uninterrupted)]
    assert answers == one_by_one(varied_llava, benchmark)
    assert len(set(answers)) > 15, (
        "the model gives the same answer to every image: the test would see nothing"
    )


def test_lines_are_in_the_order_of_the_benchmark(uninterrupted: Path) -> None:
    rows = rows_of(uninterrupted)
    assert [row["id"] for row in rows] == [f"q{number}" for number in range(28)]
    assert rows[2] == {
        "id": "q2", "question": "Is it 2?", "answer": rows[2]["answer"], "prompt_form": "plain",
        "model": rows[2]["model"],
    }  # fmt: skip


@pytest.mark.parametrize("size", [1, 28])
def test_the_batch_size_changes_nothing(
    size: int, tmp_path: Path, options: PredictOptions, uninterrupted: Path
) -> None:
    predict(tmp_path / "out.jsonl", replace(options, batch_size=size))
    assert (tmp_path / "out.jsonl").read_bytes() == uninterrupted.read_bytes()


def test_a_stopped_run_goes_on_and_leaves_the_same_bytes(
    tmp_path: Path, options: PredictOptions, uninterrupted: Path
) -> None:
    out = tmp_path / "out.jsonl"

    def stop(_: str, done: int, total: int) -> None:
        if done >= 10:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        predict(out, options, stop)
    assert not out.exists()
    part = tmp_path / "out.jsonl.part-0"
    with part.open("a") as file:
        file.write('{"answers": {"q1": "half a li')
    seen: list[int] = []
    report = predict(out, options, lambda _, done, total: seen.append(done))
    assert report is not None
    assert report.reused == 10
    assert out.read_bytes() == uninterrupted.read_bytes()
    assert not part.exists()


@pytest.mark.slow
def test_a_killed_process_costs_at_most_the_batch_in_flight(
    tmp_path: Path, options: PredictOptions, uninterrupted: Path
) -> None:
    out, part = tmp_path / "out.jsonl", tmp_path / "out.jsonl.part-0"
    command = [
        *(sys.executable, "-m", "llavamed_trainer", "predict", "--model", options.model),
        *("--benchmark", options.benchmark, "--batch-size", "5", "--max-new-tokens", "12"),
        *("--out", str(out), "--quiet"),
    ]
    running = subprocess.Popen(command)
    while running.poll() is None and not (part.exists() and part.read_bytes().count(b"\n") >= 2):
        time.sleep(0.005)
    running.send_signal(signal.SIGKILL)
    running.wait()
    kept = part.read_bytes().count(b"\n") - 1 if part.exists() else 6
    report = predict(out, options)
    assert report is not None
    assert report.reused >= min(5 * kept, 28)
    assert out.read_bytes() == uninterrupted.read_bytes()


@pytest.mark.slow
def test_two_processes_share_the_questions(
    tmp_path: Path, options: PredictOptions, uninterrupted: Path
) -> None:
    out = tmp_path / "out.jsonl"
    command = [
        *(sys.executable, "-m", "llavamed_trainer", "predict", "--model", options.model),
        *("--benchmark", options.benchmark, "--batch-size", "5", "--max-new-tokens", "12"),
        *("--out", str(out), "--processes", "2"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr[-2000:]
    assert "28 questions = 28 answered + 0 without an answer" in done.stdout
    assert out.read_bytes() == uninterrupted.read_bytes()


def test_a_finished_run_is_not_done_again(tmp_path: Path, options: PredictOptions) -> None:
    out = tmp_path / "out.jsonl"
    predict(out, options)
    before = out.stat().st_mtime_ns
    report = predict(out, options)
    assert report is not None
    assert report.reused == 28
    assert out.stat().st_mtime_ns == before
    with pytest.raises(UsageError, match="belongs to another run"):
        predict(out, replace(options, max_new_tokens=3))
    again = predict(out, replace(options, max_new_tokens=3, replace=True))
    assert again is not None
    assert again.reused == 0


def test_answers_of_another_run_are_not_reused(tmp_path: Path, options: PredictOptions) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        predict(tmp_path / "out.jsonl", options, stop)
    with pytest.raises(UsageError, match="belongs to another run"):
        predict(tmp_path / "out.jsonl", replace(options, prompt="options"))


def test_closed_questions_can_be_asked_with_their_options(tmp_path: Path, options: PredictOptions) -> None:
    predict(tmp_path / "out.jsonl", replace(options, prompt="options", max_new_tokens=2))
    rows = rows_of(tmp_path / "out.jsonl")
    assert rows[2]["question"] == "Is it 2? Please choose from the following two options: [yes, no]"
    assert [row["prompt_form"] for row in rows[:6]] == ["plain", "plain", "options"] * 2
    assert not any(row["question"].endswith(OPTIONS) for row in rows if row["prompt_form"] == "plain")


def test_the_released_format_is_written_and_read_back(
    tmp_path: Path, options: PredictOptions, uninterrupted: Path
) -> None:
    released, again = tmp_path / "released.jsonl", tmp_path / "again.jsonl"
    convert(uninterrupted, released, replace(options, file_format="released"))
    first = rows_of(released)[0]
    assert list(first) == ["question_id", "prompt", "text", "answer_id", "model_id", "metadata"]
    convert(released, again, options)
    assert again.read_bytes() == uninterrupted.read_bytes()
    lines = released.read_text().splitlines()
    released.write_text("\n".join(lines[:-1]) + "\n")
    with pytest.raises(LlavaMedError, match="has no answer to 1 question, the first is"):
        convert(released, again, options)


def test_the_first_questions_alone_are_answered_and_no_one_takes_them_for_all(
    tmp_path: Path, options: PredictOptions, uninterrupted: Path
) -> None:
    out = tmp_path / "out.jsonl"
    report = predict(out, replace(options, limit=6))
    assert report is not None
    assert (report.questions, report.answered, dict(report.unanswered)) == (
        28,
        6,
        {"not asked (--limit)": 22},
    )
    assert [row["answer"] for row in rows_of(out)] == [row["answer"] for row in rows_of(uninterrupted)][:6]
    with pytest.raises(LlavaMedError, match="has no answer.* to 22 questions, the first is 'q6'"):
        score_predictions(out, options.benchmark)
    (scored,) = score_predictions(out, options.benchmark, partial=True)
    assert (scored.limit, scored.missing, scores_to_dict(scored)["partial"]) == (6, 22, True)
    again = predict(out, replace(options, limit=6))
    assert again is not None
    assert again.reused == 6
    with pytest.raises(UsageError, match="belongs to another run"):
        predict(out, options)


def test_a_limit_above_the_number_of_questions_changes_nothing(
    tmp_path: Path, options: PredictOptions, uninterrupted: Path
) -> None:
    out = tmp_path / "out.jsonl"
    predict(out, replace(options, limit=1000))
    assert out.read_bytes() == uninterrupted.read_bytes()
    (scored,) = score_predictions(out, options.benchmark)
    assert scored.limit is None


def test_answers_that_were_edited_since_are_not_said_to_be_the_first(
    tmp_path: Path, options: PredictOptions
) -> None:
    out = tmp_path / "out.jsonl"
    predict(out, replace(options, limit=6))
    out.write_text("".join(out.read_text(encoding="utf-8").splitlines(keepends=True)[1:]), encoding="utf-8")
    (scored,) = score_predictions(out, options.benchmark, partial=True)
    assert (scored.limit, scored.missing) == (None, 23)


def test_the_command_names_a_file_of_the_first_questions_after_their_number(
    tmp_path: Path, options: PredictOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    command = ["predict", "--model", options.model, "--benchmark", options.benchmark, "--limit", "3"]
    done = CliRunner().invoke(app, [*command, "--max-new-tokens", "2"])
    assert done.exit_code == 0, done.output
    assert "28 questions = 3 answered + 25 without an answer" in done.output
    assert len(rows_of(tmp_path / "predictions" / "drawn-vqa-test-plain-first3.jsonl")) == 3


def test_questions_in_another_language_are_asked_when_named(tmp_path: Path, options: PredictOptions) -> None:
    predict(tmp_path / "zh.jsonl", replace(options, language="zh", max_new_tokens=2))
    predict(tmp_path / "all.jsonl", replace(options, language="all", max_new_tokens=2))
    assert [row["id"] for row in rows_of(tmp_path / "zh.jsonl")] == ["q28", "q29"]
    assert len(rows_of(tmp_path / "all.jsonl")) == 30
    with pytest.raises(UsageError, match="only: en, zh"):
        predict(tmp_path / "fr.jsonl", replace(options, language="fr"))


@pytest.fixture
def damaged(tmp_path: Path) -> Path:
    """Three questions: one with its image, one whose image is lost, one whose image cannot be decoded."""
    more: dict[str, Any] = {"question_type": "conversation"}
    rows = [
        make_row("sound", "What is it?", "A circle.", drawn(1), question_id=0, **more),
        make_row("lost", "What is it?", "A circle.", None, question_id=1, **more),
        make_row("torn", "What is it?", "A circle.", drawn(2)[:200], question_id=2, **more),
    ]
    return make_set(tmp_path / "damaged", "eval", rows)


def test_lost_images_are_a_choice_of_the_user(tmp_path: Path, options: PredictOptions, damaged: Path) -> None:
    out = tmp_path / "out.jsonl"
    of = replace(options, benchmark=str(damaged), partial=True, max_new_tokens=3)
    with pytest.raises(UsageError, match="1 of 3 questions have lost their image, the first is 'lost'"):
        predict(out, of)
    skipped = predict(out, replace(of, lost_images="skip"))
    assert skipped is not None
    assert (skipped.answered, dict(skipped.unanswered)) == (1, {"image lost": 1, "image unreadable": 1})
    asked = predict(tmp_path / "asked.jsonl", replace(of, lost_images="ask"))
    assert asked is not None
    assert (asked.answered, asked.without_image) == (2, 1)
    assert [row["id"] for row in rows_of(tmp_path / "asked.jsonl")] == ["sound", "lost"]


def test_an_image_that_cannot_be_decoded_is_named(
    tmp_path: Path, options: PredictOptions, damaged: Path
) -> None:
    out = tmp_path / "out.jsonl"
    with pytest.raises(LlavaMedError, match=r"1 of 3 questions have no answer \('torn': image unreadable"):
        predict(out, replace(options, benchmark=str(damaged), lost_images="skip"))
    assert not out.exists()
    assert [row["id"] for row in rows_of(tmp_path / "out.unanswered.jsonl")] == ["lost", "torn"]


def test_an_adapter_answers_as_the_model_it_makes(
    tmp_path: Path, options: PredictOptions, varied_llava: Path
) -> None:
    from peft import LoraConfig, get_peft_model

    model = LlavaForConditionalGeneration.from_pretrained(varied_llava)
    torch.manual_seed(0)
    config = LoraConfig(
        r=4, lora_alpha=64, target_modules=r".*language_model.*\.q_proj", init_lora_weights=False,
        modules_to_save=["multi_modal_projector"],
    )  # fmt: skip
    adapted = get_peft_model(model, config)
    adapted.save_pretrained(tmp_path / "adapter")
    merged = adapted.merge_and_unload()
    merged.save_pretrained(tmp_path / "merged")
    AutoProcessor.from_pretrained(varied_llava).save_pretrained(tmp_path / "merged")
    answers = []
    for name in ("adapter", "merged"):
        predict(tmp_path / f"{name}.jsonl", replace(options, model=str(tmp_path / name)))
        answers.append([row["answer"] for row in rows_of(tmp_path / f"{name}.jsonl")])
    plain = tmp_path / "plain.jsonl"
    predict(plain, options)
    assert answers[0] == answers[1] != [row["answer"] for row in rows_of(plain)]


def test_a_checkpoint_that_lacks_weights_is_refused(
    tmp_path: Path, options: PredictOptions, varied_llava: Path
) -> None:
    from safetensors.torch import load_file, save_file

    folder = tmp_path / "projector-only"
    folder.mkdir()
    for path in varied_llava.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    weights = load_file(folder / "model.safetensors")
    save_file(
        {name: weight for name, weight in weights.items() if "projector" in name},
        folder / "model.safetensors", metadata={"format": "pt"},
    )  # fmt: skip
    with pytest.raises(UsageError, match="holds the projector alone and lacks [0-9]+ weights"):
        predict(tmp_path / "out.jsonl", replace(options, model=str(folder)))


def test_a_checkpoint_of_the_projector_alone_is_no_model_and_its_run_is_named(
    tmp_path: Path, options: PredictOptions, varied_llava: Path, drawn_rows: list[dict[str, Any]]
) -> None:
    run = tmp_path / "stage1"
    words = [
        *("--config", "stage1", "--model_name_or_path", varied_llava, "--output_dir", run),
        *("--dataset", write_set(tmp_path / "drawn", drawn_rows[:8]), "--max_steps", 2, "--save_steps", 1),
        *("--global_batch_size", 4, "--per_device_train_batch_size", 2, "--dataloader_num_workers", 0),
    ]
    run_training(parse_settings([str(word) for word in words]), console=Console(file=io.StringIO()))
    checkpoint = replace(options, model=str(next(run.glob("checkpoint-*"))))
    with pytest.raises(UsageError, match="is a checkpoint of the projector alone") as told:
        predict(tmp_path / "out.jsonl", checkpoint)
    assert f"name the folder of the run, {run.resolve()}" in str(told.value)
    report = predict(tmp_path / "out.jsonl", replace(options, model=str(run), max_new_tokens=2))
    assert report is not None
    assert report.answered == 28


def test_a_name_that_is_no_model_or_benchmark_is_an_error(tmp_path: Path, options: PredictOptions) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="there is no checkpoint"):
        predict(tmp_path / "out.jsonl", replace(options, model=str(tmp_path / "empty")))
    with pytest.raises(UsageError, match="no split 'validation': choose from test"):
        predict(tmp_path / "out.jsonl", replace(options, split="validation"))
    with pytest.raises(LlavaMedError):
        predict(tmp_path / "out.jsonl", replace(options, benchmark=str(tmp_path / "none")))


def test_grey_and_16_bit_images_are_answered(tmp_path: Path, options: PredictOptions) -> None:
    rows = []
    for mode in ("L", "RGBA", "P", "I;16"):
        stored = io.BytesIO()
        Image.new(mode, (30, 20)).save(stored, "PNG")
        rows.append(
            make_row(mode, "What is it?", "no", stored.getvalue(), answer_type="OPEN", question_type=None,
                     language="en")
        )  # fmt: skip
    folder = make_set(tmp_path / "modes", "vqa", rows)
    report = predict(tmp_path / "out.jsonl", replace(options, benchmark=str(folder), max_new_tokens=2))
    assert report is not None
    assert report.answered == 4
