"""How sure a mean, or a difference of two means over the same questions, is."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.int64]

_AT_ONCE = 1 << 20
"""Draws in memory at a time: 8 MB."""


@dataclass(frozen=True, slots=True)
class Resampling:
    """How intervals are made.

    Attributes:
        draws: bootstrap samples, and sign flips of a permutation test.
        seed: of the draws: the same files and seed give the same intervals.
        level: of the intervals, in percent.
        by_image: draw whole images with all their questions, for answers about one image are not independent.
    """

    draws: int = 2000
    seed: int = 0
    level: float = 95.0
    by_image: bool = False


def intervals(values: Floats, clusters: Sequence[str | None], how: Resampling) -> Floats:
    """Percentile bootstrap of each column's mean.

    Args:
        values: [rows, metrics], at least one row.
        clusters: the image of each row; used only where `how.by_image`, a row without one stands alone.
        how: how many draws, and of what.

    Returns:
        [2, metrics]: lower and upper ends.
    """
    sums, sizes = _grouped(values, clusters, how)
    random = np.random.default_rng(how.seed)
    means = np.empty((how.draws, values.shape[1]))
    step = max(1, _AT_ONCE // len(sizes))
    for start in range(0, how.draws, step):
        drawn = _times_drawn(random, min(step, how.draws - start), len(sizes))
        means[start : start + step] = (drawn @ sums) / (drawn @ sizes)[:, None]
    tail = (100 - how.level) / 2
    ends: Floats = np.percentile(means, [tail, 100 - tail], axis=0)
    return ends


def permutation_p(differences: Floats, clusters: Sequence[str | None], how: Resampling) -> Floats:
    """Two-sided p of each column's mean difference being 0: signs flipped at random, whole images where asked.

    Args:
        differences: [rows, metrics].
        clusters: the image of each row.
        how: how many flips, and of what.

    Returns:
        [metrics]; never below 1 / (draws + 1).
    """
    sums, _ = _grouped(differences, clusters, how)
    random = np.random.default_rng(how.seed)
    seen = np.abs(sums.sum(axis=0)) - 1e-9
    reached = np.zeros(sums.shape[1])
    step = max(1, _AT_ONCE // len(sums))
    for start in range(0, how.draws, step):
        shape = (min(step, how.draws - start), len(sums))
        signs = random.integers(0, 2, shape, dtype=np.int8) * 2.0 - 1.0
        reached += (np.abs(signs @ sums) >= seen).sum(axis=0)
    p: Floats = (reached + 1) / (how.draws + 1)
    return p


def mcnemar_p(only_first: int, only_second: int) -> float:
    """Exact two-sided McNemar test.

    Args:
        only_first, only_second: questions that only the first, only the second answered right.
    """
    total, fewer = only_first + only_second, min(only_first, only_second)
    tail = sum(math.comb(total, hits) for hits in range(fewer + 1))
    return min(1.0, float(2 * tail / 2**total))


def _grouped(values: Floats, clusters: Sequence[str | None], how: Resampling) -> tuple[Floats, Floats]:
    """What is drawn: sums [groups, metrics] and rows [groups]."""
    if not how.by_image:
        return values, np.ones(len(values))
    names = [f"image {name}" if name else f"row {row}" for row, name in enumerate(clusters)]
    groups: Ints = np.unique(np.array(names), return_inverse=True)[1]
    sums = np.zeros((groups.max() + 1, values.shape[1]))
    np.add.at(sums, groups, values)
    return sums, np.bincount(groups).astype(np.float64)


def _times_drawn(random: np.random.Generator, samples: int, groups: int) -> Floats:
    """[samples, groups]: how often each group is in each sample of as many groups, drawn with replacement."""
    drawn: NDArray[Any] = random.integers(0, groups, (samples, groups))
    drawn += (np.arange(samples) * groups)[:, None]
    counts: Floats = np.bincount(drawn.ravel(), minlength=samples * groups).astype(np.float64)
    return counts.reshape(samples, groups)
