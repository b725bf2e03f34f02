"""Files of answers read back: ours by id, the released code's by order with every prompt checked."""

import json
from collections.abc import Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

from llavamed_data.errors import LlavaMedError, UsageError
from llavamed_trainer.evaluation.predict.answer_file import Prediction
from llavamed_trainer.evaluation.predict.prompts import PromptForm
from llavamed_trainer.evaluation.predict.questions import Question

_OURS = ("id", "answer")
_RELEASED = ("prompt", "text")


def read_answers(
    path: Path, questions: Sequence[Question], *, partial: bool = False
) -> dict[str, Prediction]:
    """The answer to each question, by the question's id.

    Args:
        path: JSON Lines or a JSON list, ours or the released code's.
        questions: of the benchmark, in order.
        partial: allow questions without an answer.

    Raises:
        UsageError: there is no such file.
        LlavaMedError: a line of another form, an answer to an unknown question, to another question than its
            id or place says, a doubled one, or one that is missing; the message names it.
    """
    rows = _rows(path)
    if not rows:
        raise LlavaMedError(f"{path} holds no answers")
    ours = all(key in rows[0] for key in _OURS)
    found = _by_id(rows, questions, path) if ours else _by_order(rows, questions, path, partial)
    missing = [question for question in questions if question.id not in found]
    if missing and not partial:
        raise LlavaMedError(
            f"{path} has no answer to {len(missing)} of {len(questions)} questions, the first is "
            f"{missing[0].id!r}: predict them, or allow it with --partial"
        )
    return found


def _rows(path: Path) -> list[dict[str, Any]]:
    try:
        text = path.read_text(encoding="utf-8")
        pieces = [text] if text.lstrip().startswith("[") else text.split("\n")
        read = [json.loads(piece) for piece in pieces if piece.strip()]
    except FileNotFoundError as error:
        raise UsageError(f"there is no file {path}") from error
    except (OSError, ValueError) as error:
        raise LlavaMedError(f"{path} cannot be read as JSON Lines: {error}") from error
    rows = read[0] if len(read) == 1 and isinstance(read[0], list) else read
    for line, row in enumerate(rows, 1):
        if not isinstance(row, dict) or not any(
            all(isinstance(row.get(key), str) for key in keys) for keys in (_OURS, _RELEASED)
        ):
            raise LlavaMedError(
                f"{path}:{line} is no answer: {', '.join(_OURS)} or {', '.join(_RELEASED)} were expected as text"
            )
    return rows


def _by_id(
    rows: Sequence[Mapping[str, Any]], questions: Sequence[Question], path: Path
) -> dict[str, Prediction]:
    known = {question.id: question for question in questions}
    found = dict[str, Prediction]()
    for line, row in enumerate(rows, 1):
        question = known.get(row.get("id", ""))
        if question is None:
            raise LlavaMedError(f"{path}:{line} answers {row.get('id')!r}, which the benchmark does not ask")
        if question.id in found:
            raise LlavaMedError(f"{path}:{line} answers {question.id!r} a second time")
        asked = row.get("question") or question.text
        found[question.id] = Prediction(
            question.id, asked, row["answer"], _form(asked, question, path, line), str(row.get("model") or "")
        )
    return found


def _by_order(
    rows: Sequence[Mapping[str, Any]], questions: Sequence[Question], path: Path, partial: bool
) -> dict[str, Prediction]:
    found = dict[str, Prediction]()
    for line, (row, question) in enumerate(zip_longest(rows, questions), 1):
        if question is None or (row is None and not partial):
            raise LlavaMedError(
                f"{path} has {len(rows)} answers for {len(questions)} questions, and answers of the released "
                "form go by their order: it is another benchmark's, or cut off"
            )
        if row is None:
            break
        said = " ".join(row["prompt"].replace("<image>", " ").split())
        form = _form(said, question, path, line)
        asked = question.text if form == "plain" else said
        found[question.id] = Prediction(question.id, asked, row["text"], form, str(row.get("model_id") or ""))
    return found


def _form(asked: str, question: Question, path: Path, line: int) -> PromptForm:
    said, text = " ".join(asked.split()), " ".join(question.text.split())
    if said == text:
        return "plain"
    if said.startswith(f"{text} ") and said.endswith("]"):
        return "options"
    raise LlavaMedError(
        f"{path}:{line} was asked {said[:60]!r}, but its question is {question.id!r}: {text[:60]!r}"
    )
