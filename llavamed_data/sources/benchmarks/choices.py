"""The rows of benchmarks of multiple-choice questions; how each states them is in its recipe (`ChoiceFormat`)."""

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from llavamed_data.dataset.choices import LETTERS, MULTIPLE_CHOICE, with_choices
from llavamed_data.reasons import Drop, Reason
from llavamed_data.recipes import Benchmark
from llavamed_data.sources.benchmarks.questions import image_name, row_label, row_text
from llavamed_data.sources.released.fields import malformed, record_fields, text_of

SUBSET = "subset"
"""The column in which a row of a nested file states its subset."""

_OPEN = "OPEN"
_WITHHELD = "?"
_SUBJECT = re.compile(r"(?:dev|validation|test)_(?P<subject>\w+)_\d+", re.ASCII)
_MARK = re.compile(r"<image (\d{1,3})>")
_NO_LETTER = re.compile(r"[\s.:)]+$")
_LONGEST_LIST = 100_000
"""Characters of a list that is written as text."""


@dataclass(frozen=True, slots=True)
class ChoiceQuestion:
    """One multiple-choice question about one or more images, or an open question of the same benchmark.

    Attributes:
        id: `<benchmark>-<split>-<number>`: the source's own number, or the row's place in its file.
        split: of the row.
        images: the names of its images in the source, in the order in which its text counts them.
        question: its text without the choices.
        choices: what it offers, the first under the letter A; empty for an open question.
        answer: the letter of the right choice; the answer of an open question.
        answer_type: `CHOICE` or `OPEN`.
        question_type: kinds of question, separated by commas; None if the source states none.
        language: of the benchmark.
        domain: None, as no source states it in the project's terms.
    """

    id: str
    split: str
    images: tuple[str, ...]
    question: str
    choices: tuple[str, ...]
    answer: str
    answer_type: str
    question_type: str | None
    language: str
    domain: str | None = None

    @property
    def text(self) -> str:
        """What is asked: the question with its lettered choices, one a line."""
        return with_choices(self.question, self.choices)


class ChoiceReader:
    """Turns the records of a benchmark into multiple-choice questions, with ids that no two rows share."""

    def __init__(self, benchmark: Benchmark) -> None:
        assert benchmark.choices is not None
        self._benchmark = benchmark
        self._format = benchmark.choices
        self._times_taken: dict[str, int] = {}

    def read(self, record: Any, split: str, position: int) -> ChoiceQuestion:
        """Returns the question of a record.

        Args:
            record: as its file has it; images that it holds have been replaced by names.
            split: of the record.
            position: in its split, from 1; it names rows that have no number of their own.

        Raises:
            Drop: the row is malformed, cannot be scored, or is not wanted.
        """
        fields = _by_plain_name(record_fields(record))
        if None in fields:
            raise malformed("it has more cells than the first line has columns")
        name = self.label(record, split, position)
        subject = self._subject(fields)
        self._times_taken[name] = times = self._times_taken.get(name, 0) + 1
        question = row_text(self._first(fields, self._format.question), "question")
        if self._format.cut:
            question = question.partition(self._format.cut)[0].rstrip() or question
        choices = self._choices(fields)
        is_open = not choices and str(self._first(fields, ("question_type",))).lower() == "open"
        if not is_open:
            self._check_choices(choices)
        answer = self._answer(fields, choices)
        question, choices, images = _with_counted_images(question, choices, self._images(fields))
        return ChoiceQuestion(
            id=name if times == 1 else f"{name}~{times}",
            split=split,
            images=images,
            question=question,
            choices=choices,
            answer=answer,
            answer_type=_OPEN if is_open else MULTIPLE_CHOICE,
            question_type=self._types(fields, subject),
            language=self._benchmark.languages[0],
        )

    def label(self, record: Any, split: str, position: int) -> str:
        """The name of a dropped record: the id that its question would have."""
        fields = _by_plain_name(record) if isinstance(record, dict) else {}
        number = self._first(fields, self._format.id)
        if isinstance(number, str):
            number = number.strip().removeprefix(f"{split}_")
        if (subset := fields.get(SUBSET)) and number is not None:
            number = f"{subset}-{number}"
        return row_label(self._benchmark, split, position, number)

    def _first(self, fields: Mapping[Any, Any], names: Sequence[str]) -> Any:
        found = (fields.get(_plain_name(name)) for name in names)
        return next((value for value in found if value is not None), None)

    def _subject(self, fields: Mapping[Any, Any]) -> str | None:
        if not self._format.subjects:
            return None
        stated = self._first(fields, self._format.id)
        found = _SUBJECT.fullmatch(stated.strip()) if isinstance(stated, str) else None
        if found is None:
            raise malformed(f"the id {str(stated)[:40]!a} names no subject")
        if found["subject"] not in self._format.subjects:
            raise Drop(Reason.SUBJECT_EXCLUDED, found["subject"])
        return found["subject"].replace("_", " ")

    def _choices(self, fields: Mapping[Any, Any]) -> tuple[str, ...]:
        names = self._format.choices
        if len(names) == 1:
            stated = _listed(fields.get(_plain_name(names[0])))
        else:
            stated = [fields.get(_plain_name(name)) for name in names]
            while self._format.fewer and stated and stated[-1] is None:
                stated.pop()
        if not len(stated) <= len(LETTERS):
            raise malformed(f"it has {len(stated)} choices")
        return tuple(
            self._without_prefix(_choice(value, letter), letter)
            for value, letter in zip(stated, LETTERS, strict=False)
        )

    def _without_prefix(self, text: str, letter: str) -> str:
        prefix = self._format.prefix
        if not prefix:
            return text
        begins = text.partition(prefix)
        return begins[2].strip() if begins[1] and begins[0].strip() == letter else text

    def _check_choices(self, choices: Sequence[str]) -> None:
        if len(choices) < 2:
            raise Drop(Reason.TOO_FEW_CHOICES, f"{len(choices)}")
        plain = [" ".join(choice.split()) for choice in choices]
        if "" in plain:
            raise Drop(Reason.EMPTY_CHOICE, LETTERS[plain.index("")])
        for place, choice in enumerate(plain):
            if choice in plain[:place]:
                raise Drop(Reason.EQUAL_CHOICES, f"{LETTERS[plain.index(choice)]} and {LETTERS[place]}")

    def _answer(self, fields: Mapping[Any, Any], choices: Sequence[str]) -> str:
        value = self._first(fields, self._format.answer)
        if not choices and isinstance(value, str):
            value = next(iter(_listed(value)), "") if value.strip().startswith("[") else value
        stated = row_text(value, "answer")
        if stated == _WITHHELD:
            raise Drop(Reason.ANSWER_WITHHELD)
        if not choices:
            return stated
        letters = LETTERS[: len(choices)]
        by_letter = _NO_LETTER.sub("", stated).upper()
        if self._format.answer_is != "text" and len(by_letter) == 1 and by_letter in letters:
            return by_letter
        if self._format.answer_is != "letter":
            for letter in letters:  # the choice as the source writes it: "A) Bi-lobed nuclei"
                text = " ".join(choices[letters.index(letter)].split()).casefold()
                if " ".join(self._without_prefix(stated, letter).split()).casefold() == text:
                    return letter
        raise Drop(Reason.ANSWER_NO_CHOICE, f"{stated[:60]!a} with the choices A to {letters[-1]}")

    def _images(self, fields: Mapping[Any, Any]) -> dict[int, str]:
        """Number, from 1, by which the text calls an image → its name."""
        names = self._format.images
        if len(names) == 1:
            stated = fields.get(_plain_name(names[0]))
            listed = stated if isinstance(stated, list) else [stated]
        else:
            listed = [fields.get(_plain_name(name)) for name in names]
        found = {number: image_name(name) for number, name in enumerate(listed, 1) if name is not None}
        if not found:
            raise Drop(Reason.IMAGE_MISSING, "the row names no image")
        return found

    def _types(self, fields: Mapping[Any, Any], subject: str | None) -> str | None:
        stated = [subject, *(self._first(fields, names) for names in self._format.types if not subject)]
        types = [" ".join(each.split()).replace(",", ";") for each in stated if isinstance(each, str)]
        return ", ".join(each for each in types if each)[:1000] or None


