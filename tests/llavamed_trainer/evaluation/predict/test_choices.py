"""Multiple-choice questions from a build to the tables: asked as they are or shuffled, scored by the letter."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from datasets import load_dataset
from typer.testing import CliRunner

from llavamed_data.engine import LocalEngine
from llavamed_data.errors import LlavaMedError, UsageError
from llavamed_data.pipeline.builds.build import build
from llavamed_data.pipeline.builds.options import BuildOptions
from llavamed_trainer.cli.app import app
from llavamed_trainer.evaluation.predict import PredictOptions, convert, predict
from llavamed_trainer.evaluation.questions import load_questions, read_answers, shuffle_choices
from llavamed_trainer.evaluation.scoring import compare_predictions, score_predictions, scores_to_dict
from llavamed_trainer.evaluation.tables import card_results, collect, fill, to_html, to_latex, to_markdown
from tests.llavamed_data.sources.benchmarks import drawn_choices
from tests.llavamed_trainer.evaluation.benchmarks import drawn, make_row, make_set
from tests.servers.openai import KEY, Server, running

ASKED = "\nA. CT scan\nB. MRI\nC. X-ray\nAnswer with the letter of the right choice."


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)


@pytest.fixture
def server() -> Iterator[Server]:
    with running() as server:
        yield server


def own_row(number: int, answer: str, **more: Any) -> dict[str, Any]:
    """A row of a user's own set, whose question numbers are its ids."""
    choices = ["CT scan", "MRI", "X-ray"]
    text = f"Which scan is {number}?\nA. CT scan\nB. MRI\nC. X-ray"
    stated = {
        "question": f"Which scan is {number}?",
        "choices": choices,
        "answer_type": "CHOICE",
        "question_type": "even" if number % 2 == 0 else "odd",
        "language": "en",
    }
    return make_row(f"q{number}", text, answer, drawn(number)) | stated | more


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A user's own set of six questions, whose right answers are A, B, C, A, B, C."""
    rows = [own_row(number, "ABC"[number % 3]) for number in range(6)]
    return make_set(tmp_path / "own-set", "choice", rows)


