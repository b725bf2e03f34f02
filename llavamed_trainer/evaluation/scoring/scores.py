"""A benchmark's scores: every metric with its interval, over all questions and by group."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from llavamed_data.errors import UsageError
from llavamed_trainer.evaluation.questions import (
    AnswerSet,
    ImageMode,
    Prediction,
    PromptForm,
    Question,
    QuestionSet,
    load_questions,
    read_answers,
)
from llavamed_trainer.evaluation.results import write_result
from llavamed_trainer.evaluation.scoring.choices import read_choice
from llavamed_trainer.evaluation.scoring.metrics import is_refusal, score_closed, score_open
from llavamed_trainer.evaluation.scoring.positions import PositionCounts, count_positions
from llavamed_trainer.evaluation.scoring.resample import Floats, Resampling, intervals

if TYPE_CHECKING:
    from llavamed_trainer.evaluation.judge import ShortAnswerScores

Family: TypeAlias = Literal["OPEN", "CLOSED", "CHOICE", "ALL"]


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric of the results.

    Attributes:
        name: name in results files.
        label: name in tables.
        family: the questions over which it is a mean.
        released: whether it is the authors' definition; the others are strict ones of ours.
    """

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
    Metric("choice_accuracy", "accuracy", "CHOICE", False),
    Metric("choice_unreadable", "unreadable answers", "CHOICE", False),
    Metric("refusal_share", "refusals", "ALL", False),
)
"""Every metric, in percent. The paper's "Open" is `open_recall`, its "Closed" `closed_accuracy`. A further metric is a
line here and a value in `metric_values`."""

_FAMILIES: tuple[Family, ...] = ("OPEN", "CLOSED", "CHOICE", "ALL")

_COLUMN = {metric.name: column for column, metric in enumerate(METRICS)}
_GROUPS = ("question_type", "domain", "language")
_UNSTATED = "(not stated)"
_EXAMPLES = 4


@dataclass(frozen=True, slots=True)
class MetricEstimate:
    """A metric's mean over `count` questions in percent, and the ends of its interval."""

    value: float
    low: float
    high: float
    count: int


Estimates: TypeAlias = Mapping[str, MetricEstimate]
"""Metric → estimate; a metric that applies to no question is left out."""


@dataclass(frozen=True, slots=True)
class Scores:
    """The scores of one model on a benchmark, asked in one prompt form.

    Attributes:
        benchmark, split, model: whose answers to which questions.
        prompt_form: how the closed questions were asked.
        questions: number of questions in the split.
        missing: number of questions without an answer; above 0 only if that was allowed.
        limit: how many of the first questions alone were asked (`predict --limit`); None if all were.
        untyped: number of questions of which the benchmark does not say whether they are open or closed; they count
            for `refusal_share` alone.
        overall: over all questions that have an answer.
        groups: question type, domain or language → its values → estimates. A question of several types counts in
            each.
        languages: languages of the questions.
        positions: of multiple-choice questions, how often each letter was chosen and how often it is right; else None.
        examples: the first Chinese questions with answer and right answer, for Table 12.
        resampling: how the intervals were made.
        short_answers: what a judge makes of the open answers; None if none was asked.
        images: what the model was shown; other than `real`, the scores are those of a blind model.
        further: further keys of results files and their values, such as what the image adds.
    """

    benchmark: str
    split: str
    model: str
    prompt_form: PromptForm
    questions: int
    missing: int
    limit: int | None
    untyped: int
    overall: Estimates
    groups: Mapping[str, Mapping[str, Estimates]]
    languages: tuple[str, ...]
    examples: tuple[Mapping[str, str], ...]
    resampling: Resampling
    short_answers: "ShortAnswerScores | None" = None
    images: ImageMode = "real"
    further: Mapping[str, Any] = field(default_factory=dict)
    positions: PositionCounts | None = None


