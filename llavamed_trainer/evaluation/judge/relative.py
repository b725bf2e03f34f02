"""Relative scores by question type and domain, as Table 1 groups them, and how far a judge looks at the order."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from llavamed_trainer.evaluation.judge.verdicts import Verdict
from llavamed_trainer.evaluation.predict.questions import Question

GROUPS: Mapping[str, Callable[[Question], bool]] = {
    "conversation": lambda question: question.question_type == "conversation",
    "detailed_description": lambda question: question.question_type == "detailed_description",
    "chest_xray": lambda question: question.domain == "chest_xray",
    "mri": lambda question: question.domain == "mri",
    "histology": lambda question: question.domain == "histology",
    "gross": lambda question: question.domain == "gross",
    "ct_scan": lambda question: question.domain == "ct_scan",
    "overall": lambda _: True,
}
"""Columns of Table 1. A question stands in one domain, the first flagged in this order: its row states that one."""


@dataclass(frozen=True, slots=True)
class Judged:
    """One question with the verdicts on it.

    Attributes:
        question: of the benchmark.
        first: the verdict with the reference first, as in the paper.
        second: with the answers swapped; None where that was not asked for.
    """

    question: Question
    first: Verdict
    second: Verdict | None


@dataclass(frozen=True, slots=True)
class Relative:
    """Relative scores of one group: the mean over its questions of candidate / reference x 100.

    Attributes:
        questions: how many.
        reference_first: as the paper's Table 1; None for a group without questions.
        swapped: with the candidate first.
        both: mean of the two orders.
    """

    questions: int
    reference_first: float | None
    swapped: float | None
    both: float | None


@dataclass(frozen=True, slots=True)
class PositionBias:
    """What the order does to the scores.

    Attributes:
        points: mean of what an answer gains, in points of 10, by standing first in place of second.
        flipped: share of questions whose winner (or draw) changes with the order.
    """

    points: float
    flipped: float


def table(judged: Sequence[Judged]) -> dict[str, Relative]:
    """Group → relative scores, in the order of Table 1's columns."""
    return {name: _relative([each for each in judged if of(each.question)]) for name, of in GROUPS.items()}


def position_bias(judged: Iterable[Judged]) -> PositionBias | None:
    """How the judge's scores change with the order; None where no question was judged in both."""
    pairs = [(each.first, each.second) for each in judged if each.second]
    if not pairs:
        return None
    gains = [
        ((first.reference - second.reference) + (second.candidate - first.candidate)) / 2
        for first, second in pairs
    ]
    return PositionBias(fmean(gains), fmean(_winner(first) != _winner(second) for first, second in pairs))


def _relative(judged: Sequence[Judged]) -> Relative:
    first = [_share(each.first) for each in judged]
    second = [_share(each.second) for each in judged if each.second]
    first_mean = fmean(first) if first else None
    second_mean = fmean(second) if second else None
    both = (first_mean + second_mean) / 2 if first_mean is not None and second_mean is not None else None
    return Relative(len(judged), first_mean, second_mean, both)


def _share(verdict: Verdict) -> float:
    return verdict.candidate / verdict.reference * 100


def _winner(verdict: Verdict) -> int:
    return (verdict.candidate > verdict.reference) - (verdict.candidate < verdict.reference)
