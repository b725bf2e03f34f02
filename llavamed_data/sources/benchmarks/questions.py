"""The rows of the paper's three benchmarks as questions in the project's own terms, and the types that a copy lost."""

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from llavamed_data.reasons import Drop, Reason
from llavamed_data.recipes import Benchmark
from llavamed_data.sources.released.fields import MAX_TEXT, is_plain_name, malformed, record_fields, text_of

ALL_LANGUAGES = "all"
"""In place of a language: the questions of every one."""

_MARKER = "<image>"
_QID = re.compile(r"[A-Za-z0-9][\w.-]{0,63}", re.ASCII)
_LONGEST_TEXT = min(100_000, MAX_TEXT)
"""What `common.json` allows of a text."""

_ANSWER_TYPES = ("OPEN", "CLOSED")


@dataclass(frozen=True, slots=True)
class QuestionFilter:
    """Which rows of a benchmark are taken.

    Attributes:
        language: `en`, `zh` or `all`.
        all_phrases: take training rows of every phrase type, not only those of the paper.
    """

    language: str
    all_phrases: bool = False


@dataclass(frozen=True, slots=True)
class BenchmarkQuestion:
    """One question about one image.

    Attributes:
        id: `<benchmark>-<split>-<number>`: the source's own number, or the row's place in its file.
        split: `train`, `validation` or `test`.
        image: the image's name in the source: a plain name, or a relative path of plain names.
        question, answer: texts without blanks at their ends; a number is written as text. The answer is empty where the
            benchmark counts such rows.
        answer_type: `OPEN`, `CLOSED`, or None if the source does not say.
        question_type: as the source has it, its misspellings corrected; None if it has none.
        language: `en` or `zh`.
        domain: if the source states a modality that is one, otherwise None.
    """

    id: str
    split: str
    image: str
    question: str
    answer: str
    answer_type: str | None
    question_type: str | None
    language: str
    domain: str | None


class QuestionReader:
    """Turns the records of a benchmark into questions, with ids that no two rows share."""

    def __init__(self, benchmark: Benchmark, chosen: QuestionFilter) -> None:
        self._benchmark = benchmark
        self._chosen = chosen
        self._times_taken: dict[str, int] = {}

    def read(self, record: Any, split: str, position: int) -> BenchmarkQuestion:
        """Returns the question of a record.

        Args:
            record: as its file has it, its image's name under `image`, `image_name` or `img_name`.
            split: of the record.
            position: in its split, from 1; it names rows that have no number of their own.

        Raises:
            Drop: the row is malformed, or is not wanted.
        """
        fields = record_fields(record)
        name = self.label(fields, split, position)
        self._times_taken[name] = times = self._times_taken.get(name, 0) + 1
        language = _language(fields, self._benchmark)
        if self._chosen.language not in (ALL_LANGUAGES, language):
            raise Drop(Reason.LANGUAGE_EXCLUDED, language)
        self._refuse_phrase(fields, split)
        stated = fields.get("answer")
        unanswered = self._benchmark.empty_answers and isinstance(stated, str) and not stated.strip()
        answer = "" if unanswered else row_text(stated, "answer")
        return BenchmarkQuestion(
            id=name if times == 1 else f"{name}~{times}",
            split=split,
            image=image_name(_first(fields, "image_name", "img_name", "image")),
            question=row_text(fields.get("question"), "question"),
            answer=answer,
            answer_type=self._answer_type(fields, answer),
            question_type=self._question_type(fields),
            language=language,
            domain=self._domain(fields),
        )

    def label(self, record: Any, split: str, position: int) -> str:
        """The name of a dropped record: the id that its question would have."""
        number = record.get("qid") if isinstance(record, dict) else None
        return row_label(self._benchmark, split, position, number)

    def _refuse_phrase(self, fields: Mapping[str, Any], split: str) -> None:
        phrase = fields.get("phrase_type")
        allowed = self._benchmark.phrases
        if self._chosen.all_phrases or not allowed or split != "train" or not isinstance(phrase, str):
            return
        if phrase.strip() not in allowed:
            raise Drop(Reason.PHRASE_EXCLUDED, phrase.strip()[:40])

    def _answer_type(self, fields: Mapping[str, Any], answer: str) -> str | None:
        stated = fields.get("answer_type")
        if isinstance(stated, str) and (cleaned := stated.strip().upper()) in _ANSWER_TYPES:
            return cleaned
        if not self._benchmark.closed_answers:
            return None
        return "CLOSED" if answer.lower().rstrip(".") in self._benchmark.closed_answers else "OPEN"

    def _question_type(self, fields: Mapping[str, Any]) -> str | None:
        stated = _first(fields, "question_type", "content_type")
        if not isinstance(stated, str) or not stated.strip() or len(stated) > 200:
            return None
        types = (part.strip() for part in stated.split(","))
        return ", ".join(self._benchmark.question_types.get(part, part) for part in types)

    def _domain(self, fields: Mapping[str, Any]) -> str | None:
        modality, location = fields.get("modality"), fields.get("location")
        if not isinstance(modality, str):
            return None
        for domain, places in self._benchmark.domains.get(modality, {}).items():
            if str(location or "").startswith(places):
                return domain
        return None