def answers(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    path.write_text("".join(json.dumps({"model": "org/m", **row}) + "\n" for row in rows), encoding="utf-8")
    return path


def test_a_set_of_one_s_own_is_scored_by_letter_with_the_share_of_unreadable_answers(
    own: Path, tmp_path: Path
) -> None:
    said = ["A", "The answer is (B).", "C. X-ray", "MRI", "A or B", "I do not know"]
    path = answers(tmp_path / "a.jsonl", [{"id": f"q{n}", "answer": text} for n, text in enumerate(said)])
    (scores,) = score_predictions(path, str(own))
    assert scores.overall["choice_accuracy"].value == pytest.approx(100 * 3 / 6)
    assert scores.overall["choice_unreadable"].value == pytest.approx(100 * 2 / 6)
    assert scores.groups["question_type"]["even"]["choice_accuracy"].count == 3
    assert scores.groups["question_type"]["even"]["choice_accuracy"].value == pytest.approx(100 * 2 / 3)
    stated = scores_to_dict(scores)
    assert stated["choices"] == {
        "chosen": {"A": 1, "B": 2, "C": 1},
        "right": {"A": 2, "B": 2, "C": 2},
        "unreadable": 2,
        "shuffled": 0,
        "chance": pytest.approx(100 / 3),
        "best_letter": pytest.approx(100 / 3),
    }
    assert set(stated["metrics"]) == {"choice_accuracy", "choice_unreadable", "refusal_share"}


def test_the_prompt_lists_the_choices_and_asks_for_the_letter(
    own: Path, tmp_path: Path, server: Server
) -> None:
    options = PredictOptions(model="gpt-4o", benchmark=str(own), base_url=server.url, work=tmp_path / "work")
    predict(tmp_path / "plain.jsonl", options)
    rows = [json.loads(line) for line in (tmp_path / "plain.jsonl").read_text().splitlines()]
    assert [row["question"] for row in rows] == [f"Which scan is {number}?{ASKED}" for number in range(6)]
    assert "choices" not in rows[0]
    assert read_answers(tmp_path / "plain.jsonl", load_questions(str(own)))[0].form == "plain"


def test_shuffled_choices_are_drawn_by_seed_and_id_and_stated_with_the_answer(
    own: Path, tmp_path: Path, server: Server
) -> None:
    command = [
        "predict",
        "--model",
        "gpt-4o",
        "--benchmark",
        str(own),
        "--base-url",
        server.url,
        "--work",
        "w",
    ]
    options = {"--out": str(tmp_path / "s.jsonl"), "--shuffle-options": "3", "--work": str(tmp_path / "w")}
    done = CliRunner().invoke(app, [*command, *(word for pair in options.items() for word in pair)])
    assert done.exit_code == 0, done.output
    rows = [json.loads(line) for line in (tmp_path / "s.jsonl").read_text().splitlines()]
    questions = load_questions(str(own)).questions
    orders = [shuffle_choices(question, 3).choices for question in questions]
    assert [tuple(row["choices"]) for row in rows] == orders
    assert len(set(orders)) > 1
    assert orders != [shuffle_choices(question, 4).choices for question in questions]
    shown = [f"{letter}. {choice}" for letter, choice in zip("ABC", orders[0], strict=True)]
    assert rows[0]["question"].splitlines()[1:4] == shown


def test_a_letter_is_read_in_the_order_that_was_shown(own: Path, tmp_path: Path) -> None:
    backwards = ["X-ray", "MRI", "CT scan"]
    rows = [{"id": f"q{number}", "answer": "A", "choices": backwards} for number in range(6)]
    (scores,) = score_predictions(answers(tmp_path / "a.jsonl", rows), str(own))
    # "A" is the X-ray, which is right for q2 and q5
    assert scores.overall["choice_accuracy"].value == pytest.approx(100 * 2 / 6)
    assert scores_to_dict(scores)["choices"]["shuffled"] == 6
    assert scores_to_dict(scores)["choices"]["chosen"] == {"A": 6, "B": 0, "C": 0}
    plain = answers(tmp_path / "b.jsonl", [{"id": f"q{number}", "answer": "C"} for number in range(6)])
    (compared,) = compare_predictions(tmp_path / "a.jsonl", plain, str(own))
    assert compared.differences["choice_accuracy"].estimate.value == 0
    assert compared.differences["choice_accuracy"].p == 1


ASKED_BACKWARDS = (
    "Which scan is 0?\nA. X-ray\nB. MRI\nC. CT scan\nAnswer with the letter of the right choice."
)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"question": ASKED_BACKWARDS}, "choices in another order than the line states"),
        ({"question": ASKED_BACKWARDS, "choices": ["MRI", "X-ray", "CT scan"]}, "in another order"),
        ({"choices": ["X-ray", "MRI"]}, "not in an order of 'CT scan, MRI, X-ray'"),
        ({"choices": ["X-ray", "MRI", "MRI"]}, "not in an order of"),
        ({"choices": "X-ray"}, "a list of texts was expected"),
        ({"choices": []}, "not in an order of"),
    ],
)
def test_a_missing_or_changed_order_is_refused(
    own: Path, tmp_path: Path, row: Mapping[str, Any], message: str
) -> None:
    path = answers(tmp_path / "a.jsonl", [{"id": "q0", "answer": "A", **row}])
    with pytest.raises(LlavaMedError, match=message):
        read_answers(path, load_questions(str(own)), partial=True)


def test_shuffling_is_refused_where_it_does_nothing_or_could_not_be_stated(
    own: Path, tmp_path: Path, server: Server
) -> None:
    options = PredictOptions(
        model="gpt-4o", benchmark=str(own), base_url=server.url, work=tmp_path / "w", shuffle_choices=1
    )
    with pytest.raises(UsageError, match="released format cannot state the order"):
        predict(tmp_path / "a.jsonl", PredictOptions(**{**_as_dict(options), "file_format": "released"}))
    rows = [{"id": "q0", "answer": "A", "choices": ["X-ray", "MRI", "CT scan"]}]
    path = answers(tmp_path / "s.jsonl", rows)
    changed = {**_as_dict(options), "file_format": "released", "partial": True}
    with pytest.raises(UsageError, match="released format cannot state the order"):
        convert(path, tmp_path / "r.jsonl", PredictOptions(**changed))
    convert(path, tmp_path / "again.jsonl", PredictOptions(**{**_as_dict(options), "partial": True}))
    assert json.loads((tmp_path / "again.jsonl").read_text())["choices"] == rows[0]["choices"]
    vqa = make_set(
        tmp_path / "vqa",
        "vqa",
        [make_row("x", "Is it?", "no", drawn(1), answer_type="CLOSED", question_type=None, language="en")],
    )
    with pytest.raises(UsageError, match="--shuffle-options does nothing"):
        predict(tmp_path / "b.jsonl", PredictOptions(**{**_as_dict(options), "benchmark": str(vqa)}))


