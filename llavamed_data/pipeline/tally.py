"""Counting what goes in, what is kept and what is dropped, so that nothing is lost silently."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from llavamed_data.reasons import Drop, Reason


@dataclass(slots=True)
class Tally:
    """Counts of one unit at one station; `entered` is always `kept` plus all of `dropped`.

    Attributes:
        kept: how many went on.
        dropped: reason → how many fell.
    """

    kept: int = 0
    dropped: dict[str, int] = field(default_factory=dict)

    @property
    def entered(self) -> int:
        """How many came in."""
        return self.kept + sum(self.dropped.values())

    def keep(self, count: int = 1) -> None:
        """Counts what goes on."""
        self.kept += count

    def drop(self, reason: Reason, count: int = 1) -> None:
        """Counts what falls for `reason`."""
        if count:
            self.dropped[reason.value] = self.dropped.get(reason.value, 0) + count

    def add(self, other: "Tally") -> None:
        """Adds the counts of another part of the same work."""
        self.kept += other.kept
        for reason, count in other.dropped.items():
            self.drop(Reason(reason), count)


def total(tallies: Iterable[Tally]) -> Tally:
    """One tally of many parts."""
    result = Tally()
    for tally in tallies:
        result.add(tally)
    return result


@dataclass(frozen=True, slots=True)
class Dropped:
    """One line of a `dropped` file: what fell, why, and a hint for who looks into it."""

    id: str
    reason: str
    detail: str

    @classmethod
    def of(cls, identifier: str, drop: Drop) -> "Dropped":
        """The line for a drop that was raised."""
        return cls(identifier, drop.reason.value, drop.detail)
