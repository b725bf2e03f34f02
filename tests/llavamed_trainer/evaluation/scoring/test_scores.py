"""The scores of files of answers, by hand and as published, and comparisons of two files."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from llavamed_data.errors import LlavaMedError
from llavamed_trainer.cli.app import app
from llavamed_trainer.evaluation.questions import load_questions, read_answers
from llavamed_trainer.evaluation.scoring import (
    Resampling,
    compare_predictions,
    score_predictions,
    scores_to_dict,
)

QUESTIONS = [
    # qid, question, answer, answer_type, question_type, image_name
    (7, "Is there a fracture?", "No", "CLOSED ", "PRES", "1.jpg"),
    (3, "Which plane?", "axial", "OPEN", "PLANE", "1.jpg"),
    (9, "Is the heart large?", "yes", "CLOSED", "SIZE, PRES", "2.jpg"),
    (4, "How many ribs?", 12, "OPEN", "COUNT ", "2.jpg"),
]
ANSWERS = {"7": "No fracture", "3": "It is axial", "9": "No", "4": "eleven"}


@pytest.fixture
def benchmark(tmp_path: Path) -> str:
    return original_file(tmp_path)


def original_file(folder: Path) -> str:
    keys = ("qid", "question", "answer", "answer_type", "question_type", "image_name")
    path = folder / "vqa_rad" / "testset.json"
    path.parent.mkdir()
    path.write_text(json.dumps([dict(zip(keys, row, strict=True)) for row in QUESTIONS]))
    return str(path)


def predicted(folder: Path, rows: list[dict[str, Any]], name: str = "answers.jsonl") -> Path:
    path = folder / name
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def ours(answers: dict[str, str] = ANSWERS, **more: str) -> list[dict[str, Any]]:
    texts = {str(row[0]): row[1] for row in QUESTIONS}
    return [
        {"id": qid, "question": texts[qid], "answer": answer, "prompt_form": "plain", "model": "m", **more}
        for qid, answer in answers.items()
    ]


def released(prompts: list[str] | None = None) -> list[dict[str, Any]]:
    prompts = prompts or [row[1] for row in QUESTIONS]
    answers = [ANSWERS[str(row[0])] for row in QUESTIONS]
    return [
        {
            "question_id": 100 - at,
            "prompt": prompt,
            "text": text,
            "answer_id": "x",
            "model_id": "llava",
            "metadata": {},
        }
        for at, (prompt, text) in enumerate(zip(prompts, answers, strict=False))
    ]


def test_our_files_join_by_id_in_any_order(tmp_path: Path, benchmark: str) -> None:
    (scores,) = score_predictions(predicted(tmp_path, ours()[::-1]), benchmark)
    assert scores.model == "m"
    assert (scores.benchmark, scores.prompt_form) == ("vqa-rad", "plain")
    assert scores.overall["open_recall"].value == 50  # "axial" is there, 12 is not
    assert scores.overall["open_precision"].value == pytest.approx(100 * (1 / 3) / 2)
    assert scores.overall["closed_accuracy"].value == 50
    assert (scores.overall["open_recall"].count, scores.overall["closed_accuracy"].count) == (2, 2)


def test_released_files_join_by_order_and_options_are_seen_in_the_prompt(
    tmp_path: Path, benchmark: str
) -> None:
    choices = " Please choose from the following two options: [yes, no]"
    prompts = [row[1] + (choices if row[3].strip() == "CLOSED" else "\n<image>") for row in QUESTIONS]
    (scores,) = score_predictions(predicted(tmp_path, released(prompts)), benchmark)
    assert (scores.prompt_form, scores.model) == ("options", "llava")
    assert scores.overall["closed_accuracy"].value == 50


def test_a_question_of_two_types_counts_under_both(tmp_path: Path, benchmark: str) -> None:
    (scores,) = score_predictions(predicted(tmp_path, ours()), benchmark)
    types = scores.groups["question_type"]
    assert set(types) == {"PRES", "PLANE", "SIZE", "COUNT"}
    assert (types["PRES"]["closed_accuracy"].value, types["PRES"]["closed_accuracy"].count) == (50, 2)
    assert "open_recall" not in types["SIZE"]
    assert set(scores.groups) == {"question_type"}


def test_a_file_with_both_prompt_forms_gives_two_results(tmp_path: Path, benchmark: str) -> None:
    closed = ours(dict.fromkeys(("7", "9"), "yes"), prompt_form="options")
    for row in closed:
        row["question"] += " Please choose from the following two options: [yes, no]"
    (plain, options) = score_predictions(predicted(tmp_path, ours() + closed), benchmark)
    assert (plain.prompt_form, options.prompt_form) == ("plain", "options")
    assert options.overall["open_recall"] == plain.overall["open_recall"]
    assert scores_to_dict(options)["missing"] == 0


@settings(deadline=None)
@given(st.lists(st.sampled_from([*ANSWERS, "5"]), max_size=6))
def test_a_file_is_scored_whole_or_not_at_all(ids: list[str]) -> None:
    with TemporaryDirectory() as folder:
        path = predicted(Path(folder), [{"id": identity, "answer": "yes"} for identity in ids])
        questions = load_questions(original_file(Path(folder)))
        if sorted(ids) == sorted(ANSWERS):
            (answers,) = read_answers(path, questions)
            assert [each.question.id for each in answers.predictions] == ["7", "3", "9", "4"]
        else:
            with pytest.raises(LlavaMedError):
                read_answers(path, questions)


@pytest.mark.parametrize("rows", [ours()[1:], released()[:3]])
def test_a_partial_score_says_so(tmp_path: Path, benchmark: str, rows: list[dict[str, Any]]) -> None:
    (scores,) = score_predictions(predicted(tmp_path, rows), benchmark, partial=True)
    stated = scores_to_dict(scores)
    assert (stated["partial"], stated["missing"], stated["scored"], stated["questions"]) == (True, 1, 3, 4)


def test_questions_without_an_answer_type_give_no_open_or_closed_scores(tmp_path: Path) -> None:
    path = tmp_path / "test.json"
    path.write_text(json.dumps([{"qid": 1, "question": "Left?", "answer": "yes", "answer_type": None}]))
    (scores,) = score_predictions(predicted(tmp_path, [{"id": "1", "answer": "yes"}]), str(path))
    assert set(scores.overall) == {"refusal_share"}
    assert scores.untyped == 1


def test_two_files_are_compared_question_by_question(tmp_path: Path, benchmark: str) -> None:
    better = ours({**ANSWERS, "9": "yes", "4": "12"}, model="better")
    first, second = predicted(tmp_path, better, "a.jsonl"), predicted(tmp_path, ours(), "b.jsonl")
    (comparison,) = compare_predictions(first, second, benchmark, resampling=Resampling(draws=500))
    assert comparison.models == ("better", "m")
    closed, opened = comparison.differences["closed_accuracy"], comparison.differences["open_recall"]
    assert (closed.estimate.value, closed.p, closed.test) == (50, 1, "mcnemar")  # one discordant pair
    assert (opened.estimate.value, opened.estimate.low, opened.estimate.high) == (50, 0, 100)
    assert opened.test == "permutation"


def test_the_published_scores_are_met_to_the_last_digit(shared_data: Path) -> None:
    predictions = shared_data / "predictions" / "vqa_rad_zero_shot_llava.jsonl"
    (scores,) = score_predictions(predictions, str(shared_data / "vqa_rad" / "testset.json"))
    published = {
        "open_exact_match": 1.2916670560318564,
        "open_f1": 2.8001983730216127,
        "open_precision": 1.708161867190198,
        "open_recall": 12.041127437939796,
        "closed_accuracy": 28.676470588235293,
    }
    assert {name: scores.overall[name].value for name in published} == published
    assert (scores.overall["open_recall"].count, scores.overall["closed_accuracy"].count) == (179, 272)
    assert scores.missing == 0


def dataset(folder: Path) -> str:
    """Two English questions about one image, and a Chinese one, as a built set lies on disk."""

    def row(identity: str, question: str, answer: str, kind: str, language: str) -> dict[str, Any]:
        def turn(role: str, *parts: dict[str, str | None]) -> dict[str, Any]:
            return {"role": role, "content": list(parts)}

        image: dict[str, str | None] = {"type": "image", "text": None}
        text: dict[str, str | None] = {"type": "text", "text": question}
        return {
            "images": [{"bytes": b"", "path": "1.jpg"}],
            "messages": [turn("user", image, text), turn("assistant", {"type": "text", "text": answer})],
            "id": identity,
            "domain": "ct_scan" if language == "en" else None,
            "answer_type": kind,
            "question_type": "Organ",
            "language": language,
        }

    rows = [
        row("slake-1", "Which organ?", "lung", "OPEN", "en"),
        row("slake-2", "Is it healthy?", "No", "CLOSED", "en"),
        row("slake-3", "哪个器官?", "肺", "OPEN", "zh"),
    ]
    path = folder / "slake" / "data" / "test-00000-of-00001.parquet"
    path.parent.mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(rows), path)
    return str(folder / "slake")


def test_a_built_set_is_scored_by_its_own_answers_and_its_english_questions_count(tmp_path: Path) -> None:
    answers = [{"id": "slake-1", "answer": "the lung"}, {"id": "slake-2", "answer": "yes"}]
    (scores,) = score_predictions(predicted(tmp_path, answers), dataset(tmp_path))
    assert (scores.benchmark, scores.questions) == ("slake", 2)
    assert scores.overall["open_recall"].value == 100
    assert scores.overall["closed_accuracy"].value == 0
    assert list(scores.groups["domain"]) == ["ct_scan"]
    assert scores.examples == ()


def test_chinese_questions_are_scored_when_asked_for_and_shown(tmp_path: Path) -> None:
    folder = dataset(tmp_path)
    answers = predicted(tmp_path, [{"id": "slake-3", "answer": "肺"}])
    with pytest.raises(LlavaMedError, match="answers 'slake-3', which is no question of slake, split test"):
        score_predictions(answers, folder)
    (scores,) = score_predictions(answers, folder, language="zh")
    assert scores.overall["open_recall"].value == 100
    assert scores.examples == ({"question": "哪个器官?", "answer": "肺", "truth": "肺"},)
    (every,) = score_predictions(answers, folder, language="all", partial=True)
    assert (every.missing, every.languages) == (2, ("zh",))
    shown = CliRunner().invoke(app, ["score", str(answers), "--benchmark", folder, "--language", "zh"]).output
    assert "it is 0 for Chinese answers whatever they say" in " ".join(shown.split())


def test_every_command_line_output_says_that_a_score_is_partial(tmp_path: Path, benchmark: str) -> None:
    path = str(predicted(tmp_path, ours()[1:]))
    command = ["score", path, "--benchmark", benchmark]
    refused = CliRunner().invoke(app, command)
    assert isinstance(refused.exception, LlavaMedError)
    assert not (tmp_path / "answers.scores.json").exists()
    shown = CliRunner().invoke(app, [*command, "--partial", "--against", path])
    assert shown.stdout.count("PARTIAL: 1 of 4 questions have no answer") == 2
    assert json.loads((tmp_path / "answers.scores.json").read_text())["scores"][0]["partial"] is True
    as_json = CliRunner().invoke(app, [*command, "--partial", "--against", path, "--json"])
    stated = json.loads(as_json.stdout)
    assert stated["scores"][0]["missing"] == stated["comparisons"][0]["missing"] == 1
