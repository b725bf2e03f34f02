"""Does a model look at the image? Answers given with the image against answers given without it."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoProcessor, LlavaForConditionalGeneration
from typer.testing import CliRunner

from llavamed_data.errors import LlavaMedError
from llavamed_trainer.cli.app import app
from llavamed_trainer.evaluation.predict import PredictOptions, predict
from llavamed_trainer.evaluation.questions import Question
from llavamed_trainer.evaluation.scoring import (
    Looking,
    Resampling,
    compare_predictions,
    majority_answer,
    score_predictions,
)
from tests.llavamed_trainer.evaluation.benchmarks import drawn, make_row, make_set, write_lines

QUESTIONS = [
    # id, answer type, question type, right answer, answer with the image, answer without
    ("a", "CLOSED", "PRES", "Yes", "Yes.", "yes"),
    ("b", "CLOSED", "PRES, SIZE", "yes", "yes", "no"),
    ("c", "CLOSED", "SIZE", "no", "no", "no"),
    ("d", "CLOSED", "SIZE", "no", "yes", "no"),
    ("e", "CLOSED", "SIZE", "No", "no", "yes"),
    ("f", "OPEN", "ORGAN", "left lung", "the left lung", "a lung"),
    ("g", "OPEN", "PLANE", "axial", "coronal", "axial"),
]


@pytest.fixture
def benchmark(tmp_path: Path) -> str:
    rows = [
        make_row(
            name,
            f"Question {name}?",
            right,
            None,
            answer_type=answer_type,
            question_type=question_type,
            language="en",
        )
        for name, answer_type, question_type, right, _, _ in QUESTIONS
    ]
    return str(make_set(tmp_path / "vqa-rad", "vqa", rows))


def answers(folder: Path, images: str, name: str = "", **more: str) -> Path:
    column = 4 if images == "real" else 5
    stated = {} if images == "real" else {"images": images}
    rows = [
        {
            "id": row[0],
            "question": f"Question {row[0]}?",
            "answer": row[column],
            "model": "m",
            **stated,
            **more,
        }
        for row in QUESTIONS
    ]
    return write_lines(folder / f"{name or images}.jsonl", rows)


@pytest.fixture
def both(tmp_path: Path) -> tuple[Path, Path]:
    return answers(tmp_path, "real"), answers(tmp_path, "blank")


def looking_of(first: Path, second: Path, benchmark: str, **more: Any) -> Looking:
    (comparison,) = compare_predictions(first, second, benchmark, resampling=Resampling(draws=500), **more)
    assert comparison.looking is not None
    return comparison.looking


def test_what_the_image_adds_is_as_by_hand(both: tuple[Path, Path], benchmark: str) -> None:
    """Closed: right with the image a, b, c, e (4 of 5), without a, c, d; of the four, a and c stay.

    Right with the image alone: b and e; without it alone: d. So McNemar's p is 2 × (1 + 3) / 2³ = 1. Open: recall 1
    and 0 with the image, ½ and 1 without; of the recall of 1, ½ stays.
    """
    looking = looking_of(*both, benchmark)
    closed, opened = looking.overall["closed"], looking.overall["open"]
    assert (closed.with_image, closed.without_image, closed.kept) == (80, 60, 50)
    assert (closed.gain.estimate.value, closed.gain.p, closed.gain.test) == (pytest.approx(20), 1, "mcnemar")
    assert closed.gain.estimate.low < 20 < closed.gain.estimate.high
    assert (closed.majority_answer, closed.majority) == ("no", 60)
    assert (closed.always_yes, closed.always_no) == (40, 60)
    assert (opened.with_image, opened.without_image, opened.kept) == (50, 75, 50)
    assert (opened.gain.estimate.value, opened.gain.test) == (-25, "permutation")
    assert (opened.majority_answer, opened.majority) == ("left lung", 50)
    assert (opened.always_yes, opened.always_no) == (None, None)
    assert (looking.images, looking.model, looking.prompt_form, looking.missing) == ("blank", "m", "plain", 0)


def test_a_question_of_two_types_counts_in_both(both: tuple[Path, Path], benchmark: str) -> None:
    types = looking_of(*both, benchmark).question_types
    assert list(types) == ["ORGAN", "PLANE", "PRES", "SIZE"]
    presence, size = types["PRES"]["closed"], types["SIZE"]["closed"]
    assert (presence.gain.estimate.count, presence.with_image, presence.without_image) == (2, 100, 50)
    assert (size.gain.estimate.count, size.with_image, size.without_image) == (4, 75, 50)
    assert types["PLANE"]["open"].kept is None  # nothing is right with the image
    assert (size.majority_answer, presence.majority_answer) == ("no", "Yes")


def test_either_file_may_come_first(both: tuple[Path, Path], benchmark: str) -> None:
    assert looking_of(*both[::-1], benchmark) == looking_of(*both, benchmark)


@pytest.mark.parametrize("modes", [("real", "real"), ("blank", "blank"), ("blank", "noise")])
def test_files_that_are_both_seen_or_both_blind_are_compared_alone(
    modes: tuple[str, str], tmp_path: Path, benchmark: str
) -> None:
    first, second = (answers(tmp_path, mode, f"{place}") for place, mode in enumerate(modes))
    (comparison,) = compare_predictions(first, second, benchmark, resampling=Resampling(draws=100))
    assert comparison.looking is None
    assert comparison.images == modes
    assert comparison.differences["closed_word_accuracy"].estimate.value == 0


def test_answers_of_another_model_or_prompt_do_not_count_as_the_image(
    tmp_path: Path, benchmark: str, both: tuple[Path, Path]
) -> None:
    other = answers(tmp_path, "noise", model="other")
    with pytest.raises(LlavaMedError, match="'m' and those with noise images of 'other'.*same --model"):
        compare_predictions(both[0], other, benchmark)
    closed = [json.loads(line) for line in both[1].read_text().splitlines()]
    for row in closed[:5]:
        row["question"] += " Please choose from the following two options: [yes, no]"
    options = write_lines(tmp_path / "options.jsonl", closed)
    with pytest.raises(LlavaMedError, match="form 'plain' and those with blank images in 'options'"):
        compare_predictions(both[0], options, benchmark)


def test_questions_that_were_not_answered_both_times_are_counted(
    tmp_path: Path, benchmark: str, both: tuple[Path, Path]
) -> None:
    rows = [json.loads(line) for line in both[1].read_text().splitlines()]
    part = write_lines(tmp_path / "part.jsonl", rows[1:])
    with pytest.raises(LlavaMedError, match="has no answer"):
        compare_predictions(both[0], part, benchmark)
    looking = looking_of(both[0], part, benchmark, partial=True)
    assert (looking.missing, looking.questions) == (1, 7)
    assert looking.overall["closed"].gain.estimate.count == 4


def test_the_results_file_the_terminal_and_json_say_it(
    tmp_path: Path, benchmark: str, both: tuple[Path, Path]
) -> None:
    command = ["score", str(both[0]), "--benchmark", benchmark, "--against", str(both[1])]
    shown = CliRunner().invoke(app, command)
    assert shown.exit_code == 0, shown.output
    assert "Does m look at the image? vqa-rad (test, plain prompt, blank images)" in shown.stdout
    assert "m (real images) minus m (blank images), vqa-rad" in shown.stdout
    (entry,) = json.loads((tmp_path / "real.scores.json").read_text())["scores"]
    assert entry["looking"]["images"] == "blank"
    assert entry["looking"]["overall"]["closed"]["gain"]["value"] == pytest.approx(20)
    assert entry["looking"]["question_type"]["PLANE"]["open"]["kept"] is None
    assert "images" not in entry
    stated = json.loads(CliRunner().invoke(app, [*command, "--json"]).stdout)
    assert stated["scores"][0]["looking"] == stated["comparisons"][0]["looking"] == entry["looking"]


def test_scores_of_blind_answers_say_so_everywhere(
    tmp_path: Path, benchmark: str, both: tuple[Path, Path]
) -> None:
    (scores,) = score_predictions(both[1], benchmark)
    assert scores.images == "blank"
    shown = CliRunner().invoke(app, ["score", str(both[1]), "--benchmark", benchmark]).stdout
    assert shown.startswith("BLIND, blank images: m on vqa-rad (test, plain prompt)")
    assert "this is no result of the benchmark" in " ".join(shown.split())
    (entry,) = json.loads((tmp_path / "blank.scores.json").read_text())["scores"]
    assert entry["images"] == "blank"
    assert "looking" not in entry


def test_the_majority_answer_is_found_whatever_its_case_and_marks() -> None:
    rows = [
        Question(str(place), "?", text)
        for place, text in enumerate(("Left.", "right", "left", "**LEFT**", "right"))
    ]
    assert majority_answer(rows) == "Left."
    with pytest.raises(ValueError, match="no questions"):
        majority_answer([])


@pytest.fixture(scope="module")
def seeing_and_blind(tiny_llava: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The tiny LLaVA with larger random weights, and the same with a projector of zeros, which sees nothing."""
    found = dict[str, Path]()
    for name in ("seeing", "blind"):
        found[name] = tmp_path_factory.mktemp(name)
        model = LlavaForConditionalGeneration.from_pretrained(tiny_llava)
        chance = torch.Generator().manual_seed(3)
        with torch.no_grad():
            for key, weight in model.named_parameters():
                if weight.ndim > 1 and "embed" not in key:
                    weight.copy_(torch.randn(weight.shape, generator=chance) * 0.15)
                if name == "blind" and "projector" in key:
                    weight.zero_()
        model.save_pretrained(found[name])
        AutoProcessor.from_pretrained(tiny_llava).save_pretrained(found[name])
    return found


