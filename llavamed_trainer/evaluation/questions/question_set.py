"""The questions of a benchmark with their right answers: from a dataset, or from a benchmark's original file."""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from llavamed_data.dataset.choices import LETTERS
from llavamed_data.dataset.layout import open_shard
from llavamed_data.dataset.messages import rounds_of
from llavamed_data.dataset.reader import Dataset
from llavamed_data.errors import UsageError
from llavamed_data.recipes import ALL_BENCHMARKS, EVAL

AnswerType: TypeAlias = Literal["OPEN", "CLOSED", "CHOICE"]
"""`CHOICE` is a question of which one of several choices is the right answer."""

_NEEDED = ("id", "messages")
_IMAGE_NAME = "images.list.element.path"
_COLUMNS = (
    *_NEEDED,
    "answer_type",
    "question",
    "choices",
    "question_type",
    "domain",
    "language",
    "caption",
    "inline_mentions",
    "figure_label",
    _IMAGE_NAME,
)
_ANSWER_TYPES: Mapping[str, AnswerType] = {"OPEN": "OPEN", "CLOSED": "CLOSED", "CHOICE": "CHOICE"}
_HASHED_AT_ONCE = 64
_SPLIT_WORD = re.compile("(?<![a-z])(?:train|val|test)")
"""How the name of a split begins a word in the name of an original file: not in `eval.json` or `latest.json`."""


@dataclass(frozen=True, slots=True)
class Question:
    """One question of a benchmark and its right answer.

    Attributes:
        id: id of the row; `qid` in an original file.
        text: what is asked.
        reference: the right answer, or the reference answer of the evaluation set; the letter of the right choice.
        answer_type: None if the benchmark does not say (the Hub copies of some do not).
        question_type: such as `conversation` or `MODALITY`; several are separated by commas.
        domain: imaging modality, if stated; the first one flagged, in the evaluation set.
        language: `en` or `zh`.
        image: file name of the first image; None if it is not known, or the image is lost.
        image_count: number of images that it asks about: its image parts, or its images if no part stands for them.
        caption, inline_mentions, figure_label: the text that belongs to the figure; empty in the VQA sets.
        choices: what a `CHOICE` question offers, the first under the letter A; empty for other questions.
        shuffled: whether the choices are in an order that was drawn, and `reference` is the letter in that order.
    """

    id: str
    text: str
    reference: str
    answer_type: AnswerType | None = None
    question_type: str | None = None
    domain: str | None = None
    language: str = "en"
    image: str | None = None
    image_count: int = 1
    caption: str = ""
    inline_mentions: tuple[str, ...] = ()
    figure_label: str = ""
    choices: tuple[str, ...] = ()
    shuffled: bool = False


@dataclass(frozen=True, slots=True)
class StoredImage:
    """An image as the dataset holds it: its bytes, and the file name that it has there, if any."""

    data: bytes
    path: str | None


class QuestionImages:
    """The images of a dataset's questions, read from its shards when they are asked for.

    Args:
        dataset: the dataset that holds them.
        split: the split of the questions.
        rows: question id → row number in the split, from 0.
    """

    def __init__(self, dataset: Dataset, split: str, rows: Mapping[str, int]) -> None:
        self._dataset, self._split, self._rows = dataset, split, rows
        self._first = _first_row(dataset, split)

    def digests(self) -> dict[str, tuple[str, ...]]:
        """Question id → SHA-256 of the bytes of each image, in one pass; lost images are left out."""
        return {
            identity: tuple(hashlib.sha256(image.data).hexdigest() for image in images)
            for identity, images in self.stored()
        }

    def stored(self) -> Iterator[tuple[str, tuple[StoredImage, ...]]]:
        """Yields each question's id and its images, in the order of the rows; lost images are left out."""
        ids = {row: identity for identity, row in self._rows.items()}
        rows = self._dataset.rows(["images"], split=self._split, size=_HASHED_AT_ONCE)
        for number, row in enumerate(rows):
            if number in ids:
                yield ids[number], tuple(_stored_images(row))

    def read(self, question_id: str, number: int = 0) -> bytes:
        """The bytes of an image of a question as the dataset holds them.

        Args:
            question_id: the question.
            number: which of the images that are not lost, from 0.

        Raises:
            KeyError: there is no such question, or its image is lost.
        """
        row = self._dataset.row(self._first + self._rows[question_id], ["images"])
        for at, image in enumerate(_stored_images(row)):
            if at == number:
                return image.data
        raise KeyError(question_id)


