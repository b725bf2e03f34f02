"""Files of predictions, ours and the released code's, and which question each line answers."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any, Literal, TypeAlias

from llavamed_data.errors import LlavaMedError, UsageError
from llavamed_trainer.evaluation.scoring.truth import Question, Truth

PromptForm: TypeAlias = Literal["plain", "options"]
"""`options`: the choices stood in the prompt of a closed question."""

FORMS: tuple[PromptForm, ...] = ("plain", "options")

_OURS = ("id", "answer")
_RELEASED = ("question_id", "prompt", "text")
_IMAGE = "<image>"


@dataclass(frozen=True, slots=True)
class Prediction:
    """One line of a file of predictions.

    Attributes:
        id: of the row answered; None in the released form, whose lines go by their order.
        question: as asked; None where the file does not say.
        answer: the model's words.
        form: of the prompt.
        model: that answered.
        line: number in the file, from 1.
    """

    id: str | None
    question: str | None
    answer: str
    form: PromptForm
    model: str
    line: int


@dataclass(frozen=True, slots=True)
class Answered:
    """Predictions of one prompt form beside their questions, in the order of the benchmark.

    Attributes:
        form: how the closed questions were asked.
        model: that answered.
        pairs: question and prediction.
        missing: how many questions have none; above 0 only where that was allowed.
    """

    form: PromptForm
    model: str
    pairs: tuple[tuple[Question, Prediction], ...]
    missing: int


def join(path: Path, truth: Truth, *, partial: bool = False) -> list[Answered]:
    """Reads predictions and puts each beside its question: one set a prompt form.

    Our files join by id; the released code's by order, each prompt checked against its question. Open questions
    have no options: where a file holds both forms, they count in both.

    Args:
        path: JSON Lines, or a JSON list.
        truth: the questions.
        partial: allow questions without a prediction.

    Raises:
        UsageError: there is no such file.
        LlavaMedError: a line of another form, a prediction for an unknown question, for another question than
            the one of its id or place, a doubled one, or one that is missing.
    """
    predictions = list(_read(path))
    if not predictions:
        raise LlavaMedError(f"{path} holds no predictions")
    by_id = predictions[0].id is not None
    pairs = _by_id(predictions, truth, path) if by_id else _by_order(predictions, truth, path, partial)
    closed = {prediction.form for question, prediction in pairs if question.answer_type == "CLOSED"}
    forms = closed or {prediction.form for _, prediction in pairs}
    return [_of_form(form, pairs, truth, path, partial) for form in FORMS if form in forms]


def _read(path: Path) -> Iterator[Prediction]:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise UsageError(f"there is no file {path}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise LlavaMedError(f"{path} cannot be read as text: {error}") from error
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


def _ours(row: Mapping[str, Any], path: Path, line: int) -> Prediction:
    form = row.get("prompt_form", "plain")
    if form not in FORMS:
        raise LlavaMedError(f"{path}:{line} has the prompt_form {form!r}: choose from {', '.join(FORMS)}")
    identity = _text(row, "id", path, line)
    question = _text(row, "question", path, line) if row.get("question") is not None else None
    return Prediction(
        identity, question, _text(row, "answer", path, line), form, str(row.get("model") or ""), line
    )


def _released(row: Mapping[str, Any], path: Path, line: int) -> Prediction:
    """Whether the prompt has options is seen when it lies beside its question."""
    prompt, answer = _text(row, "prompt", path, line), _text(row, "text", path, line)
    return Prediction(None, prompt, answer, "plain", str(row.get("model_id") or ""), line)


def _text(row: Mapping[str, Any], key: str, path: Path, line: int) -> str:
    value = row[key]
    if not isinstance(value, str):
        raise LlavaMedError(f"{path}:{line} has the {key} {value!r}: text was expected")
    return value


_Pairs: TypeAlias = list[tuple[Question, Prediction]]


def _by_id(predictions: Sequence[Prediction], truth: Truth, path: Path) -> _Pairs:
    questions = {question.id: question for question in truth.questions}
    order = {question.id: place for place, question in enumerate(truth.questions)}
    seen = dict[tuple[str, PromptForm], int]()
    pairs: _Pairs = []
    for prediction in predictions:
        identity = prediction.id or ""
        question = questions.get(identity)
        if question is None:
            raise LlavaMedError(
                f"{path}:{prediction.line} answers {identity!r}, which {truth.benchmark}, split {truth.split}, "
                "does not ask"
            )
        if (earlier := seen.setdefault((identity, prediction.form), prediction.line)) != prediction.line:
            raise LlavaMedError(
                f"{path}:{prediction.line} answers {identity!r} a second time (first in line {earlier})"
            )
        if prediction.question is not None and _form(prediction.question, question) is None:
            raise _other_question(path, prediction, question)
        pairs.append((question, prediction))
    return sorted(pairs, key=lambda pair: order[pair[0].id])


def _by_order(predictions: Sequence[Prediction], truth: Truth, path: Path, partial: bool) -> _Pairs:
    pairs: _Pairs = []
    for question, prediction in zip_longest(truth.questions, predictions):
        if question is None:
            raise LlavaMedError(
                f"{path} has {len(predictions)} predictions for {len(truth.questions)} questions: line "
                f"{prediction.line} answers none of {truth.benchmark}, split {truth.split}"
            )
        if prediction is None:
            if partial:
                break
            raise _missing(path, question, len(truth.questions) - len(predictions))
        form = _form(prediction.question or "", question)
        if form is None:
            raise _other_question(path, prediction, question)
        asked = Prediction(
            question.id, prediction.question, prediction.answer, form, prediction.model, prediction.line
        )
        pairs.append((question, asked))
    return pairs


def _form(prompt: str, question: Question) -> PromptForm | None:
    """How a question was asked, or None if the prompt is not that question."""
    asked = " ".join(prompt.replace(_IMAGE, " ").split())
    text = " ".join(question.text.replace(_IMAGE, " ").split())
    if asked == text:
        return "plain"
    return "options" if asked.startswith(f"{text} ") and asked.endswith("]") else None


def _of_form(form: PromptForm, pairs: _Pairs, truth: Truth, path: Path, partial: bool) -> Answered:
    chosen = dict[str, tuple[Question, Prediction]]()
    for question, prediction in pairs:
        if prediction.form == form or (question.answer_type == "OPEN" and question.id not in chosen):
            chosen[question.id] = (question, prediction)
    missing = [question for question in truth.questions if question.id not in chosen]
    if missing and not partial:
        raise _missing(path, missing[0], len(missing), form)
    ordered = tuple(chosen[question.id] for question in truth.questions if question.id in chosen)
    models = sorted({prediction.model for _, prediction in ordered})
    if len(models) > 1:
        raise LlavaMedError(f"{path} holds answers of {len(models)} models: {', '.join(models[:3])}")
    return Answered(form, models[0], ordered, len(missing))


def _missing(path: Path, question: Question, count: int, form: PromptForm | None = None) -> LlavaMedError:
    which = f" in the prompt form {form!r}" if form else ""
    return LlavaMedError(
        f"{path} has no prediction{which} for {count} question{'s' * (count != 1)}, the first is "
        f"{question.id!r} ({question.text[:60]!r}): predict them, or allow it with --partial"
    )


def _other_question(path: Path, prediction: Prediction, question: Question) -> LlavaMedError:
    return LlavaMedError(
        f"{path}:{prediction.line} was asked {(prediction.question or '')[:60]!r}, but its question is "
        f"{question.id!r}: {question.text[:60]!r}"
    )
