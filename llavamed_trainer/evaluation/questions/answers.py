"""Files of answers: ours and the released code's, joined to the questions that they answer, read and written.

Ours are JSON Lines of `{id, question, answer, prompt_form, model}`, with `images` where the model was not shown the
questions' own and `choices` where these were shown in an order that was drawn, and are joined by id. The released
code's are JSON Lines, or one JSON list, of `{question_id, prompt, text, answer_id, model_id, metadata}`; their numbers
say nothing about the benchmark, so they are joined by order. Each prompt is checked against its question and against
the form that the file states.
"""

import base64
import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any, Literal, TypeAlias, TypeVar

from llavamed_data.errors import LlavaMedError, UsageError
from llavamed_data.io.atomic import write_text
from llavamed_trainer.evaluation.questions.choices import in_order
from llavamed_trainer.evaluation.questions.prompts import (
    PROMPT_FORMS,
    PromptForm,
    forms_of,
    prompt_of,
    without_image,
)
from llavamed_trainer.evaluation.questions.question_set import Question, QuestionSet

AnswerFormat: TypeAlias = Literal["ours", "released"]

ImageMode: TypeAlias = Literal["real", "blank", "noise", "shuffled"]
"""What a model was shown: the questions' own images, grey ones, noise, or the images of other questions."""

IMAGE_MODES: tuple[ImageMode, ...] = ("real", "blank", "noise", "shuffled")

_Name = TypeVar("_Name", bound=str)

_OURS = ("id", "answer")
_RELEASED = ("prompt", "text")