def _as_dict(options: PredictOptions) -> dict[str, Any]:
    return {name: getattr(options, name) for name in PredictOptions.__dataclass_fields__}


@pytest.mark.parametrize(
    ("more", "answer", "message"),
    [
        ({}, "D", "has the answer 'D', which is no letter of A to C"),
        ({}, "MRI", "has the answer 'MRI', which is no letter"),
        ({"choices": []}, "A", "has 0 choices"),
        ({"choices": ["MRI", "MRI"]}, "A", "two or more different ones"),
        ({"question": None}, "A", "no text in the column 'question'"),
    ],
)
def test_a_row_that_cannot_be_scored_is_refused_by_its_id(
    tmp_path: Path, more: Mapping[str, Any], answer: str, message: str
) -> None:
    folder = make_set(tmp_path / "bad", "choice", [own_row(0, answer, **more)])
    with pytest.raises(UsageError, match=f"row 'q0' of .*{message}"):
        load_questions(str(folder))


def test_the_tables_have_a_row_of_multiple_choice_in_every_format(own: Path, tmp_path: Path) -> None:
    results = tmp_path / "results"
    results.mkdir()
    for name, more in (("plain", {}), ("shuffled", {"choices": ["X-ray", "MRI", "CT scan"]})):
        path = answers(results / f"{name}.jsonl", [{"id": f"q{n}", "answer": "A", **more} for n in range(6)])
        done = CliRunner().invoke(app, ["score", str(path), "--benchmark", str(own)])
        assert done.exit_code == 0, done.output
        lines = [
            " ".join(line.replace("│", " ").replace("┃", " ").split()) for line in done.output.splitlines()
        ]
        assert "choice accuracy 33.33 0.00 – 66.67 6" in lines
        assert "chosen 6 0 0 0" in lines
        assert "right 2 2 2" in lines
        assert f"shuffled choices: {6 if more else 0}" in lines
        assert "guessing: 33.33" in lines
        assert "one letter: 33.33" in lines
    found = collect(results)
    filled = fill(found)
    (table,) = [each for each in filled if each.title == "Multiple choice"]
    assert not [each for each in filled if each.title.startswith("Results that the paper")]
    rows = [(row.head, [cell.ours for cell in row.cells]) for _, rows in table.groups for row in rows]
    third = pytest.approx(100 / 3)
    assert rows == [
        (("m", "own-set", "test", "plain", "as they are"), [third, 0, third, third]),
        (("m", "own-set", "test", "plain", "shuffled"), [third, 0, third, third]),
    ]
    for render in (to_markdown, to_latex, to_html):
        assert "Multiple choice" in render(filled)
        assert "33.33" in render(filled)
    metrics = {(each.metric, round(each.value, 2)) for each in card_results(found)}
    assert metrics == {("choice_accuracy", 33.33), ("choice_unreadable", 0)}


@pytest.mark.parametrize("name", ["pmc-vqa", "mmmu-medical"])
def test_from_the_authors_files_to_scores(
    name: str, tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Build, predict through a server, score: questions with one image, with two, and an open one."""
    monkeypatch.chdir(tmp_path)
    write = {"pmc-vqa": drawn_choices.write_pmc, "mmmu-medical": drawn_choices.write_mmmu_folder}[name]
    build([name], BuildOptions(source=str(write(tmp_path / "source"))), LocalEngine(workers=1))
    split = "test" if name == "pmc-vqa" else "validation"
    options = PredictOptions(
        model="gpt-4o",
        benchmark=name,
        split=split,
        base_url=server.url,
        work=tmp_path / "w",
        shuffle_choices=7,
    )
    report = predict(tmp_path / "a.jsonl", options)
    assert report is not None
    questions = len(load_dataset(f"llava-med/{name}", split=split, cache_dir="cache"))
    assert report.answered == report.questions == questions
    (scores,) = score_predictions(tmp_path / "a.jsonl", name, split=split)
    counted = {metric: each.count for metric, each in scores.overall.items()}
    assert counted["choice_accuracy"] == (2 if name == "pmc-vqa" else 3)
    assert counted.get("open_recall") == (None if name == "pmc-vqa" else 1)
    assert scores.benchmark == name