@pytest.mark.parametrize(("name", "looks"), [("seeing", True), ("blind", False)])
def test_a_model_that_ignores_the_image_gains_nothing_by_it(
    name: str, looks: bool, tmp_path: Path, seeing_and_blind: dict[str, Path]
) -> None:
    """Every answer with the image is right, because the references are made of them."""

    def make(folder: Path, right: dict[str, str]) -> str:
        rows = [
            make_row(
                f"q{number}",
                f"What is number {number}?",
                right.get(f"q{number}", "it"),
                drawn(number),
                answer_type="OPEN" if number % 2 else "CLOSED",
                question_type="COLOR",
                language="en",
            )
            for number in range(12)
        ]
        return str(make_set(folder, "vqa", rows))

    options = PredictOptions(str(seeing_and_blind[name]), make(tmp_path / "first", {}), max_new_tokens=8)
    predict(tmp_path / "first.jsonl", options)
    right = {row["id"]: row["answer"] for row in map(json.loads, (tmp_path / "first.jsonl").open())}
    benchmark = make(tmp_path / "set", right)
    for mode in ("real", "noise", "shuffled", "blank"):
        again = replace(options, benchmark=benchmark, images=mode)  # type: ignore[arg-type]
        predict(tmp_path / f"{mode}.jsonl", again)
    for mode in ("noise", "shuffled", "blank"):
        overall = looking_of(tmp_path / "real.jsonl", tmp_path / f"{mode}.jsonl", benchmark).overall
        for gain in overall.values():
            found = gain.gain.estimate
            assert gain.with_image == pytest.approx(100)
            if looks:
                assert found.value > 0
                assert gain.kept is not None
                assert gain.kept < 100
            else:
                assert (found.value, found.low, found.high, gain.gain.p) == (0, 0, 0, 1)
                assert gain.kept == 100