_TextKey = tuple[str, str, str]
_Types = tuple[str | None, str | None]


class OriginalTypes:
    """The answer and question types that the original files state, for a copy that lost them.

    A copy on the Hub has no number and no image's name, so a row is found by its split, question and answer. If rows
    with the same texts differ in a type, that type stays unknown.

    Args:
        benchmark: which.
        records: of the original files, as `BenchmarkFiles.records` yields them.
    """

    def __init__(self, benchmark: Benchmark, records: Iterable[tuple[str, int, Any]]) -> None:
        reader = QuestionReader(benchmark, QuestionFilter(ALL_LANGUAGES))
        types = defaultdict[_TextKey, set[_Types]](set)
        for split, position, record in records:
            try:
                question = reader.read(record, split, position)
            except Drop:
                continue  # a row from which no question can be built has no type to give
            types[_text_key(question)].add((question.answer_type, question.question_type))
        self._types = {key: (_only(0, found), _only(1, found)) for key, found in types.items()}

    def complete(self, question: BenchmarkQuestion) -> BenchmarkQuestion:
        """Returns `question` with the types that it lacks, as far as the original files state them."""
        answer_type, question_type = self._types.get(_text_key(question), (None, None))
        return replace(
            question,
            answer_type=question.answer_type or answer_type,
            question_type=question.question_type or question_type,
        )


def _text_key(question: BenchmarkQuestion) -> _TextKey:
    question_text, answer = (" ".join(t.casefold().split()) for t in (question.question, question.answer))
    return question.split, question_text, answer


def _only(place: int, found: set[_Types]) -> str | None:
    values = {types[place] for types in found}
    return values.pop() if len(values) == 1 else None


def row_label(benchmark: Benchmark, split: str, position: int, number: Any) -> str:
    """The id of a row: by its own number if it has one, otherwise by its position in its split."""
    return f"{benchmark.name}-{split}-{_qid(number) or f'{position:05d}'}"


def split_of_phrase(record: Any) -> str:
    """The split of a row of VQA-RAD's one file: `test` if its phrase type begins so, otherwise `train`."""
    phrase = record.get("phrase_type") if isinstance(record, dict) else None
    return "test" if isinstance(phrase, str) and phrase.strip().startswith("test") else "train"


def image_name(value: Any) -> str:
    """Returns `value` if it is a relative path of plain names.

    Raises:
        Drop: it is not.
    """
    name = text_of(value, "the image's name")
    parts = name.split("/")
    if len(parts) > 8 or not all(map(is_plain_name, parts)):
        raise malformed(f"the image's name {name[:40]!a} is no plain name")
    return name


def _language(fields: Mapping[str, Any], benchmark: Benchmark) -> str:
    stated = fields.get("q_lang", fields.get("language"))
    if stated is None:
        return benchmark.languages[0]
    language = text_of(stated, "q_lang").strip().lower()
    if language not in benchmark.languages:
        raise malformed(f"the language {language[:20]!a} is none of {', '.join(benchmark.languages)}")
    return language


def row_text(value: Any, field: str) -> str:
    """A text without blanks at its ends; a number is written as text.

    Raises:
        Drop: it is no text, or is empty, too long, or holds a marker of images.
    """
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        if not math.isfinite(value):
            raise malformed(f"{field} is {value}")
        value = str(value)
    text = text_of(value, field).strip()
    if not text:
        raise malformed(f"{field} is empty")
    if len(text) > _LONGEST_TEXT:
        raise malformed(f"{field} has {len(text):,} characters")
    if _MARKER in text:
        raise malformed(f"{field} holds {_MARKER}")
    return text


def _qid(value: Any) -> str | None:
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    return value if isinstance(value, str) and _QID.fullmatch(value) else None


def _first(fields: Mapping[str, Any], *names: str) -> Any:
    return next((fields[name] for name in names if fields.get(name) is not None), None)
