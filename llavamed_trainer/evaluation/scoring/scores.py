"""A benchmark's scores: every metric with its interval, whole and by group."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np

from llavamed_trainer.evaluation.answers import AnswerLine, PromptForm
from llavamed_trainer.evaluation.scoring.metrics import score_closed, score_open
from llavamed_trainer.evaluation.scoring.predictions import Answered, join
from llavamed_trainer.evaluation.scoring.refusals import is_refusal
from llavamed_trainer.evaluation.scoring.resample import Floats, Resampling, intervals
from llavamed_trainer.evaluation.scoring.truth import Question, Truth, load_truth

Family: TypeAlias = Literal["OPEN", "CLOSED", "ALL"]


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric of the results: over which questions it is a mean, and whose definition it follows."""

    name: str
    label: str
    family: Family
    released: bool


METRICS = (
    Metric("open_recall", "recall", "OPEN", True),
    Metric("open_precision", "precision", "OPEN", True),
    Metric("open_f1", "F1", "OPEN", True),
    Metric("open_exact_match", "exact match", "OPEN", True),
    Metric("open_bleu", "BLEU", "OPEN", True),
    Metric("open_multiset_recall", "multiset recall", "OPEN", False),
    Metric("closed_accuracy", "accuracy", "CLOSED", True),
    Metric("closed_word_accuracy", "word accuracy", "CLOSED", False),
    Metric("refusal_share", "refusals", "ALL", False),
)
"""Every metric, in percent. `released`: the authors' definition (the paper's "Open" is `open_recall`, its "Closed"
`closed_accuracy`); the others are strict ones of ours."""

FAMILIES: tuple[Family, ...] = ("OPEN", "CLOSED", "ALL")

_GROUPS = ("question_type", "domain", "language")
_UNSTATED = "(not stated)"
_EXAMPLES = 4


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over `count` questions in percent, and its interval."""

    value: float
    low: float
    high: float
    count: int


Estimates: TypeAlias = Mapping[str, Estimate]
"""Metric → estimate; a metric that no question has is left out."""


@dataclass(frozen=True, slots=True)
class Scores:
    """What a model scored on a benchmark, asked in one form.

    Attributes:
        benchmark, split, model: of the answers.
        prompt_form: how the closed questions were asked.
        questions: in the split.
        missing: those that have no prediction; above 0 only where that was allowed.
        untyped: those of which the benchmark does not say whether they are open or closed; they count for
            `refusal_share` alone.
        overall: over all questions that have a prediction.
        groups: question type, domain or language → its values → estimates. A question of several types counts
            under each.
        languages: of the questions.
        examples: the first Chinese questions with answer and truth, for Table 12.
        resampling: how the intervals were made.
    """

    benchmark: str
    split: str
    model: str
    prompt_form: PromptForm
    questions: int
    missing: int
    untyped: int
    overall: Estimates
    groups: Mapping[str, Mapping[str, Estimates]]
    languages: tuple[str, ...]
    examples: tuple[Mapping[str, str], ...]
    resampling: Resampling


def score_predictions(
    predictions: Path,
    benchmark: str,
    *,
    split: str = "test",
    language: str = "en",
    partial: bool = False,
    resampling: Resampling | None = None,
) -> list[Scores]:
    """Scores a file of predictions: one result for each prompt form that it holds.

        score_predictions(Path("answers.jsonl"), "vqa-rad")[0].overall["open_recall"].value

    Args:
        predictions: JSON Lines of `{id, answer, …}`, or the released code's answer file.
        benchmark: `vqa-rad`, `slake`, `path-vqa`, a dataset's folder or name, or an original test file.
        split: of the dataset.
        language: `en`, `zh` or `all`: which questions count.
        partial: score what is there where predictions are missing; `Scores.missing` says how many.
        resampling: of the intervals; 2,000 draws of questions by default.

    Raises:
        UsageError, LlavaMedError: as `load_truth` and `join`.
    """
    truth = load_truth(benchmark, split, language)
    how = resampling or Resampling()
    return [score_answered(answered, truth, how) for answered in join(predictions, truth, partial=partial)]


def score_answered(answered: Answered, truth: Truth, how: Resampling) -> Scores:
    """Scores predictions that lie beside their questions."""
    questions = [question for question, _ in answered.pairs]
    values = values_of(answered.pairs)
    return Scores(
        benchmark=truth.benchmark,
        split=truth.split,
        model=answered.model,
        prompt_form=answered.form,
        questions=len(truth.questions),
        missing=answered.missing,
        untyped=sum(question.answer_type is None for question in questions),
        overall=_estimates(values, questions, how),
        languages=tuple(sorted({question.language for question in questions})),
        examples=_examples(answered),
        groups={name: of for name in _GROUPS if (of := _by_group(values, questions, name, how))},
        resampling=how,
    )


def values_of(pairs: Sequence[tuple[Question, AnswerLine]]) -> Floats:
    """[questions, metrics] in the order of `METRICS`, 0 to 1; NaN where a metric is not of a question's kind."""
    values = np.full((len(pairs), len(METRICS)), np.nan)
    columns = {family: columns_of(family) for family in FAMILIES}
    for row, (question, prediction) in enumerate(pairs):
        if question.answer_type == "OPEN":
            score = score_open(prediction.answer, question.answer)
            values[row, columns["OPEN"]] = (
                score.recall,
                score.precision,
                score.f1,
                score.exact_match,
                score.bleu,
                score.multiset_recall,
            )
        elif question.answer_type == "CLOSED":
            closed = score_closed(prediction.answer, question.answer)
            values[row, columns["CLOSED"]] = (closed.accuracy, closed.word_accuracy)
        values[row, columns["ALL"]] = is_refusal(prediction.answer)
    return values


