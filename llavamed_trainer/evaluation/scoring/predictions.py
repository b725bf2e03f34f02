"""Predictions beside their questions, one set a prompt form."""

from dataclasses import dataclass
from pathlib import Path

from llavamed_data.errors import LlavaMedError
from llavamed_trainer.evaluation.answers import FORMS, AnswerLine, Pair, PromptForm, missing, pair, read_lines
from llavamed_trainer.evaluation.scoring.truth import Question, Truth


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
    pairs: tuple[tuple[Question, AnswerLine], ...]
    missing: int


def join(path: Path, truth: Truth, *, partial: bool = False) -> list[Answered]:
    """Reads predictions and puts each beside its question: one set a prompt form.

    Open questions have no options: where a file holds both forms, they count in both.

    Args:
        path: JSON Lines, or a JSON list, in our form or the released one.
        truth: the questions.
        partial: allow questions without a prediction.

    Raises:
        UsageError: there is no such file.
        LlavaMedError: a line of another form, a prediction for an unknown question, for another question than
            the one of its id or place, a doubled one, or one that is missing.
    """
    of = f"{truth.benchmark}, split {truth.split},"
    pairs = pair(read_lines(path), truth.questions, path, of=of, partial=partial)
    closed = {each.form for each in pairs if each.question.answer_type == "CLOSED"}
    forms = closed or {each.form for each in pairs}
    return [_of_form(form, pairs, truth, path, partial) for form in FORMS if form in forms]


def _of_form(
    form: PromptForm, pairs: list[Pair[Question]], truth: Truth, path: Path, partial: bool
) -> Answered:
    chosen = dict[str, Pair[Question]]()
    for each in pairs:
        question = each.question
        if each.form == form or (question.answer_type == "OPEN" and question.id not in chosen):
            chosen[question.id] = each
    lost = [question for question in truth.questions if question.id not in chosen]
    if lost and not partial:
        raise missing(path, lost[0], len(lost), form)
    found = [chosen[question.id] for question in truth.questions if question.id in chosen]
    models = sorted({each.answer.model for each in found})
    if len(models) > 1:
        raise LlavaMedError(f"{path} holds answers of {len(models)} models: {', '.join(models[:3])}")
    return Answered(form, models[0], tuple((each.question, each.answer) for each in found), len(lost))
