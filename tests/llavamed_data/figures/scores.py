"""Precision and recall of yes-or-no answers."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Score:
    right: int = 0
    false: int = 0
    missed: int = 0

    @property
    def precision(self) -> float:
        return self.right / max(1, self.right + self.false)

    @property
    def recall(self) -> float:
        return self.right / max(1, self.right + self.missed)

    def __add__(self, other: "Score") -> "Score":
        return Score(self.right + other.right, self.false + other.false, self.missed + other.missed)


def score(answers: Iterable[tuple[bool, bool]]) -> Score:
    """The score of pairs (said, true)."""
    pairs = list(answers)
    return Score(
        right=sum(said and true for said, true in pairs),
        false=sum(said and not true for said, true in pairs),
        missed=sum(true and not said for said, true in pairs),
    )