def columns_of(family: Family) -> list[int]:
    """Where the metrics of a family stand in `METRICS`."""
    return [at for at, metric in enumerate(METRICS) if metric.family == family]


def stated_rows(column: Floats) -> list[int]:
    """The rows in which a metric has a value."""
    return [int(row) for row in np.flatnonzero(~np.isnan(column))]


def _estimates(values: Floats, questions: Sequence[Question], how: Resampling) -> dict[str, Estimate]:
    estimates = dict[str, Estimate]()
    for family in FAMILIES:
        columns = columns_of(family)
        rows = stated_rows(values[:, columns[0]])
        if rows:
            part = values[rows][:, columns]
            low, high = 100 * intervals(part, [questions[row].image for row in rows], how)
            for place, column in enumerate(columns):
                estimates[METRICS[column].name] = Estimate(
                    _percent(part[:, place]), float(low[place]), float(high[place]), len(rows)
                )
    return estimates


def _percent(values: Floats) -> float:
    """The mean in percent, added up from left to right as the authors' code does: equal to the last digit."""
    return float(np.add.accumulate(values)[-1]) * 100 / len(values)


def _by_group(
    values: Floats, questions: Sequence[Question], name: str, how: Resampling
) -> dict[str, dict[str, Estimate]]:
    """Nothing where no question states that group, or all are of one language."""
    rows = dict[str, list[int]]()
    for row, question in enumerate(questions):
        for value in _values_of_group(getattr(question, name)):
            rows.setdefault(value, []).append(row)
    if rows.keys() <= {_UNSTATED} or (name == "language" and len(rows) == 1):
        return {}
    return {
        value: _estimates(values[rows[value]], [questions[row] for row in rows[value]], how)
        for value in sorted(rows)
    }


def _values_of_group(stated: str | None) -> list[str]:
    values = {each.strip() for each in (stated or "").split(",")} - {""}
    return sorted(values) or [_UNSTATED]


def _examples(answered: Answered) -> tuple[Mapping[str, str], ...]:
    chinese = [pair for pair in answered.pairs if pair[0].language == "zh"][:_EXAMPLES]
    return tuple(
        {"question": question.text, "answer": prediction.answer, "truth": question.answer}
        for question, prediction in chinese
    )


def scores_to_dict(scores: Scores) -> dict[str, Any]:
    """As JSON has it: every estimate as value, low, high, count."""
    return {
        "benchmark": scores.benchmark,
        "split": scores.split,
        "model": scores.model,
        "prompt_form": scores.prompt_form,
        "questions": scores.questions,
        "scored": scores.questions - scores.missing,
        "missing": scores.missing,
        "partial": scores.missing > 0,
        "untyped": scores.untyped,
        "languages": list(scores.languages),
        "examples": [dict(each) for each in scores.examples],
        "metrics": _to_dict(scores.overall),
        "groups": {
            name: {value: _to_dict(estimates) for value, estimates in values.items()}
            for name, values in scores.groups.items()
        },
        "resampling": {
            "draws": scores.resampling.draws,
            "seed": scores.resampling.seed,
            "level": scores.resampling.level,
            "unit": "image" if scores.resampling.by_image else "question",
        },
    }


def _to_dict(estimates: Estimates) -> dict[str, dict[str, float | int]]:
    return {
        name: {"value": each.value, "low": each.low, "high": each.high, "count": each.count}
        for name, each in estimates.items()
    }
