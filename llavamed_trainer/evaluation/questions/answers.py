"""Files of answers: ours and the released code's, joined to the questions that they answer, read and written.

Ours are JSON Lines of `{id, question, answer, prompt_form, model}` and are joined by id. The released code's are JSON
Lines, or one JSON list, of `{question_id, prompt, text, answer_id, model_id, metadata}`; their numbers say nothing
about the benchmark, so they are joined by order, and each prompt is checked against its question.
"""

import base64
import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any, Literal, TypeAlias

from llavamed_data.errors import LlavaMedError, UsageError
from llavamed_data.io.atomic import write_text
from llavamed_trainer.evaluation.questions.prompts import PROMPT_FORMS, PromptForm, form_of, without_image
from llavamed_trainer.evaluation.questions.question_set import Question, QuestionSet

AnswerFormat: TypeAlias = Literal["ours", "released"]

_OURS = ("id", "answer")
_RELEASED = ("prompt", "text")


@dataclass(frozen=True, slots=True)
class Prediction:
    """A model's answer to one question.

    Attributes:
        question: the question of the benchmark.
        prompt: the question as it was asked, choices included.
        form: the form of the prompt.
        answer: the model's words.
        model: name of the model; empty if the file does not say.
    """

    question: Question
    prompt: str
    form: PromptForm
    answer: str
    model: str


@dataclass(frozen=True, slots=True)
class AnswerSet:
    """The predictions of one model for one benchmark, at most one a question, in the order of the benchmark.

    Attributes:
        form: how the closed questions were asked; open questions are in the form `plain`, whichever it is.
        model: name of the model; empty if the file does not say.
        predictions: the answers.
        missing: questions without an answer; not empty only if that was allowed.
        limit: how many of the first questions alone were asked (`predict --limit`); None if all were.
    """

    form: PromptForm
    model: str
    predictions: tuple[Prediction, ...]
    missing: tuple[Question, ...]
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class Unanswered:
    """A question that has no answer, and why."""

    id: str
    reason: str
    detail: str


def read_answers(path: Path, questions: QuestionSet, *, partial: bool = False) -> list[AnswerSet]:
    """Reads a file of answers: one set for each prompt form in which its closed questions were asked.

    A question that was asked once and is not closed (an open one has no options) counts in every set.

    Args:
        path: file of answers, ours or the released code's.
        questions: the questions that it answers.
        partial: allow questions without an answer.

    Raises:
        UsageError: there is no such file.
        LlavaMedError: a line is no answer; it answers an unknown question, another question than its id or place
            says, or one that has an answer in that prompt form; an answer is missing; or the answers are of several
            models. The message names the line or the question.
    """
    lines = _read_lines(path)
    if lines[0].id is not None:
        joined = _join_by_id(lines, questions, path)
    else:
        joined = _join_by_order(lines, questions, path, partial=partial)
    answers: dict[str, dict[PromptForm, Prediction]] = defaultdict(dict)
    first_lines = dict[tuple[str, PromptForm], int]()
    for question, line in joined:
        prediction = _prediction(line, question, path)
        key = question.id, prediction.form
        if (first := first_lines.setdefault(key, line.number)) != line.number:
            raise LlavaMedError(
                f"{path}:{line.number} answers {question.id!r} a second time (first in line {first}): keep one"
            )
        answers[question.id][prediction.form] = prediction
    forms: set[PromptForm] = {
        form
        for question in questions.questions
        if question.answer_type == "CLOSED" or len(answers.get(question.id, ())) > 1
        for form in answers.get(question.id, ())
    }
    if not forms:
        all_forms = {form for by_form in answers.values() for form in by_form}
        forms = {"options"} if "options" in all_forms else {"plain"}
    return [
        _answer_set(form, answers, questions, path, partial=partial) for form in PROMPT_FORMS if form in forms
    ]