def score_predictions(
    predictions: Path,
    benchmark: str,
    *,
    split: str = "test",
    language: str = "en",
    partial: bool = False,
    resampling: Resampling | None = None,
) -> list[Scores]:
    """Scores a file of answers: one result for each prompt form in it.

        score_predictions(Path("answers.jsonl"), "vqa-rad")[0].overall["open_recall"].value

    Args:
        predictions: file of answers, ours or the released code's.
        benchmark: a name of a built one, a dataset's folder or name, or an original test file.
        split: split of the dataset.
        language: which questions count: `en`, `zh` or `all`.
        partial: score the answers that there are if some are missing; `Scores.missing` says how many.
        resampling: how to make the intervals; by default 2,000 draws of questions.

    Raises:
        UsageError, LlavaMedError: as `load_questions_to_score` and `read_answers`.
    """
    questions = load_questions_to_score(benchmark, split, language)
    resampling = resampling or Resampling()
    return [
        score_answers(answers, questions, resampling)
        for answers in read_answers(predictions, questions, partial=partial)
    ]


def load_questions_to_score(benchmark: str, split: str, language: str) -> QuestionSet:
    """The questions of a benchmark that says which are open and which closed.

    Raises:
        UsageError, LlavaMedError: as `load_questions`; the dataset has no column for it.
    """
    questions = load_questions(benchmark, split, language)
    if questions.columns and "answer_type" not in questions.columns:
        raise UsageError(
            f"{benchmark} does not say which questions are open and which closed (it has no column 'answer_type'): "
            "score takes the VQA sets, as build makes them, and judge the evaluation set"
        )
    return questions


def score_answers(answers: AnswerSet, questions: QuestionSet, resampling: Resampling) -> Scores:
    """Scores the answers in one prompt form."""
    asked = [prediction.question for prediction in answers.predictions]
    values = metric_matrix(answers.predictions)
    groups = {name: _by_group(values, asked, name, resampling) for name in _GROUPS}
    return Scores(
        benchmark=questions.name,
        split=questions.split,
        model=answers.model,
        prompt_form=answers.form,
        questions=len(questions.questions),
        missing=len(answers.missing),
        limit=answers.limit,
        untyped=sum(question.answer_type is None for question in asked),
        overall=_estimates(values, asked, resampling),
        groups={name: by_value for name, by_value in groups.items() if by_value},
        languages=tuple(sorted({question.language for question in asked})),
        examples=_examples(answers.predictions),
        resampling=resampling,
        images=answers.images,
        positions=count_positions(answers.predictions),
    )


def metric_values(prediction: Prediction) -> Mapping[str, float]:
    """Metric → value of one answer, 0 to 1; metrics that do not apply to the question are left out."""
    question, answer = prediction.question, prediction.answer
    values: dict[str, float] = {"refusal_share": is_refusal(answer)}
    if question.answer_type == "OPEN":
        score = score_open(answer, question.reference)
        values |= {
            "open_recall": score.recall,
            "open_precision": score.precision,
            "open_f1": score.f1,
            "open_exact_match": score.exact_match,
            "open_bleu": score.bleu,
            "open_multiset_recall": score.multiset_recall,
        }
    elif question.answer_type == "CLOSED":
        closed = score_closed(answer, question.reference)
        values |= {"closed_accuracy": closed.accuracy, "closed_word_accuracy": closed.word_accuracy}
    elif question.answer_type == "CHOICE":
        letter = read_choice(answer, question.choices)
        values |= {"choice_accuracy": letter == question.reference, "choice_unreadable": letter is None}
    return values


def metric_matrix(predictions: Sequence[Prediction]) -> Floats:
    """[predictions, metrics] in the order of `METRICS`, 0 to 1; NaN where a metric does not apply."""
    values = np.full((len(predictions), len(METRICS)), np.nan)
    for row, prediction in enumerate(predictions):
        for name, value in metric_values(prediction).items():
            values[row, _COLUMN[name]] = value
    return values


def families_with_values(values: Floats) -> Iterator[tuple[Family, list[int], list[int]]]:
    """Yields each family of metrics that has values in a `metric_matrix`, its columns, and the rows with a value."""
    for family in _FAMILIES:
        columns = [column for column, metric in enumerate(METRICS) if metric.family == family]
        if rows := np.flatnonzero(~np.isnan(values[:, columns[0]])).tolist():
            yield family, columns, rows


