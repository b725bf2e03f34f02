"""Relative scores by question type and domain, as Table 1 groups them, and how the order changes a judge's scores."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from llavamed_trainer.evaluation.judge.chat_judge import ChatVerdict
from llavamed_trainer.evaluation.questions import Question

GROUPS: Mapping[str, str] = {
    "conversation": "Conversation",
    "detailed_description": "Description",
    "chest_xray": "CXR",
    "mri": "MRI",
    "histology": "Histology",
    "gross": "Gross",
    "ct_scan": "CT",
    "overall": "Overall",
}
"""Question types, domains and all questions, as the columns of Table 1 call them and in their order. A question counts
in one domain: the first flagged in this order, which its row states."""


@dataclass(frozen=True, slots=True)
class JudgedQuestion:
    """A question with the verdicts on its answers.

    Attributes:
        question: the question.
        reference_first: the verdict with the reference answer first, as in the paper.
        candidate_first: the verdict with the answers swapped; None if it was not asked for.
    """

    question: Question
    reference_first: ChatVerdict
    candidate_first: ChatVerdict | None


@dataclass(frozen=True, slots=True)
class RelativeScore:
    """The relative score of a group: the mean over its questions of candidate / reference x 100.

    Attributes:
        questions: number of questions.
        reference_first: the score as in the paper's Table 1; None for a group without questions.
        swapped: the score with the candidate first.
        both: mean of the two orders.
    """

    questions: int
    reference_first: float | None
    swapped: float | None
    both: float | None


@dataclass(frozen=True, slots=True)
class PositionBias:
    """How the order changes the scores.

    Attributes:
        points: mean of the points (of 10) that an answer gains if it stands first instead of second.
        flipped: share of questions whose winner (or draw) changes with the order.
    """

    points: float
    flipped: float


def relative_scores(judged: Sequence[JudgedQuestion]) -> dict[str, RelativeScore]:
    """Group → relative score, in the order of Table 1's columns."""
    return {
        group: _relative_score([each for each in judged if group in _groups_of(each.question)])
        for group in GROUPS
    }


def position_bias(judged: Iterable[JudgedQuestion]) -> PositionBias | None:
    """How the judge's scores change with the order; None if no question was judged in both orders."""
    pairs = [(each.reference_first, each.candidate_first) for each in judged if each.candidate_first]
    if not pairs:
        return None
    gains = [
        ((first.reference - second.reference) + (second.candidate - first.candidate)) / 2
        for first, second in pairs
    ]
    return PositionBias(fmean(gains), fmean(_winner(first) != _winner(second) for first, second in pairs))


def _relative_score(judged: Sequence[JudgedQuestion]) -> RelativeScore:
    first = [_percent(each.reference_first) for each in judged]
    second = [_percent(each.candidate_first) for each in judged if each.candidate_first]
    first_mean = fmean(first) if first else None
    second_mean = fmean(second) if second else None
    both = (first_mean + second_mean) / 2 if first_mean is not None and second_mean is not None else None
    return RelativeScore(len(judged), first_mean, second_mean, both)


def _groups_of(question: Question) -> tuple[str | None, ...]:
    return question.question_type, question.domain, "overall"


def _percent(verdict: ChatVerdict) -> float:
    return verdict.candidate / verdict.reference * 100


def _winner(verdict: ChatVerdict) -> int:
    return (verdict.candidate > verdict.reference) - (verdict.candidate < verdict.reference)