def _with_counted_images(
    question: str, choices: tuple[str, ...], images: Mapping[int, str]
) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
    """The texts with their marks of images (`<image 2>`) counted from 1 without gaps, and the images in that order.

    Raises:
        Drop: a mark names an image that the row does not have.
    """
    numbers = {old: new for new, old in enumerate(images, 1)}

    def counted(text: str) -> str:
        return _MARK.sub(lambda mark: f"<image {numbers[int(mark[1])]}>", text)

    for text in (question, *choices):
        for mark in _MARK.finditer(text):
            if int(mark[1]) not in numbers:
                raise Drop(Reason.MARK_WITHOUT_IMAGE, mark[0])
    return counted(question), tuple(map(counted, choices)), tuple(images.values())


def nested_records(value: Any, splits: Mapping[str, str]) -> Iterator[tuple[str, Any]]:
    """Yields (split, record) of an object of subsets that are objects of splits, each record with its subset.

    Args:
        value: the object.
        splits: split → its name in the object; others are left out.

    Raises:
        Drop: it is no such object.
    """
    if not isinstance(value, dict) or not all(isinstance(each, dict) for each in value.values()):
        raise malformed("an object of subsets was expected, each with its splits")
    for subset, by_split in value.items():
        for split, stated in splits.items():
            rows = by_split.get(stated, [])
            for row in rows if isinstance(rows, list) else [rows]:
                yield split, {**row, SUBSET: subset} if isinstance(row, dict) else row


def _by_plain_name(fields: Mapping[Any, Any]) -> dict[Any, Any]:
    return {(_plain_name(name) if isinstance(name, str) else name): value for name, value in fields.items()}


def _plain_name(name: str) -> str:
    return " ".join(name.replace("_", " ").lower().split())


def _listed(value: Any) -> list[Any]:
    """The choices of one column: a list, a mapping of letters in their order, or either written as text.

    Raises:
        Drop: it is none of these.
    """
    if isinstance(value, str):
        if len(value) > _LONGEST_LIST:
            raise malformed(f"the list of choices has {len(value):,} characters")
        try:
            value = ast.literal_eval(value.strip())
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as error:
            raise malformed(f"the choices are no list: {type(error).__name__}") from error
    if isinstance(value, dict):
        present = {key: text for key, text in value.items() if text is not None}
        if list(present) != list(LETTERS[: len(present)]):
            raise malformed(f"the letters of the choices are {', '.join(map(str, present))[:60]!a}")
        return list(present.values())
    if not isinstance(value, (list, tuple)):
        raise malformed("the choices are missing" if value is None else "the choices are no list")
    return list(value)


def _choice(value: Any, letter: str) -> str:
    if value is None:
        return ""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        value = str(value)
    return text_of(value, f"choice {letter}").strip()
