"""What was asked and what is right: from a dataset, or from a benchmark's original file."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from llavamed_data.dataset.messages import rounds_of
from llavamed_data.dataset.reader import Dataset
from llavamed_data.errors import UsageError

BENCHMARKS = ("vqa-rad", "slake", "path-vqa")
"""Names that stand for the datasets `llava-med/NAME`, which `build NAME` leaves."""

_COLUMNS = (
    "id",
    "messages",
    "answer_type",
    "question_type",
    "domain",
    "language",
    "images.list.element.path",
)
_NEEDED = ("id", "messages", "answer_type")
_ANSWER_TYPES: Mapping[str, Literal["OPEN", "CLOSED"]] = {"OPEN": "OPEN", "CLOSED": "CLOSED"}


@dataclass(frozen=True, slots=True)
class Question:
    """A question of a benchmark and its right answer.

    Attributes:
        id: of the row; `qid` in an original file.
        text, answer: what is asked and what is right.
        answer_type: None where the benchmark does not say (the Hub copies of some do not).
        question_type: such as MODALITY; several are separated by commas.
        domain: imaging modality, if stated.
        language: `en` or `zh`.
        image: what the image is called; None where that is not known.
    """

    id: str
    text: str
    answer: str
    answer_type: Literal["OPEN", "CLOSED"] | None
    question_type: str | None
    domain: str | None
    language: str
    image: str | None


@dataclass(frozen=True, slots=True)
class Truth:
    """The questions of one split of a benchmark, in their order."""

    benchmark: str
    split: str
    questions: tuple[Question, ...]


def load_truth(benchmark: str, split: str = "test", language: str = "en") -> Truth:
    """The questions and answers that predictions are scored by.

    Args:
        benchmark: `vqa-rad`, `slake`, `path-vqa`, a dataset's folder or name on the Hub, or the original
            `testset.json` of VQA-RAD or `test.json` of SLAKE.
        split: of the dataset; an original file is one split, whatever it is called.
        language: `en`, `zh` or `all`: which questions count. Sets that state none are English.

    Raises:
        UsageError: there is no such dataset, split or column; no question is in that language; a row is not one
            question and its answer, or two rows have the same id.
        LlavaMedError: the Hub cannot be reached, or a shard cannot be read.
    """
    if Path(benchmark).is_file():
        questions = _from_original(Path(benchmark))
        name = Path(benchmark).resolve().parent.name.replace("_", "-")
    else:
        known = benchmark in BENCHMARKS and not Path(benchmark).is_dir()
        questions = _from_dataset(f"llava-med/{benchmark}" if known else benchmark, split)
        name = benchmark.rstrip("/").rpartition("/")[2]
    seen = set[str]()
    for question in questions:
        if question.id in seen:
            raise UsageError(f"{benchmark} has the id {question.id!r} twice: run validate")
        seen.add(question.id)
    chosen = tuple(question for question in questions if language in ("all", question.language))
    if not chosen:
        there = ", ".join(sorted({question.language for question in questions})) or "none"
        raise UsageError(f"{benchmark} has no question in the language {language!r}, only: {there}")
    return Truth(name, split, chosen)


def _from_dataset(name: str, split: str) -> list[Question]:
    dataset = Dataset(name)
    if lost := [column for column in _NEEDED if column not in dataset.schema.names]:
        raise UsageError(f"{name} has no column {lost[0]!r}: score takes the VQA sets, as `build` makes them")
    if split not in dataset.splits:
        raise UsageError(f"{name} has no split {split!r}: choose from {', '.join(dataset.splits)}")
    return [_from_row(row, name) for row in dataset.rows(_COLUMNS, split=split)]


def _from_row(row: Mapping[str, Any], name: str) -> Question:
    rounds = rounds_of(row["messages"])
    if len(rounds) != 1 or not row["id"]:
        raise UsageError(f"row {row['id']!r} of {name} is not one question and its answer: run validate")
    images = row.get("images") or [{}]
    return Question(
        id=row["id"],
        text=rounds[0][0],
        answer=rounds[0][1],
        answer_type=_answer_type(row["answer_type"]),
        question_type=row.get("question_type"),
        domain=row.get("domain"),
        language=row.get("language") or "en",
        image=images[0].get("path"),
    )


def _from_original(path: Path) -> list[Question]:
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
        return [
            Question(
                id=str(row["qid"]),
                text=str(row["question"]),
                answer=str(row["answer"]),
                answer_type=_answer_type(row["answer_type"]),
                question_type=row.get("question_type") or row.get("content_type"),
                domain=None,
                language=row.get("q_lang") or "en",
                image=row.get("image_name") or row.get("img_name"),
            )
            for row in rows
        ]
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise UsageError(
            f"{path} is not an original test file: a JSON list of rows with qid, question, answer and answer_type "
            f"was expected ({type(error).__name__}: {error})"
        ) from error


def _answer_type(stated: str | None) -> Literal["OPEN", "CLOSED"] | None:
    """The original files have stray blanks ("CLOSED ") and, in SLAKE, have them in either case."""
    return _ANSWER_TYPES.get((stated or "").strip().upper())