def scores_to_dict(scores: Scores) -> dict[str, Any]:
    """The scores as results files have them: every estimate as value, low, high, count."""
    return {
        "benchmark": scores.benchmark,
        "split": scores.split,
        "model": scores.model,
        "prompt_form": scores.prompt_form,
        "questions": scores.questions,
        "scored": scores.questions - scores.missing,
        "missing": scores.missing,
        "partial": scores.missing > 0,
        "limit": scores.limit,
        "untyped": scores.untyped,
        "languages": list(scores.languages),
        "examples": [dict(each) for each in scores.examples],
        "metrics": {name: asdict(each) for name, each in scores.overall.items()},
        "groups": {
            group: {
                value: {name: asdict(each) for name, each in estimates.items()}
                for value, estimates in by_value.items()
            }
            for group, by_value in scores.groups.items()
        },
        "resampling": {
            "draws": scores.resampling.draws,
            "seed": scores.resampling.seed,
            "level": scores.resampling.level,
            "unit": "image" if scores.resampling.by_image else "question",
        },
        **({"short_answers": scores.short_answers.to_dict()} if scores.short_answers else {}),
        **({"images": scores.images} if scores.images != "real" else {}),
        **scores.further,
        **({"choices": asdict(scores.positions)} if scores.positions else {}),
    }


def write_scores(
    path: Path, scores: Sequence[Scores], variant: Mapping[str, str | int] | None = None
) -> None:
    """Writes the results file that `tables` reads; it appears whole or not at all.

    Args:
        path: the file; missing folders are made.
        scores: scores of one file of answers.
        variant: what was trained, in the words of the paper's tables (see `llavamed_trainer.evaluation.tables`).
    """
    stated = {"variant": dict(variant or {}), "scores": [scores_to_dict(each) for each in scores]}
    write_result(path, "llavamed-scores", stated)


def _estimates(
    values: Floats, questions: Sequence[Question], resampling: Resampling
) -> dict[str, MetricEstimate]:
    estimates = dict[str, MetricEstimate]()
    for _, columns, rows in families_with_values(values):
        part = values[rows][:, columns]
        low, high = 100 * intervals(part, [questions[row].image for row in rows], resampling)
        for place, column in enumerate(columns):
            # added up from left to right, as the authors' code does: equal to the last digit
            mean = float(np.add.accumulate(part[:, place])[-1]) * 100 / len(rows)
            estimates[METRICS[column].name] = MetricEstimate(
                mean, float(low[place]), float(high[place]), len(rows)
            )
    return estimates


def values_of_group(questions: Sequence[Question], group: str) -> dict[str, list[int]]:
    """Value of a group → the places of its questions, in alphabetical order; empty if no question states one.

    Args:
        questions: the questions; one that states several values is in each.
        group: `question_type`, `domain` or `language`, which counts only if there are several.
    """
    rows = dict[str, list[int]]()
    for row, question in enumerate(questions):
        stated: str = getattr(question, group) or ""
        parts = {part.strip() for part in stated.split(",")} - {""}
        for value in sorted(parts) or [_UNSTATED]:
            rows.setdefault(value, []).append(row)
    if rows.keys() <= {_UNSTATED} or (group == "language" and len(rows) == 1):
        return {}
    return dict(sorted(rows.items()))


def _by_group(
    values: Floats, questions: Sequence[Question], group: str, resampling: Resampling
) -> dict[str, dict[str, MetricEstimate]]:
    return {
        value: _estimates(values[rows], [questions[row] for row in rows], resampling)
        for value, rows in values_of_group(questions, group).items()
    }


def _examples(predictions: Sequence[Prediction]) -> tuple[Mapping[str, str], ...]:
    chinese = [prediction for prediction in predictions if prediction.question.language == "zh"]
    return tuple(
        {"question": each.question.text, "answer": each.answer, "truth": each.question.reference}
        for each in chinese[:_EXAMPLES]
    )
