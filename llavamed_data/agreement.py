"""How far two agree on the same things, and how sure a share is: Cohen's kappa and Wilson's interval."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import TypeVar

_Key = TypeVar("_Key")


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far two agree on the rows that both gave a verdict.

    Attributes:
        one, other: reviewers, sources of flags, judges or metrics.
        rows: the rows that both gave a verdict.
        same: those on which the verdicts are the same.
        kappa: Cohen's kappa; None where it is not defined: no row, or both gave one and the same verdict throughout.
    """

    one: str
    other: str
    rows: int
    same: int
    kappa: float | None


def agreement(one: str, verdicts: Mapping[_Key, str], other: str, others: Mapping[_Key, str]) -> Agreement:
    """How far two agree.

    Args:
        one, other: their names.
        verdicts, others: row → verdict, or two rows → choice.
    """
    both = [(verdicts[row], others[row]) for row in verdicts.keys() & others.keys()]
    return Agreement(one, other, len(both), sum(a == b for a, b in both), cohens_kappa(both))


def cohens_kappa(pairs: Sequence[tuple[str, str]]) -> float | None:
    """Cohen's kappa of the verdicts of two on the same rows; None where it is not defined.

    >>> yes, no = "accept", "reject"
    >>> cohens_kappa([(yes, yes)] * 20 + [(yes, no)] * 5 + [(no, yes)] * 10 + [(no, no)] * 15)
    0.4
    """
    rows = len(pairs)
    if not rows:
        return None
    ones, others = Counter(one for one, _ in pairs), Counter(other for _, other in pairs)
    same = sum(one == other for one, other in pairs)
    by_chance = sum(ones[verdict] * others[verdict] for verdict in ones)
    if by_chance == rows * rows:
        return None
    return (rows * same - by_chance) / (rows * rows - by_chance)


def wilson(hits: int, trials: int, level: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval of a share; (0, 1) without trials.

    >>> low, high = wilson(1, 10)
    >>> f"{low:.4f} {high:.4f}"
    '0.0179 0.4042'
    """
    if not trials:
        return 0.0, 1.0
    z = NormalDist().inv_cdf((1 + level) / 2)
    share, squared = hits / trials, z * z / trials
    middle = (share + squared / 2) / (1 + squared)
    half = z / (1 + squared) * math.sqrt(share * (1 - share) / trials + squared / (4 * trials))
    return (0.0 if hits == 0 else middle - half), (1.0 if hits == trials else middle + half)
