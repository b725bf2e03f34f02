"""Files of answers, ours and the released code's, and which question each line answers."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any, Generic, Literal, Protocol, TypeAlias, TypeVar

from llavamed_data.errors import LlavaMedError, UsageError

PromptForm: TypeAlias = Literal["plain", "options"]
"""`options`: the choices stood in the prompt of a closed question."""

FORMS: tuple[PromptForm, ...] = ("plain", "options")

_OURS = ("id", "answer")
_RELEASED = ("prompt", "text")
_IMAGE = "<image>"


class Asked(Protocol):
    """A question of a benchmark, as far as its answers are concerned."""

    @property
    def id(self) -> str:
        """Of the row."""

    @property
    def text(self) -> str:
        """What is asked."""


Q = TypeVar("Q", bound=Asked)


@dataclass(frozen=True, slots=True)
class AnswerLine:
    """One line of a file of answers.

    Attributes:
        id: of the row answered; None in the released form, whose lines go by their order.
        question: as asked; None where the file does not say.
        answer: the model's words.
        form: of the prompt; None where the file does not say it in so many words.
        model: that answered.
        line: number in the file, from 1.
    """

    id: str | None
    question: str | None
    answer: str
    form: PromptForm | None
    model: str
    line: int


@dataclass(frozen=True, slots=True)
class Pair(Generic[Q]):
    """A question and the line that answers it.

    Attributes:
        question: of the benchmark.
        answer: as it stands in the file.
        form: of the prompt: stated, else seen by comparing the prompt with the question.
    """

    question: Q
    answer: AnswerLine
    form: PromptForm


def read_lines(path: Path) -> list[AnswerLine]:
    """All lines of a file of answers: JSON Lines, or one JSON list, in our form or the released one.

    Raises:
        UsageError: there is no such file.
        LlavaMedError: it holds no answers, a line that is none, or lines of both forms; the line is named.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise UsageError(f"there is no file {path}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise LlavaMedError(f"{path} cannot be read as text: {error}") from error
    lines = list(_read(text, path))
    if not lines:
        raise LlavaMedError(f"{path} holds no predictions")
    return lines


def pair(
    lines: Sequence[AnswerLine], questions: Sequence[Q], path: Path, *, of: str, partial: bool
) -> list[Pair[Q]]:
    """Each line beside its question, in the order of the questions.

    Our lines join by id; the released ones by order, each prompt checked against its question. A question may be
    answered once in each prompt form. Whether every question has an answer is for the caller to say, but for the
    released form, in which an absent line would shift all that follow.

    Args:
        lines: of the file.
        questions: of the benchmark, in order.
        path: of the file, for messages.
        of: what the questions are of, for messages.
        partial: allow the released form to end early.

    Raises:
        LlavaMedError: a line answers an unknown question, another question than its id or place says, or one that
            is answered already in that form; or lines of the released form are too few or too many.
    """
    if lines[0].id is not None:
        return _by_id(lines, questions, path, of)
    return _by_order(lines, questions, path, of, partial)


def missing(path: Path, question: Asked, count: int, form: PromptForm | None = None) -> LlavaMedError:
    """The error for questions without an answer, the first of which is `question`."""
    which = f" in the prompt form {form!r}" if form else ""
    return LlavaMedError(
        f"{path} has no prediction{which} for {count} question{'s' * (count != 1)}, the first is "
        f"{question.id!r} ({question.text[:60]!r}): predict them, or allow it with --partial"
    )


def as_asked(line: AnswerLine, question: Asked) -> str:
    """The prompt of a line in one line of text, without image markers; the question's text where none is stated."""
    return " ".join((line.question or question.text).replace(_IMAGE, " ").split())


def _read(text: str, path: Path) -> Iterator[AnswerLine]:
    first: tuple[str, ...] | None = None
    for line, row in _rows(text, path):
        form = next((keys for keys in (_OURS, _RELEASED) if all(key in row for key in keys)), None)
        if form is None:
            raise LlavaMedError(
                f"{path}:{line} is no prediction: it has neither {', '.join(_OURS)} nor {', '.join(_RELEASED)}"
            )
        if first not in (None, form):
            raise LlavaMedError(f"{path}:{line} is of another form than the lines before it")
        first = form
        yield _ours(row, path, line) if form is _OURS else _released(row, path, line)


def _rows(text: str, path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    pieces = [text] if text.lstrip().startswith("[") else text.split("\n")
    for number, piece in enumerate(pieces, 1):
        if not piece.strip():
            continue
        try:
            value = json.loads(piece)
        except ValueError as error:
            raise LlavaMedError(f"{path}:{number} is not JSON: {error}") from error
        numbered = enumerate(value, 1) if isinstance(value, list) else [(number, value)]
        for place, row in numbered:
            if not isinstance(row, dict):
                raise LlavaMedError(f"{path}:{place} is no prediction: a JSON object was expected")
            yield place, row


def _ours(row: Mapping[str, Any], path: Path, line: int) -> AnswerLine:
    form = row.get("prompt_form")
    if form is not None and form not in FORMS:
        raise LlavaMedError(f"{path}:{line} has the prompt_form {form!r}: choose from {', '.join(FORMS)}")
    identity = _text(row, "id", path, line)
    question = _text(row, "question", path, line) if row.get("question") is not None else None
    answer = _text(row, "answer", path, line)
    return AnswerLine(identity, question, answer, form, str(row.get("model") or ""), line)


def _released(row: Mapping[str, Any], path: Path, line: int) -> AnswerLine:
    prompt, answer = _text(row, "prompt", path, line), _text(row, "text", path, line)
    return AnswerLine(None, prompt, answer, None, str(row.get("model_id") or ""), line)


def _text(row: Mapping[str, Any], key: str, path: Path, line: int) -> str:
    value = row[key]
    if not isinstance(value, str):
        raise LlavaMedError(f"{path}:{line} has the {key} {value!r}: text was expected")
    return value


def _by_id(lines: Sequence[AnswerLine], questions: Sequence[Q], path: Path, of: str) -> list[Pair[Q]]:
    known = {question.id: question for question in questions}
    order = {question.id: place for place, question in enumerate(questions)}
    seen = dict[tuple[str, PromptForm], int]()
    pairs = list[Pair[Q]]()
    for line in lines:
        identity = line.id or ""
        question = known.get(identity)
        if question is None:
            raise LlavaMedError(f"{path}:{line.line} answers {identity!r}, which {of} does not ask")
        form = line.form or _form(line, question, path)
        if (earlier := seen.setdefault((identity, form), line.line)) != line.line:
            raise LlavaMedError(
                f"{path}:{line.line} answers {identity!r} a second time (first in line {earlier})"
            )
        _form(line, question, path)
        pairs.append(Pair(question, line, form))
    return sorted(pairs, key=lambda each: order[each.question.id])


def _by_order(
    lines: Sequence[AnswerLine], questions: Sequence[Q], path: Path, of: str, partial: bool
) -> list[Pair[Q]]:
    pairs = list[Pair[Q]]()
    for question, line in zip_longest(questions, lines):
        if question is None:
            raise LlavaMedError(
                f"{path} has {len(lines)} predictions for {len(questions)} questions: line {line.line} answers "
                f"none of {of}"
            )
        if line is None:
            if partial:
                break
            raise missing(path, question, len(questions) - len(lines))
        pairs.append(Pair(question, line, _form(line, question, path)))
    return pairs


def _form(line: AnswerLine, question: Asked, path: Path) -> PromptForm:
    """How a question was asked, seen from the prompt; an error if the prompt is not that question."""
    asked = as_asked(line, question)
    text = " ".join(question.text.replace(_IMAGE, " ").split())
    if asked == text:
        return "plain"
    if asked.startswith(f"{text} ") and asked.endswith("]"):
        return "options"
    raise LlavaMedError(
        f"{path}:{line.line} was asked {asked[:60]!r}, but its question is {question.id!r}: "
        f"{question.text[:60]!r}"
    )