@dataclass(frozen=True)
class QuestionSet:
    """The questions of one split of a benchmark, in the order of its rows.

    Attributes:
        name: how results call the benchmark.
        split: name of the split.
        questions: the questions in the language that was asked for.
        columns: columns of the dataset; empty for an original file.
        images: the images of the questions; None for an original file.
    """

    name: str
    split: str
    questions: tuple[Question, ...]
    columns: frozenset[str] = frozenset()
    images: QuestionImages | None = None


def load_questions(benchmark: str, split: str = "test", language: str = "en") -> QuestionSet:
    """Reads the questions of a benchmark; the bytes of the images stay on disk.

    Args:
        benchmark: `vqa-rad`, `slake`, `path-vqa`, `eval` or a benchmark of multiple choice such as `pmc-vqa` (the
            dataset `llava-med/NAME`, which `build NAME` makes), a dataset's folder or its name on the Hub, or the
            original `testset.json` of VQA-RAD or `test.json` of SLAKE.
        split: split of the dataset; of an original file, only where its name has none of train, val and test in it.
        language: `en`, `zh` or `all`. Questions of sets that state no language are English.

    Raises:
        UsageError: there is no such dataset, split or column; no question is in that language; a row is not one
            question and its answer, or two rows have the same id.
        LlavaMedError: the Hub cannot be reached, or a shard cannot be read.
    """
    dataset = None
    if Path(benchmark).is_file():
        name = Path(benchmark).resolve().parent.name.replace("_", "-")
        questions = _from_original(Path(benchmark))
    else:
        known = benchmark in (*ALL_BENCHMARKS, EVAL) and not Path(benchmark).is_dir()
        source = f"llava-med/{benchmark}" if known else benchmark
        name = benchmark.rstrip("/").rpartition("/")[2]
        dataset = _open(source, split)
        questions = [
            _from_row(row, number, source) for number, row in enumerate(dataset.rows(_COLUMNS, split=split))
        ]
    _refuse_doubled(questions, benchmark)
    chosen = {
        row: question for row, question in enumerate(questions) if language in ("all", question.language)
    }
    if not chosen:
        there = ", ".join(sorted({question.language for question in questions})) or "none"
        raise UsageError(
            f"{benchmark} has no question in the language {language!r}, only: {there}; choose another --language"
        )
    if dataset is None:
        return QuestionSet(name, _split_named(Path(benchmark)) or split, tuple(chosen.values()))
    images = QuestionImages(dataset, split, {question.id: row for row, question in chosen.items()})
    return QuestionSet(name, split, tuple(chosen.values()), frozenset(dataset.schema.names), images)


def _open(source: str, split: str) -> Dataset:
    dataset = Dataset(source)
    if missing := [column for column in _NEEDED if column not in dataset.schema.names]:
        raise UsageError(
            f"{source} has no column {missing[0]!r}: build the set with python -m llavamed_data build"
        )
    if split not in dataset.splits:
        raise UsageError(f"{source} has no split {split!r}: choose from {', '.join(dataset.splits)}")
    return dataset


