"""The mean difference of two scores of the same questions, with its interval and p value."""

from collections.abc import Sequence
from dataclasses import dataclass

from llavamed_trainer.evaluation.scoring.resample import (
    Floats,
    Resampling,
    intervals,
    mcnemar_p,
    permutation_p,
)
from llavamed_trainer.evaluation.scoring.scores import MetricEstimate


@dataclass(frozen=True, slots=True)
class Difference:
    """One metric's difference, first less second, in percentage points.

    Attributes:
        estimate: the difference with its interval by the paired bootstrap.
        p: p value of no difference: exact McNemar for right-or-wrong metrics (a permutation test if whole images are
            drawn), a permutation test of signs for the others.
        test: `mcnemar` or `permutation`.
    """

    estimate: MetricEstimate
    p: float
    test: str


def paired_differences(
    values: Floats, images: Sequence[str | None], resampling: Resampling, *, binary: bool
) -> list[Difference]:
    """The mean difference of each metric.

    Args:
        values: [questions, metrics], the first score less the second of each question, from -1 to 1.
        images: the image of each question, for `resampling.by_image`.
        resampling: how the intervals are made.
        binary: whether each score is right or wrong, 1 or 0.
    """
    exact = binary and not resampling.by_image
    low, high = 100 * intervals(values, images, resampling)
    p_values = (
        [mcnemar_p(int((column > 0).sum()), int((column < 0).sum())) for column in values.T]
        if exact
        else permutation_p(values, images, resampling).tolist()
    )
    return [
        Difference(
            MetricEstimate(100 * float(column.mean()), float(start), float(end), len(values)),
            p,
            "mcnemar" if exact else "permutation",
        )
        for column, start, end, p in zip(values.T, low, high, p_values, strict=True)
    ]