def write_answers(path: Path, predictions: Sequence[Prediction], file_format: AnswerFormat = "ours") -> None:
    """Writes a file of answers, which appears whole or not at all.

    Args:
        path: the file; missing folders are made.
        predictions: the answers in the order of the benchmark.
        file_format: `ours`, or `released`, whose lines are joined to their questions by order.
    """
    rows = (
        (_our_row(prediction) for prediction in predictions)
        if file_format == "ours"
        else (_released_row(place, prediction) for place, prediction in enumerate(predictions))
    )
    write_text(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def write_unanswered(path: Path, unanswered: Iterable[Unanswered]) -> None:
    """Writes which questions have no answer and why; removes the file if all have one."""
    text = "".join(json.dumps(asdict(each), ensure_ascii=False) + "\n" for each in unanswered)
    if text:
        write_text(path, text)
    else:
        path.unlink(missing_ok=True)


def run_report_path(answers: Path) -> Path:
    """The file beside a file of answers in which `predict` states how it was made."""
    return answers.with_suffix(".run.json")


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file's bytes, by which `run_report_path` names the file of answers that it is about."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


@dataclass(frozen=True, slots=True)
class _Line:
    """One line of a file of answers; `id` is None in the released form, `form` where it is not stated."""

    number: int
    id: str | None
    prompt: str | None
    answer: str
    form: PromptForm | None
    model: str


def _read_lines(path: Path) -> list[_Line]:
    if path.exists() and not path.is_file():  # a pipe would be waited for
        raise UsageError(f"{path} is no regular file: name a file of answers")
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise UsageError(f"there is no file {path}: name a file of answers") from error
    except (OSError, UnicodeDecodeError) as error:
        raise LlavaMedError(f"{path} cannot be read as text: {error}") from error
    lines = list[_Line]()
    for number, row in _read_rows(text, path):
        keys = next((keys for keys in (_OURS, _RELEASED) if all(key in row for key in keys)), None)
        if keys is None:
            raise LlavaMedError(
                f"{path}:{number} is no answer: it has neither {' and '.join(_OURS)} nor {' and '.join(_RELEASED)}"
            )
        if lines and (lines[0].id is None) is (keys is _OURS):
            raise LlavaMedError(f"{path}:{number} is in another format than the lines before it")
        lines.append(_our_line(row, number, path) if keys is _OURS else _released_line(row, number, path))
    if not lines:
        raise LlavaMedError(f"{path} holds no answers")
    return lines


def _read_rows(text: str, path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """The JSON objects of JSON Lines with their line numbers, or those of a JSON list with their places from 1."""
    pieces = [text] if text.lstrip().startswith("[") else text.split("\n")
    for number, piece in enumerate(pieces, 1):
        if not piece.strip():
            continue
        try:
            value = json.loads(piece)
        except ValueError as error:
            raise LlavaMedError(f"{path}:{number} is not JSON: {error}") from error
        for place, row in enumerate(value, 1) if isinstance(value, list) else [(number, value)]:
            if not isinstance(row, dict):
                raise LlavaMedError(f"{path}:{place} is no answer: a JSON object was expected")
            yield place, row


def _our_line(row: Mapping[str, Any], number: int, path: Path) -> _Line:
    form = row.get("prompt_form")
    if form is not None and form not in PROMPT_FORMS:
        raise LlavaMedError(
            f"{path}:{number} has the prompt_form {form!r}: choose from {', '.join(PROMPT_FORMS)}"
        )
    return _Line(
        number,
        id=_text(row, "id", number, path),
        prompt=_text(row, "question", number, path) if row.get("question") is not None else None,
        answer=_text(row, "answer", number, path),
        form=form,
        model=str(row.get("model") or ""),
    )


def _released_line(row: Mapping[str, Any], number: int, path: Path) -> _Line:
    return _Line(
        number,
        id=None,
        prompt=_text(row, "prompt", number, path),
        answer=_text(row, "text", number, path),
        form=None,
        model=str(row.get("model_id") or ""),
    )


def _text(row: Mapping[str, Any], key: str, number: int, path: Path) -> str:
    value = row[key]
    if not isinstance(value, str):
        raise LlavaMedError(f"{path}:{number} has the {key} {value!r}: text was expected")
    return value


def _join_by_id(
    lines: Sequence[_Line], questions: QuestionSet, path: Path
) -> Iterator[tuple[Question, _Line]]:
    known = {question.id: question for question in questions.questions}
    for line in lines:
        question = known.get(line.id or "")
        if question is None:
            raise LlavaMedError(
                f"{path}:{line.number} answers {line.id!r}, which is no question of {_described(questions)}"
            )
        yield question, line


def _join_by_order(
    lines: Sequence[_Line], questions: QuestionSet, path: Path, *, partial: bool
) -> Iterator[tuple[Question, _Line]]:
    """A file that allows for missing answers may only end early: an absent line would shift all that follow."""
    for question, line in zip_longest(questions.questions, lines):
        if question is None:
            raise LlavaMedError(
                f"{path} has {len(lines)} answers for the {len(questions.questions)} questions of "
                f"{_described(questions)}: line {line.number} answers none of them"
            )
        if line is None:
            if not partial:
                raise _missing(path, questions.questions[len(lines) :])
            return
        yield question, line


def _prediction(line: _Line, question: Question, path: Path) -> Prediction:
    prompt = without_image(line.prompt or question.text)
    seen = form_of(prompt, question)
    if seen is None:
        raise LlavaMedError(
            f"{path}:{line.number} was asked {prompt[:60]!r}, but its question is {question.id!r}: "
            f"{question.text[:60]!r}"
        )
    form = line.form or seen
    return Prediction(question, question.text if form == "plain" else prompt, form, line.answer, line.model)


def _answer_set(
    form: PromptForm,
    answers: Mapping[str, Mapping[PromptForm, Prediction]],
    questions: QuestionSet,
    path: Path,
    *,
    partial: bool,
) -> AnswerSet:
    chosen, missing = list[Prediction](), list[Question]()
    for question in questions.questions:
        by_form = answers.get(question.id, {})
        if form in by_form:
            chosen.append(by_form[form])
        elif len(by_form) == 1 and question.answer_type != "CLOSED":
            chosen.extend(by_form.values())
        else:
            missing.append(question)
    if missing and not partial:
        raise _missing(path, missing, form)
    models = sorted({prediction.model for prediction in chosen})
    if len(models) > 1:
        raise LlavaMedError(
            f"{path} holds answers of {len(models)} models ({', '.join(models[:3])}): "
            "put those of each model into a file of its own"
        )
    return AnswerSet(form, models[0], tuple(chosen), tuple(missing), _stated_limit(path))


def _stated_limit(path: Path) -> int | None:
    """The limit that `predict` states beside the file, if it wrote the file as it is."""
    try:
        stated = json.loads(run_report_path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    is_of_file = isinstance(stated, dict) and stated.get("sha256") == file_sha256(path)
    return stated.get("limit") if is_of_file else None


def _missing(path: Path, questions: Sequence[Question], form: PromptForm | None = None) -> LlavaMedError:
    in_form = f" in the prompt form {form!r}" if form else ""
    return LlavaMedError(
        f"{path} has no answer{in_form} to {len(questions)} question{'s' * (len(questions) != 1)}, the first is "
        f"{questions[0].id!r} ({questions[0].text[:60]!r}): predict them, or allow it with --partial"
    )


def _described(questions: QuestionSet) -> str:
    return f"{questions.name}, split {questions.split}"


def _our_row(prediction: Prediction) -> dict[str, str]:
    return {
        "id": prediction.question.id,
        "question": prediction.prompt,
        "answer": prediction.answer,
        "prompt_form": prediction.form,
        "model": prediction.model,
    }


def _released_row(place: int, prediction: Prediction) -> dict[str, Any]:
    digest = hashlib.sha256(f"{prediction.question.id}\n{prediction.prompt}".encode()).digest()
    return {
        "question_id": place,
        "prompt": prediction.prompt,
        "text": prediction.answer,
        "answer_id": base64.b32encode(digest).decode()[:22].lower(),
        "model_id": prediction.model,
        "metadata": {"id": prediction.question.id, "prompt_form": prediction.form},
    }