def _from_row(row: Mapping[str, Any], number: int, source: str) -> Question:
    rounds = rounds_of(row["messages"])
    if len(rounds) != 1 or not row["id"]:
        raise UsageError(
            f"row {row['id'] or number!r} of {source} is not one question and its answer: "
            f"check the set with python -m llavamed_data validate {source}"
        )
    choices, answer_type = tuple(row.get("choices") or ()), _answer_type(row.get("answer_type"))
    reference = rounds[0][1]
    if answer_type == "CHOICE":
        reference = _letter(row, choices, reference, source)
    return Question(
        id=row["id"],
        text=row["question"] if choices and row.get("question") else rounds[0][0],
        reference=reference,
        answer_type=answer_type,
        question_type=row.get("question_type"),
        domain=row.get("domain"),
        language=row.get("language") or "en",
        image=next((image.get("path") for image in _images(row)), None),
        image_count=_count_image_parts(row["messages"]) or len(_images(row)),
        caption=row.get("caption") or "",
        inline_mentions=tuple(row.get("inline_mentions") or ()),
        figure_label=row.get("figure_label") or "",
        choices=choices,
    )


def _letter(row: Mapping[str, Any], choices: Sequence[str], stated: str, source: str) -> str:
    """The letter of the right choice, in upper case.

    Raises:
        UsageError: the row has no bare question or fewer than two different choices, or its answer is no letter of one.
    """
    letters = LETTERS[: len(choices)]
    letter = stated.strip().upper()
    if not row.get("question"):
        fault = "has no text in the column 'question', the question without its choices"
    elif len(set(choices)) < max(len(choices), 2):
        fault = (
            f"has {len(choices)} choices in the column 'choices', which must be two or more different ones"
        )
    elif len(letter) != 1 or letter not in letters:
        fault = f"has the answer {stated[:40]!r}, which is no letter of A to {letters[-1]}"
    else:
        return letter
    raise UsageError(
        f"row {row['id']!r} of {source} is a multiple-choice question (CHOICE) and {fault}: correct it"
    )


def _split_named(path: Path) -> str | None:
    """The split that the name of an original file states, such as `validate.json`; None if it states none."""
    found = _SPLIT_WORD.search(path.name.lower())
    return {"train": "train", "val": "validation", "test": "test"}[found[0]] if found else None


def _from_original(path: Path) -> list[Question]:
    try:
        return [
            Question(
                id=str(row["qid"]),
                text=str(row["question"]),
                reference=str(row["answer"]),
                answer_type=_answer_type(row["answer_type"]),
                question_type=row.get("question_type") or row.get("content_type"),
                language=row.get("q_lang") or "en",
                image=row.get("image_name") or row.get("img_name"),
            )
            for row in json.loads(path.read_text(encoding="utf-8"))
        ]
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise UsageError(
            f"{path} is not an original test file: a JSON list of rows with qid, question, answer and answer_type "
            f"was expected ({type(error).__name__}: {error})"
        ) from error


def _answer_type(stated: str | None) -> AnswerType | None:
    """The original files have stray blanks ("CLOSED ") and, in SLAKE, have them in either case."""
    return _ANSWER_TYPES.get((stated or "").strip().upper())


def _refuse_doubled(questions: Iterable[Question], source: str) -> None:
    seen = set[str]()
    for question in questions:
        if question.id in seen:
            raise UsageError(
                f"{source} has the id {question.id!r} twice: "
                f"check the set with python -m llavamed_data validate {source}"
            )
        seen.add(question.id)


def _first_row(dataset: Dataset, split: str) -> int:
    """The number that the dataset gives to the first row of a split."""
    number = 0
    for shard in dataset.shards:
        if shard.split == split:
            break
        with open_shard(shard.path) as file:
            number += file.metadata.num_rows
    return number


def _stored_images(row: Mapping[str, Any]) -> Iterator[StoredImage]:
    """A row's images, which may be files that the row names; lost ones are left out."""
    for image in _images(row):
        data: bytes | None = image.get("bytes")
        path = Path(image.get("path") or "")
        if data is None and path.is_absolute() and path.is_file():
            data = path.read_bytes()
        if data:
            yield StoredImage(data, image.get("path"))


def _images(row: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [image or {} for image in row.get("images") or ()]


def _count_image_parts(messages: Any) -> int:
    parts = (part for turn in messages for part in turn.get("content") or () if isinstance(part, Mapping))
    return sum(part.get("type") == "image" for part in parts)
