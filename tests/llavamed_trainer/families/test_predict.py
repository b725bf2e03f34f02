"""Predictions of a model of every family: those of stock `generate` one by one, whatever the batch and the images."""

import io
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import load_dataset
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor

from llavamed_data.errors import LlavaMedError
from llavamed_trainer.evaluation.predict import PredictOptions, predict
from tests.llavamed_trainer.evaluation.benchmarks import drawn, make_row, make_set

Row = dict[str, Any]

LIMIT = 8
"""The longest answer of the tests, in tokens."""


@pytest.fixture(scope="session")
def varied_model(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model with larger random weights, so that its answers differ and end by themselves."""
    folder = tmp_path_factory.mktemp("varied")
    model = AutoModelForImageTextToText.from_pretrained(tiny_model)
    processor = AutoProcessor.from_pretrained(tiny_model)
    chance = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.ndim > 1 and "embed" not in name and "lm_head" not in name:
                weight.copy_(torch.randn(weight.shape, generator=chance) * 0.2)
        output = model.get_output_embeddings().weight
        output[end_of_answers(processor)] *= 2  # so that it is often the likeliest token
    stop = processor.tokenizer.eos_token_id
    model.generation_config.eos_token_id = [stop, *range(30, output.shape[0], 30)]
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def benchmark(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """14 questions about one image of many shapes, two images, three, and none."""
    shapes = ((64, 64), (120, 40), (40, 120), (200, 200), (33, 90))
    rows = [
        question(f"one-{number}", f"What is shown? {'Really? ' * (number % 3)}", [picture(number, size)])
        for number, size in enumerate((*shapes, *shapes[:3]))
    ]
    rows += [
        question("two", "Which is larger?", [picture(8, (64, 64)), picture(9, (120, 40))]),
        question("two-like", "Are they alike?", [picture(9, (64, 64)), picture(9, (64, 64))]),
        question("three", "Which is red?", [picture(number, (60, 80)) for number in (10, 11, 12)]),
        question("none", "What is a cyst?", []),
        question("none-long", "What is a cyst, and where would you look for one in a healthy lung?", []),
        question("none-short", "Why?", []),
    ]
    return make_set(tmp_path_factory.mktemp("images") / "several", "vqa", rows)


@pytest.fixture
def options(varied_model: Path, benchmark: Path) -> PredictOptions:
    return PredictOptions(
        model=str(varied_model), benchmark=str(benchmark), batch_size=4, max_new_tokens=LIMIT
    )


def picture(number: int, size: tuple[int, int]) -> bytes:
    stored = io.BytesIO()
    Image.open(io.BytesIO(drawn(number, "PNG"))).resize(size).save(stored, "PNG")
    return stored.getvalue()


def question(identity: str, text: str, images: list[bytes]) -> Row:
    row = make_row(identity, text, "no", None, answer_type="OPEN", question_type=None, language="en")
    row["images"] = [{"bytes": each, "path": f"{identity}.png"} for each in images]
    row["messages"][0]["content"] = [
        *({"type": "image", "text": None} for _ in images),
        {"type": "text", "text": text},
    ]
    return row


def end_of_answers(processor: Any) -> int:
    """The token that the chat template writes behind an answer."""
    turns = [
        {"role": role, "content": [{"type": "text", "text": text}]}
        for role, text in (("user", "What is it?"), ("assistant", "A cyst."))
    ]
    after = processor.apply_chat_template(turns, tokenize=False).partition("A cyst.")[2]
    ids: list[int] = processor.tokenizer(after.lstrip(), add_special_tokens=False)["input_ids"]
    return ids[0]


def answers_of(path: Path) -> dict[str, str]:
    rows = (json.loads(line) for line in path.read_text(encoding="utf-8").splitlines())
    return {row["id"]: row["answer"] for row in rows}


def one_by_one(folder: Path, benchmark: Path) -> dict[str, str]:
    """The way of the libraries' documentation: template and processor, generate, decode, one row at a time."""
    model = AutoModelForImageTextToText.from_pretrained(folder)
    processor = AutoProcessor.from_pretrained(folder)
    stops = [*model.generation_config.eos_token_id, end_of_answers(processor)]
    found = {}
    for row in load_dataset(str(benchmark), split="test"):
        content = [{"type": "image", "image": image.convert("RGB")} for image in row["images"]]
        content.append({"type": "text", "text": row["messages"][0]["content"][-1]["text"]})
        inputs = processor.apply_chat_template(
            [{"role": "user", "content": content}],
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
        )
        with torch.inference_mode():
            tokens = model.generate(**inputs, do_sample=False, max_new_tokens=LIMIT, eos_token_id=stops)
        new = tokens[0, inputs["input_ids"].shape[1] :]
        found[row["id"]] = processor.decode(new, skip_special_tokens=True).strip()
    return found


def test_batches_give_the_answers_of_stock_generate_one_by_one(
    tmp_path: Path, options: PredictOptions, varied_model: Path, benchmark: Path
) -> None:
    report = predict(tmp_path / "batches.jsonl", options)
    assert report is not None
    assert (report.questions, report.answered, report.without_image) == (14, 14, 0)
    found = answers_of(tmp_path / "batches.jsonl")
    assert found == one_by_one(varied_model, benchmark)
    assert len(set(found.values())) > 7, "images make no difference: the test would see nothing"
    predict(tmp_path / "rows.jsonl", replace(options, batch_size=1))
    assert (tmp_path / "rows.jsonl").read_bytes() == (tmp_path / "batches.jsonl").read_bytes()


def test_a_stopped_run_goes_on_and_leaves_the_same_bytes(tmp_path: Path, options: PredictOptions) -> None:
    def stop(_: str, done: int, total: int) -> None:
        if done >= 4:
            raise KeyboardInterrupt

    predict(tmp_path / "whole.jsonl", options)
    with pytest.raises(KeyboardInterrupt):
        predict(tmp_path / "stopped.jsonl", options, stop)
    report = predict(tmp_path / "stopped.jsonl", options)
    assert report is not None
    assert report.reused == 4
    assert (tmp_path / "stopped.jsonl").read_bytes() == (tmp_path / "whole.jsonl").read_bytes()


def test_questions_that_cannot_be_asked_are_named_and_the_others_answered(
    tmp_path: Path, options: PredictOptions, varied_model: Path
) -> None:
    token = AutoProcessor.from_pretrained(varied_model).image_token
    both = question("more", "What is it?", [picture(2, (64, 64)), picture(3, (64, 64))])
    both["messages"][0]["content"].pop(0)
    rows = [
        question("sound", "What is it?", [picture(1, (64, 64))]),
        question("torn", "What is it?", [picture(1, (64, 64)), picture(2, (64, 64))[:60]]),
        question("small", "What is it?", [picture(2, (3, 90))]),
        question("token", f"What does {token} mean?", [picture(2, (64, 64))]),
        both,
    ]
    folder = make_set(tmp_path / "set", "vqa", rows)
    of = replace(options, benchmark=str(folder))
    with pytest.raises(LlavaMedError, match="4 of 5 questions have no answer"):
        predict(tmp_path / "out.jsonl", of)
    report = predict(tmp_path / "out.jsonl", replace(of, partial=True))
    assert report is not None
    assert dict(report.unanswered) == {
        "image unreadable": 2,
        "image token in text": 1,
        "image count": 1,
    }
    assert list(answers_of(tmp_path / "out.jsonl")) == ["sound"]


def takes(folder: Path, image: bytes) -> bool:
    """Whether the stock processor of a model takes an image."""
    processor = AutoProcessor.from_pretrained(folder)
    try:
        processor(text=[processor.image_token], images=[[Image.open(io.BytesIO(image))]])
    except Exception:
        return False
    return True


def test_a_shape_that_a_processor_refuses_costs_no_other_question(
    tmp_path: Path, options: PredictOptions, varied_model: Path
) -> None:
    wide = picture(1, (4000, 8))
    rows = [
        question("wide", "What is it?", [wide]),
        *(question(f"sound-{number}", "What is it?", [picture(number, (64, 64))]) for number in range(2)),
    ]
    folder = make_set(tmp_path / "set", "vqa", rows)
    report = predict(tmp_path / "out.jsonl", replace(options, benchmark=str(folder), partial=True))
    assert report is not None
    found = answers_of(tmp_path / "out.jsonl")
    assert {"sound-0", "sound-1"} <= found.keys()
    assert ("wide" in found) == takes(varied_model, wide)


@pytest.mark.slow
def test_two_processes_share_the_questions(kind: str, tmp_path: Path, options: PredictOptions) -> None:
    if kind not in ("qwen2.5-vl", "smolvlm"):
        pytest.skip("what processes share does not depend on the model: two families are enough")
    predict(tmp_path / "one.jsonl", options)
    command = [
        *(sys.executable, "-m", "llavamed_trainer", "predict", "--model", options.model),
        *("--benchmark", options.benchmark, "--batch-size", "4", "--max-new-tokens", str(LIMIT)),
        *("--out", str(tmp_path / "two.jsonl"), "--processes", "2"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr[-2000:]
    assert "14 questions = 14 answered + 0 without an answer" in done.stdout
    assert (tmp_path / "two.jsonl").read_bytes() == (tmp_path / "one.jsonl").read_bytes()
