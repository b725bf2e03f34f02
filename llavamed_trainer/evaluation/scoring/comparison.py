"""Two files of predictions for the same questions, question by question."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llavamed_data.errors import LlavaMedError
from llavamed_trainer.evaluation.answers import PromptForm
from llavamed_trainer.evaluation.scoring.predictions import Answered, join
from llavamed_trainer.evaluation.scoring.resample import (
    Floats,
    Resampling,
    intervals,
    mcnemar_p,
    permutation_p,
)
from llavamed_trainer.evaluation.scoring.scores import (
    FAMILIES,
    METRICS,
    Estimate,
    columns_of,
    stated_rows,
    values_of,
)
from llavamed_trainer.evaluation.scoring.truth import Truth, load_truth

_BINARY = frozenset({"CLOSED", "ALL"})


@dataclass(frozen=True, slots=True)
class Difference:
    """One metric's difference, first less second, in points of percent.

    Attributes:
        estimate: with the interval of the paired bootstrap.
        p: that there is none: exact McNemar for right-or-wrong metrics (permutation where whole images are
            drawn), a permutation test of signs for the others.
        test: `mcnemar` or `permutation`.
    """

    estimate: Estimate
    p: float
    test: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two models' answers to the same questions.

    Attributes:
        benchmark, split: that both answered.
        forms: prompt form of the first and of the second.
        models: first and second.
        questions: in the split.
        missing: questions that one or both did not answer; above 0 only where that was allowed.
        differences: metric → difference.
        resampling: how the intervals were made.
    """

    benchmark: str
    split: str
    forms: tuple[PromptForm, PromptForm]
    models: tuple[str, str]
    questions: int
    missing: int
    differences: Mapping[str, Difference]
    resampling: Resampling


def compare_predictions(
    first: Path,
    second: Path,
    benchmark: str,
    *,
    split: str = "test",
    language: str = "en",
    partial: bool = False,
    resampling: Resampling | None = None,
) -> list[Comparison]:
    """Compares two files of predictions: once for each prompt form that both hold.

    Files that hold one form each are compared whatever the forms are: that is how plain and options compare.

    Raises:
        UsageError, LlavaMedError: as `load_truth` and `join`; the files hold no prompt form in common.
    """
    truth = load_truth(benchmark, split, language)
    ours, theirs = (join(path, truth, partial=partial) for path in (first, second))
    if len(ours) == len(theirs) == 1:
        pairs = [(ours[0], theirs[0])]
    else:
        pairs = [(one, other) for one in ours for other in theirs if one.form == other.form]
    if not pairs:
        raise LlavaMedError(f"{first} and {second} were asked in different forms: nothing to compare")
    return [_compare(one, other, truth, resampling or Resampling()) for one, other in pairs]


def _compare(first: Answered, second: Answered, truth: Truth, how: Resampling) -> Comparison:
    both = {question.id for question, _ in first.pairs} & {question.id for question, _ in second.pairs}
    if not both:
        raise LlavaMedError("the two files answer no question in common")
    kept = [[pair for pair in each.pairs if pair[0].id in both] for each in (first, second)]
    difference = values_of(kept[0]) - values_of(kept[1])
    images = [question.image for question, _ in kept[0]]
    differences = dict[str, Difference]()
    for family in FAMILIES:
        columns = columns_of(family)
        rows = stated_rows(difference[:, columns[0]])
        if rows:
            part = difference[rows][:, columns]
            found = _differences(part, [images[row] for row in rows], how, binary=family in _BINARY)
            differences |= {METRICS[column].name: each for column, each in zip(columns, found, strict=True)}
    return Comparison(
        benchmark=truth.benchmark,
        split=truth.split,
        forms=(first.form, second.form),
        models=(first.model, second.model),
        questions=len(truth.questions),
        missing=len(truth.questions) - len(both),
        differences={
            metric.name: differences[metric.name] for metric in METRICS if metric.name in differences
        },
        resampling=how,
    )


def _differences(
    part: Floats, images: list[str | None], how: Resampling, *, binary: bool
) -> list[Difference]:
    exact = binary and not how.by_image
    ends = 100 * intervals(part, images, how)
    chances = (
        [mcnemar_p(int((column > 0).sum()), int((column < 0).sum())) for column in part.T]
        if exact
        else permutation_p(part, images, how).tolist()
    )
    return [
        Difference(
            Estimate(100 * float(column.mean()), float(low), float(high), len(part)),
            chance,
            "mcnemar" if exact else "permutation",
        )
        for column, low, high, chance in zip(part.T, ends[0], ends[1], chances, strict=True)
    ]


def comparison_to_dict(comparison: Comparison) -> dict[str, Any]:
    """As JSON has it."""
    return {
        "benchmark": comparison.benchmark,
        "split": comparison.split,
        "models": list(comparison.models),
        "prompt_forms": list(comparison.forms),
        "questions": comparison.questions,
        "missing": comparison.missing,
        "partial": comparison.missing > 0,
        "differences": {
            name: {
                "value": each.estimate.value,
                "low": each.estimate.low,
                "high": each.estimate.high,
                "count": each.estimate.count,
                "p": each.p,
                "test": each.test,
            }
            for name, each in comparison.differences.items()
        },
    }
