"""`predict --answers`, `score` and `judge` read a file alike: all accept the same answers, or all refuse it."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from llavamed_data.errors import LlavaMedError
from llavamed_trainer.cli.app import app
from tests.llavamed_trainer.evaluation.benchmarks import make_row, make_set, write_lines
from tests.servers.openai import KEY, Server, running

OPTIONS = "Please choose from the following two options: [yes, no]"
QUESTIONS = {
    # id: question, right answer, answer type
    "f1-q0": ("Is there a fracture?", "no", "CLOSED"),
    "f1-q1": ("Which plane is shown?", "axial", "OPEN"),
    "f2-q0": ("Is the heart enlarged?", "yes", "CLOSED"),
    "f2-q1": ("What does the arrow mark?", "the aorta", "OPEN"),
}
Rows = list[dict[str, Any]]


def rows_of_set(**more: Any) -> Rows:
    return [
        make_row(
            identity,
            question,
            answer,
            None,
            caption=f"Caption of {identity}.",
            inline_mentions=[],
            question_type="conversation",
            domain="mri",
            **{name: value(answer_type) if callable(value) else value for name, value in more.items()},
        )
        for identity, (question, answer, answer_type) in QUESTIONS.items()
    ]


@pytest.fixture(scope="module")
def typed_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A set that all three commands take: it says which questions are closed, and has captions for the judge."""
    rows = rows_of_set(answer_type=lambda answer_type: answer_type, language="en")
    return make_set(tmp_path_factory.mktemp("typed") / "typed", "vqa", rows)


@pytest.fixture(scope="module")
def untyped_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same questions, but the set does not say which are closed, as the Hub copies of some benchmarks do not."""
    rows = rows_of_set(answer_type=None, language="en")
    return make_set(tmp_path_factory.mktemp("untyped") / "untyped", "vqa", rows)


@pytest.fixture(scope="module")
def eval_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same questions as an evaluation set, which has no column for answer types."""
    rows = rows_of_set(question_id=0)
    return make_set(tmp_path_factory.mktemp("eval") / "eval", "eval", rows)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running() as server:
        yield server


@dataclass(frozen=True)
class Read:
    """What the commands made of a file: the answers of each prompt form, or why they refused it."""

    predicted: Any
    scored: Any
    judged: Any