_AUTHORS: tuple[PromptForm, ...] = ("plain", "options")
"""Forms that have the same prompt for a question that is not closed; the forms of other kits share none."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """A model's answer to one question.

    Attributes:
        question: the question of the benchmark; its choices in the order in which they were shown.
        prompt: the question as it was asked, choices included.
        form: the form of the prompt.
        answer: the model's words.
        model: name of the model; empty if the file does not say.
        images: what the model was shown.
    """

    question: Question
    prompt: str
    form: PromptForm
    answer: str
    model: str
    images: ImageMode = "real"


@dataclass(frozen=True, slots=True)
class AnswerSet:
    """The predictions of one model for one benchmark, at most one a question, in the order of the benchmark.

    Attributes:
        form: how the questions were asked; in the form `options` those alone that are closed, and others are `plain`.
        model: name of the model; empty if the file does not say.
        predictions: the answers.
        missing: questions without an answer; not empty only if that was allowed.
        limit: how many of the first questions alone were asked (`predict --limit`); None if all were.
        images: what the model was shown.
    """

    form: PromptForm
    model: str
    predictions: tuple[Prediction, ...]
    missing: tuple[Question, ...]
    limit: int | None = None
    images: ImageMode = "real"


@dataclass(frozen=True, slots=True)
class Unanswered:
    """A question that has no answer, and why."""

    id: str
    reason: str
    detail: str


def read_answers(path: Path, questions: QuestionSet, *, partial: bool = False) -> list[AnswerSet]:
    """Reads a file of answers: one set for each prompt form in which its questions were asked.

    A question that is not closed has the same prompt in the forms `plain` and `options`, so an answer to it counts in
    the sets of both, if it was asked once. The forms of other kits are sets by themselves.

    Args:
        path: file of answers, ours or the released code's.
        questions: the questions that it answers.
        partial: allow questions without an answer.

    Raises:
        UsageError: there is no such file.
        LlavaMedError: a line is no answer; it answers an unknown question, another question than its id or place
            says, or one that has an answer in that prompt form; its prompt is not of the form that it states; an
            answer is missing; or the answers are of several models, or were given with several kinds of images. The
            message names the line or the question.
    """
    lines = _read_lines(path)
    if lines[0].id is not None:
        joined = list(_join_by_id(lines, questions, path))
    else:
        joined = list(_join_by_order(lines, questions, path, partial=partial))
    _refuse_mixed_images(lines, path)
    answers: dict[str, dict[PromptForm, Prediction]] = defaultdict(dict)
    first_lines = dict[tuple[str, PromptForm], int]()
    for prediction, line in _predictions(joined, questions, path):
        key = prediction.question.id, prediction.form
        if (first := first_lines.setdefault(key, line.number)) != line.number:
            raise LlavaMedError(
                f"{path}:{line.number} answers {key[0]!r} a second time (first in line {first}): keep one"
            )
        answers[key[0]][prediction.form] = prediction
    forms = _forms_of_sets(answers, questions)
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
    """One line of a file of answers; `id` is None in the released form, `form` where it is not stated.

    `choices` is the order in which they were shown, if the line states one.
    """

    number: int
    id: str | None
    prompt: str | None
    answer: str
    form: PromptForm | None
    model: str
    images: ImageMode
    choices: tuple[str, ...] | None = None


def _read_lines(path: Path) -> list[_Line]:
    if path.exists() and not path.is_file():  # a pipe would be waited for
        raise UsageError(f"{path} is no regular file: name a file of answers")
    try:
        text = path.read_text(encoding="utf-8-sig")
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
    return _Line(
        number,
        id=_text(row, "id", number, path),
        prompt=_text(row, "question", number, path) if row.get("question") is not None else None,
        answer=_text(row, "answer", number, path),
        form=_stated(row, "prompt_form", PROMPT_FORMS, number, path),
        model=str(row.get("model") or ""),
        images=_stated(row, "images", IMAGE_MODES, number, path) or "real",
        choices=_shown_choices(row, number, path),
    )


def _shown_choices(row: Mapping[str, Any], number: int, path: Path) -> tuple[str, ...] | None:
    shown = row.get("choices")
    if shown is None:
        return None
    if not isinstance(shown, list) or not all(isinstance(choice, str) for choice in shown):
        raise LlavaMedError(
            f"{path}:{number} has the choices {str(shown)[:60]!r}: a list of texts was expected"
        )
    return tuple(shown)


def _released_line(row: Mapping[str, Any], number: int, path: Path) -> _Line:
    metadata = row.get("metadata")
    stated: Mapping[str, Any] = metadata if isinstance(metadata, dict) else {}
    return _Line(
        number,
        id=None,
        prompt=_text(row, "prompt", number, path),
        answer=_text(row, "text", number, path),
        form=_stated(stated, "prompt_form", PROMPT_FORMS, number, path),
        model=str(row.get("model_id") or ""),
        images=_stated(row, "images", IMAGE_MODES, number, path)
        or _stated(stated, "images", IMAGE_MODES, number, path)
        or "real",
    )


def _stated(
    row: Mapping[str, Any], key: str, allowed: Sequence[_Name], number: int, path: Path
) -> _Name | None:
    value = row.get(key)
    if value is not None and value not in allowed:
        raise LlavaMedError(f"{path}:{number} has the {key} {value!r}: choose from {', '.join(allowed)}")
    return value


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
        yield _as_shown(question, line, path), line


def _as_shown(question: Question, line: _Line, path: Path) -> Question:
    """The question with its choices in the order that the line states, by which its letter is read."""
    if line.choices is None:
        return question
    try:
        return in_order(question, line.choices)
    except LlavaMedError as error:
        raise LlavaMedError(f"{path}:{line.number}: {error}, which are those of the benchmark") from error


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


def _refuse_mixed_images(lines: Sequence[_Line], path: Path) -> None:
    first = lines[0]
    for line in lines:
        if line.images != first.images:
            raise LlavaMedError(
                f"{path}:{line.number} was answered with {line.images} images, and line {first.number} with "
                f"{first.images} ones: put the answers of each into a file of its own"
            )


def _predictions(
    joined: Sequence[tuple[Question, _Line]], questions: QuestionSet, path: Path
) -> Iterator[tuple[Prediction, _Line]]:
    """The predictions with their lines, once every prompt is found to ask its question in the form that is stated.

    Where no form is stated and several have the prompt, it is the one that most prompts of the file have.
    """
    possible = [_possible_forms(question, line, questions, path) for question, line in joined]
    frequent = Counter(form for forms in possible for form in forms)
    for (question, line), forms in zip(joined, possible, strict=True):
        form = max(forms, key=lambda each: frequent[each])
        yield Prediction(question, forms[form], form, line.answer, line.model, line.images), line


def _possible_forms(
    question: Question, line: _Line, questions: QuestionSet, path: Path
) -> dict[PromptForm, str]:
    """The form that the line states, or those that its prompt may have → the prompt in that form."""
    if line.prompt is None:
        form = line.form or "plain"
        return {form: prompt_of(question, form, questions.name)[0]}
    words = without_image(line.prompt)
    usual = dict[PromptForm, str]()
    for form in (line.form,) if line.form else PROMPT_FORMS:
        text, made = prompt_of(question, form, questions.name)
        if (line.form or made == form) and (text == line.prompt or without_image(text) == words):
            usual[form] = text
            if form in _AUTHORS:  # no kit has the same prompt
                break
    if usual:
        return usual
    found = forms_of(line.prompt, question)
    if not found:
        order = ", or its choices in another order than the line states" if question.choices else ""
        raise LlavaMedError(
            f"{path}:{line.number} was asked {words[:60]!r}, but its question is "
            f"{question.id!r}: {question.text[:60]!r}{order}"
        )
    if line.form is None:
        return found
    if line.form not in found:
        raise LlavaMedError(
            f"{path}:{line.number} has the prompt_form {line.form!r}, but its prompt asks {question.id!r} in the form "
            f"{' or '.join(map(repr, found))}: correct one of them"
        )
    return {line.form: found[line.form]}


def _forms_of_sets(
    answers: Mapping[str, Mapping[PromptForm, Prediction]], questions: QuestionSet
) -> set[PromptForm]:
    """The forms that have a set of answers: `plain` or `options` by how closed questions were asked."""
    every = {form for by_form in answers.values() for form in by_form}
    authors = {
        form
        for question in questions.questions
        if (asked := answers.get(question.id, {}).keys() & set(_AUTHORS))
        and (question.answer_type == "CLOSED" or len(asked) > 1)
        for form in asked
    }
    if not authors and every & set(_AUTHORS):
        authors = {"options"} if "options" in every else {"plain"}
    return authors | (every - set(_AUTHORS))


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
        other = next((each for each in _AUTHORS if each in by_form), None) if form in _AUTHORS else None
        if form in by_form:
            chosen.append(by_form[form])
        elif other and question.answer_type != "CLOSED":
            chosen.append(by_form[other])
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
    return AnswerSet(form, models[0], tuple(chosen), tuple(missing), _stated_limit(path), chosen[0].images)


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


def _our_row(prediction: Prediction) -> dict[str, Any]:
    return {
        "id": prediction.question.id,
        "question": prediction.prompt,
        "answer": prediction.answer,
        "prompt_form": prediction.form,
        "model": prediction.model,
        **_stated_images(prediction),
        **({"choices": list(prediction.question.choices)} if prediction.question.shuffled else {}),
    }


def _stated_images(prediction: Prediction) -> dict[str, str]:
    return {} if prediction.images == "real" else {"images": prediction.images}


def _released_row(place: int, prediction: Prediction) -> dict[str, Any]:
    digest = hashlib.sha256(f"{prediction.question.id}\n{prediction.prompt}".encode()).digest()
    return {
        "question_id": place,
        "prompt": prediction.prompt,
        "text": prediction.answer,
        "answer_id": base64.b32encode(digest).decode()[:22].lower(),
        "model_id": prediction.model,
        "metadata": {
            "id": prediction.question.id,
            "prompt_form": prediction.form,
            **_stated_images(prediction),
        },
    }
