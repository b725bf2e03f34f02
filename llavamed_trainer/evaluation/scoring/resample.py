"""Confidence intervals and p values of means, and of differences of two means over the same questions."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.int64]

_NUMBERS_AT_ONCE = 1 << 20
"""Random numbers in memory at a time: 8 MB."""


@dataclass(frozen=True, slots=True)
class Resampling:
    """How intervals are made.

    Attributes:
        draws: number of bootstrap samples, and of random sign patterns of a permutation test.
        seed: seed of the draws; the same files and seed give the same intervals.
        level: confidence level of the intervals, in percent.
        by_image: draw whole images with all their questions, because answers about one image are not independent.
    """

    draws: int = 2000
    seed: int = 0
    level: float = 95.0
    by_image: bool = False


def intervals(values: Floats, images: Sequence[str | None], resampling: Resampling) -> Floats:
    """Percentile bootstrap intervals of each column's mean.

    Args:
        values: [rows, metrics], at least one row.
        images: the image of each row; used only for `resampling.by_image`, where a row without one is drawn alone.
        resampling: how many draws, and of what.

    Returns:
        [2, metrics]: lower and upper ends.
    """
    sums, sizes = _drawn_units(values, images, resampling)
    random = np.random.default_rng(resampling.seed)
    means = np.empty((resampling.draws, values.shape[1]))
    step = max(1, _NUMBERS_AT_ONCE // len(sizes))
    for start in range(0, resampling.draws, step):
        drawn = _times_drawn(random, min(step, resampling.draws - start), len(sizes))
        means[start : start + step] = (drawn @ sums) / (drawn @ sizes)[:, None]
    tail = (100 - resampling.level) / 2
    ends: Floats = np.percentile(means, [tail, 100 - tail], axis=0)
    return ends


def permutation_p(differences: Floats, images: Sequence[str | None], resampling: Resampling) -> Floats:
    """Two-sided p value of each column's mean difference being 0, by flipping signs at random.

    Args:
        differences: [rows, metrics].
        images: the image of each row; the signs of all rows of an image flip together if `resampling.by_image`.
        resampling: how many sign patterns, and of what.

    Returns:
        [metrics]; never below 1 / (draws + 1).
    """
    sums, _ = _drawn_units(differences, images, resampling)
    random = np.random.default_rng(resampling.seed)
    observed = np.abs(sums.sum(axis=0)) - 1e-9
    reached = np.zeros(sums.shape[1])
    step = max(1, _NUMBERS_AT_ONCE // len(sums))
    for start in range(0, resampling.draws, step):
        shape = (min(step, resampling.draws - start), len(sums))
        signs = random.integers(0, 2, shape, dtype=np.int8) * 2.0 - 1.0
        reached += (np.abs(signs @ sums) >= observed).sum(axis=0)
    p: Floats = (reached + 1) / (resampling.draws + 1)
    return p


def mcnemar_p(only_first: int, only_second: int) -> float:
    """p value of the exact two-sided McNemar test.

    Args:
        only_first: number of questions that only the first model answered right.
        only_second: number of questions that only the second model answered right.
    """
    total, fewer = only_first + only_second, min(only_first, only_second)
    tail = sum(math.comb(total, hits) for hits in range(fewer + 1))
    return min(1.0, float(2 * tail / 2**total))


def _drawn_units(
    values: Floats, images: Sequence[str | None], resampling: Resampling
) -> tuple[Floats, Floats]:
    """What is drawn, rows or images: the sums of their values [units, metrics] and their numbers of rows [units]."""
    if not resampling.by_image:
        return values, np.ones(len(values))
    names = [f"image {name}" if name else f"row {row}" for row, name in enumerate(images)]
    units: Ints = np.unique(np.array(names), return_inverse=True)[1]
    sums = np.zeros((units.max() + 1, values.shape[1]))
    np.add.at(sums, units, values)
    return sums, np.bincount(units).astype(np.float64)


def _times_drawn(random: np.random.Generator, samples: int, units: int) -> Floats:
    """[samples, units]: how often each unit is in each sample of as many units, drawn with replacement."""
    drawn: NDArray[Any] = random.integers(0, units, (samples, units))
    drawn += (np.arange(samples) * units)[:, None]
    counts: Floats = np.bincount(drawn.ravel(), minlength=samples * units).astype(np.float64)
    return counts.reshape(samples, units)
