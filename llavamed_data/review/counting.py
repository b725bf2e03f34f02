"""Counts what came of reviewers' decisions, row by row, for reports and cards."""

from collections import Counter

from llavamed_data.console.printable import counted
from llavamed_data.reasons import Tally
from llavamed_data.review.decision_file import DecisionFile
from llavamed_data.review.decisions import Decision
from llavamed_data.review.following import Reviewed, fold, holding


class ReviewCount:
    """Counts what was decided about the rows of a dataset.

    Args:
        name: of the dataset.

    Attributes:
        tally: how many rows there were, were kept, and were dropped for which reason.
    """

    def __init__(self, name: str) -> None:
        self.tally = Tally()
        self._name = name
        self._done = Counter[str]()
        self._applied: set[str] = set()
        self._ids: set[str] = set()

    def add(self, row_id: str, reviewed: Reviewed | None) -> None:
        """Counts a row; `reviewed` is None where there are no decisions about it."""
        if reviewed is None:
            self.tally.keep()
            return
        self._ids.add(row_id)
        self._applied |= reviewed.applied
        self._done["reviewed"] += bool(reviewed.applied)
        self._done["disagreed"] += reviewed.review.disagree
        if reviewed.drop:
            self.tally.drop(reviewed.drop.reason)
            return
        self.tally.keep()
        self._done["accepted"] += reviewed.review.verdict == "accept"
        self._done["edited"] += bool(reviewed.review.texts or reviewed.review.deleted)
        self._done["given another domain"] += reviewed.review.domain is not None

    def not_followed(self, file: DecisionFile) -> tuple[list[Decision], int]:
        """The decisions about rows of this dataset that have changed since, and how many are about other rows."""
        left = [
            each
            for each in holding(file.decisions)
            if each.key not in self._applied and each.kind != "prefer"
        ]
        again = [each for each in left if each.id in self._ids and self._is_about(file, each)]
        return again, len(left) - len(again)

    def missing(self, file: DecisionFile) -> list[str]:
        """The ids of rows that were rejected, are not rejected any more, and that the dataset does not have."""
        ids = [name for name in file.ids if name not in self._ids and fold(file.of(name)).verdict != "reject"]
        return [
            name
            for name in ids
            if any(each.kind == "reject" and self._is_about(file, each) for each in file.of(name))
        ]

    def _is_about(self, file: DecisionFile, decision: Decision) -> bool:
        """Whether a decision is about this dataset; if none is by its name, it has another name now, and all are."""
        return decision.dataset == self._name or all(each.dataset != self._name for each in file.decisions)

    def sentence(self, file: DecisionFile, again: int) -> str:
        """What a card says.

        Args:
            file: the decisions.
            again: how many of them are about rows that have changed since.
        """
        reviewers = len({each.reviewer for each in file.decisions if each.key in self._applied})
        rejected = sum(self.tally.dropped.values())
        done = [f"{self._done[what]:,} {what}" for what in ("accepted", "edited", "given another domain")]
        said = (
            f"People reviewed {self._done['reviewed']:,} of {counted(self.tally.entered, 'row')} "
            f"({counted(reviewers, 'reviewer')}): {', '.join(done)}, {rejected:,} left out."
        )
        if self._done["disagreed"]:
            said += f" On {counted(self._done['disagreed'], 'row')} they disagreed; the last decision counts."
        if again:
            were = "was" if again == 1 else "were"
            said += f" {counted(again, 'decision')} about rows that have changed since {were} not followed."
        return said