@pytest.fixture
def read(tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Puts a file of answers through the three commands."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)

    def run(*command: str) -> LlavaMedError | None:
        result = CliRunner().invoke(app, [*command, "--quiet"])
        if isinstance(result.exception, LlavaMedError):
            return result.exception
        assert result.exit_code == 0, result.output
        return None

    def through_all(file: Path, benchmark: Path, *flags: str) -> Read:
        again, scores, verdicts = (
            tmp_path / name for name in ("again.jsonl", "scores.json", "verdicts.jsonl")
        )
        of = ("--benchmark", str(benchmark), *flags)
        refused = run("predict", "--answers", str(file), *of, "--out", str(again))
        predicted: Any = str(refused) if refused else answers_in(again)
        refused = run("score", str(file), *of, "--output", str(scores))
        scored: Any = str(refused) if refused else scores_in(scores)
        judged: Any = {}
        for prompt in ("plain", "options"):
            judge = ("--model", "judge", "--base-url", server.url, "--work", str(tmp_path / "work"))
            refused = run("judge", str(file), *of, *judge, "--prompt", prompt, "--out", str(verdicts))
            if refused is None:
                judged[prompt] = verdicts_in(verdicts)
            elif "has no answers in the prompt form" not in str(refused):
                judged = str(refused)
                break
        return Read(predicted, scored, judged)

    return through_all


def answers_in(path: Path) -> list[tuple[str, str, str]]:
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [(row["id"], row["prompt_form"], row["answer"]) for row in rows]


def scores_in(path: Path) -> dict[str, tuple[int, Mapping[str, float]]]:
    """Prompt form → number of scored questions, and open recall and closed accuracy as far as they are stated."""
    stated = json.loads(path.read_text(encoding="utf-8"))["scores"]
    wanted = ("open_recall", "closed_accuracy")
    return {
        each["prompt_form"]: (
            each["scored"],
            {name: each["metrics"][name]["value"] for name in wanted if name in each["metrics"]},
        )
        for each in stated
    }


def verdicts_in(path: Path) -> dict[str, str]:
    """Question id → the judge's words, which depend on the candidate's answer; reference first."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return {row["id"]: row["said"] for row in rows if row["order"] == "reference first"}


def ours(ids: Sequence[str] = tuple(QUESTIONS), form: str = "plain", answers: str = "right") -> Rows:
    return [
        {
            "id": identity,
            "question": QUESTIONS[identity][0] + (f" {OPTIONS}" if form == "options" else ""),
            "answer": QUESTIONS[identity][1] if answers == "right" else answers,
            "prompt_form": form,
            "model": "m",
        }
        for identity in ids
    ]


def released(ids: Sequence[str] = tuple(QUESTIONS), options_for: Sequence[str] = ()) -> Rows:
    return [
        {
            "question_id": 900 + place,
            "prompt": QUESTIONS[identity][0] + (f" {OPTIONS}" if identity in options_for else "\n<image>"),
            "text": QUESTIONS[identity][1],
            "answer_id": "x",
            "model_id": "m",
            "metadata": {},
        }
        for place, identity in enumerate(ids)
    ]


CLOSED, OPEN = ("f1-q0", "f2-q0"), ("f1-q1", "f2-q1")
PLAIN = [(identity, "plain", QUESTIONS[identity][1]) for identity in QUESTIONS]
WITH_OPTIONS = [
    (identity, "options" if identity in CLOSED else "plain", QUESTIONS[identity][1]) for identity in QUESTIONS
]
ALL_RIGHT = (4, {"open_recall": 100.0, "closed_accuracy": 100.0})


@pytest.fixture
def right_verdicts(read: Any, typed_set: Path, tmp_path: Path) -> dict[str, str]:
    """What the judge says of the right answers."""
    verdicts = read(write_lines(tmp_path / "right.jsonl", ours()), typed_set).judged["plain"]
    assert len(set(verdicts.values())) > 1, (
        "the judge says the same of every answer: the tests would see nothing"
    )
    return dict(verdicts)


@pytest.mark.parametrize(
    "rows",
    [
        ours(),
        ours()[::-1],
        [{"id": row["id"], "answer": row["answer"], "model": "m"} for row in ours()],
        released(),
    ],
    ids=["ours", "ours in another order", "id and answer alone", "released"],
)
def test_a_whole_file_with_plain_prompts(
    rows: Rows, read: Any, typed_set: Path, tmp_path: Path, right_verdicts: dict[str, str]
) -> None:
    found = read(write_lines(tmp_path / "answers.jsonl", rows), typed_set)
    assert found == Read(PLAIN, {"plain": ALL_RIGHT}, {"plain": right_verdicts})


@pytest.mark.parametrize(
    "rows",
    [ours(CLOSED, "options") + ours(OPEN), released(options_for=CLOSED)],
    ids=["ours", "released"],
)
def test_a_file_whose_closed_questions_were_asked_with_options(
    rows: Rows, read: Any, typed_set: Path, tmp_path: Path, right_verdicts: dict[str, str]
) -> None:
    found = read(write_lines(tmp_path / "answers.jsonl", rows), typed_set)
    assert found == Read(WITH_OPTIONS, {"options": ALL_RIGHT}, {"options": right_verdicts})


def test_a_json_list_is_read_like_json_lines(
    read: Any, typed_set: Path, tmp_path: Path, right_verdicts: dict[str, str]
) -> None:
    file = tmp_path / "answers.json"
    file.write_text(json.dumps(released(), indent=1))
    assert read(file, typed_set) == Read(PLAIN, {"plain": ALL_RIGHT}, {"plain": right_verdicts})


def test_both_prompt_forms_in_one_file_are_two_sets_of_answers(
    read: Any, typed_set: Path, tmp_path: Path, right_verdicts: dict[str, str]
) -> None:
    file = write_lines(tmp_path / "answers.jsonl", ours() + ours(CLOSED, "options", answers="yes, no"))
    found = read(file, typed_set)
    assert sorted(found.predicted) == sorted(
        [*PLAIN, *((identity, "options", "yes, no") for identity in CLOSED)]
    )
    # "yes, no" is right by the released metric, which takes either word
    assert found.scored == {"plain": ALL_RIGHT, "options": ALL_RIGHT}
    assert found.judged["plain"] == right_verdicts
    options = found.judged["options"]
    assert {identity: options[identity] for identity in OPEN} == {
        identity: right_verdicts[identity] for identity in OPEN
    }
    assert all(options[identity] != right_verdicts[identity] for identity in CLOSED)


def test_the_judge_asks_which_of_two_prompt_forms_is_meant(
    typed_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    file = write_lines(tmp_path / "answers.jsonl", ours() + ours(CLOSED, "options"))
    command = ["judge", str(file), "--benchmark", str(typed_set), "--model", "judge"]
    refused = CliRunner().invoke(app, command).exception
    assert "in the prompt forms plain and options: choose one with --prompt" in str(refused)


def test_the_released_format_has_no_place_for_two_prompt_forms(typed_set: Path, tmp_path: Path) -> None:
    file = write_lines(tmp_path / "answers.jsonl", ours() + ours(CLOSED, "options"))
    command = ["predict", "--answers", str(file), "--benchmark", str(typed_set), "--format", "released"]
    refused = CliRunner().invoke(app, [*command, "--out", str(tmp_path / "out.jsonl")]).exception
    assert "write it with --format ours" in str(refused)
    assert not (tmp_path / "out.jsonl").exists()


@pytest.mark.parametrize(
    ("rows", "answered"),
    [(ours(("f1-q0", "f2-q1")), ("f1-q0", "f2-q1")), (released(("f1-q0", "f1-q1")), ("f1-q0", "f1-q1"))],
    ids=["ours", "released"],
)
def test_a_partial_file_is_refused_unless_that_is_allowed(
    rows: Rows,
    answered: Sequence[str],
    read: Any,
    typed_set: Path,
    tmp_path: Path,
    right_verdicts: dict[str, str],
) -> None:
    file = write_lines(tmp_path / "answers.jsonl", rows)
    refused = read(file, typed_set)
    assert refused.predicted == refused.scored == refused.judged
    first = next(identity for identity in QUESTIONS if identity not in answered)
    assert f"to 2 questions, the first is {first!r}" in refused.predicted
    found = read(file, typed_set, "--partial")
    assert found.predicted == [line for line in PLAIN if line[0] in answered]
    assert found.scored["plain"][0] == 2
    assert found.judged == {"plain": {identity: right_verdicts[identity] for identity in answered}}


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([*ours(), *ours(("f1-q1",))], r":5 answers 'f1-q1' a second time (first in line 2): keep one"),
        ([*ours(), {"id": "f9-q0", "answer": "?"}], ":5 answers 'f9-q0', which is no question of"),
        (
            [{**ours()[0], "id": "f1-q1"}, *ours()[1:]],
            ":1 was asked 'Is there a fracture?', but its question",
        ),
        (released(tuple(QUESTIONS)[::-1]), ":1 was asked 'What does the arrow mark?', but its question"),
        ([*released(), released()[0]], "has 5 answers for the 4 questions of"),
        (
            ours(CLOSED[:1], "options") + ours(CLOSED[1:]) + ours(OPEN),
            "has no answer in the prompt form 'plain'",
        ),
        ([{**row, "model": row["id"]} for row in ours()], "holds answers of 4 models"),
        ([*ours()[:3], *released()[3:]], ":4 is in another format than the lines before it"),
        ([{"id": "f1-q0"}], ":1 is no answer: it has neither id and answer nor prompt and text"),
        ([{**ours()[0], "answer": None}], ":1 has the answer None: text was expected"),
        ([{**ours()[0], "prompt_form": "long"}], ":1 has the prompt_form 'long'"),
        (["yes"], ":1 is no answer: a JSON object was expected"),
        ([], "holds no answers"),
    ],
    ids=[
        "answered twice",
        "unknown id",
        "another question than the id's",
        "released in another order",
        "released with a line too many",
        "closed questions in different forms",
        "several models",
        "two formats",
        "no answer",
        "answer that is no text",
        "unknown prompt form",
        "no JSON object",
        "empty",
    ],
)
def test_a_faulty_file_is_refused_by_all_with_the_same_words(
    rows: Any, message: str, read: Any, typed_set: Path, tmp_path: Path
) -> None:
    refused = read(write_lines(tmp_path / "answers.jsonl", rows), typed_set)
    assert message in refused.predicted
    assert refused.predicted == refused.scored == refused.judged


def test_a_torn_line_and_a_missing_file_are_refused_by_all(
    read: Any, typed_set: Path, tmp_path: Path
) -> None:
    file = write_lines(tmp_path / "answers.jsonl", ours())
    file.write_text(file.read_text()[:-10])
    refused = read(file, typed_set)
    assert "answers.jsonl:4 is not JSON" in refused.predicted
    assert refused.predicted == refused.scored == refused.judged
    missing = read(tmp_path / "none.jsonl", typed_set)
    assert "there is no file" in missing.predicted
    assert missing.predicted == missing.scored == missing.judged
    os.mkfifo(tmp_path / "pipe.jsonl")
    pipe = read(tmp_path / "pipe.jsonl", typed_set)  # never waited for
    assert "is no regular file" in pipe.predicted
    assert pipe.predicted == pipe.scored == pipe.judged


@pytest.mark.parametrize("rows", [ours(), released()], ids=["ours", "released"])
def test_an_evaluation_set_is_read_alike_and_not_scored(
    rows: Rows, read: Any, eval_set: Path, tmp_path: Path, right_verdicts: dict[str, str]
) -> None:
    found = read(write_lines(tmp_path / "answers.jsonl", rows), eval_set)
    assert found.predicted == PLAIN
    assert found.judged == {"plain": right_verdicts}
    assert "score takes the VQA sets, as build makes them, and judge the evaluation set" in found.scored


def test_where_answer_types_are_unknown_a_question_asked_with_options_counts_as_closed(
    read: Any, untyped_set: Path, tmp_path: Path, right_verdicts: dict[str, str]
) -> None:
    file = write_lines(tmp_path / "answers.jsonl", released(options_for=CLOSED))
    found = read(file, untyped_set)
    assert found == Read(WITH_OPTIONS, {"options": (4, {})}, {"options": right_verdicts})
    both = write_lines(tmp_path / "both.jsonl", ours() + ours(CLOSED, "options"))
    found = read(both, untyped_set)
    assert found.scored == {"plain": (4, {}), "options": (4, {})}
    assert set(found.judged) == {"plain", "options"}
