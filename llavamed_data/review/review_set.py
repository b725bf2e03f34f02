"""A dataset under review: what is shown of its rows, and the decisions that are made about them."""

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow.compute as pc

from llavamed_data.console.printable import counted
from llavamed_data.dataset.reader import Dataset, Row
from llavamed_data.dataset.schema import RowCheck, kind_of
from llavamed_data.errors import UsageError
from llavamed_data.review.decision_file import DecisionFile
from llavamed_data.review.decisions import SEEN_COLUMNS, Decision, DecisionKind, images_part, row_digest
from llavamed_data.review.filters import ReviewFilter, flag_names
from llavamed_data.review.flags import Flag, flags_of_row
from llavamed_data.review.row_index import UNDECIDED, RowIndex, RowState
from llavamed_data.review.row_view import RowView

_MOST_ROWS_BY_ROW = 200
"""If more rows than so many have new decisions, the texts of all rows are read in one go."""

_LONGEST_NAME = 100
"""Characters of a reviewer's name."""

_SHOWN_COLUMNS = (*SEEN_COLUMNS, "images", "pmcid", "pmid", "provenance")


class RowChangedError(UsageError):
    """The row that a decision is about is not as it was when it was shown."""


class ReviewSet:
    """A dataset under review; several threads may use it.

    Args:
        dataset: its folder, or a repository on the Hub.
        decisions: the file that decisions are added to.
        flags: id of a row → its flags.
        compare: another dataset of the same figures, for a blind comparison of their conversations.

    Raises:
        UsageError: there is no such dataset, a file cannot be read, or the two share no id.
        LlavaMedError: a shard cannot be read.

    Attributes:
        file: the decisions.
        flags: as given.
        name: of the dataset.
        other_name: of the dataset that it is compared with, or "".
        generation: how many times the datasets were read: the numbers of rows are those of one generation.
    """

    def __init__(
        self,
        dataset: str,
        decisions: Path,
        *,
        flags: Mapping[str, Sequence[Flag]] | None = None,
        compare: str | None = None,
    ) -> None:
        self._lock = threading.RLock()
        self._given, self._compare, self.flags = dataset, compare, flags or {}
        self.file = DecisionFile(decisions)
        self.generation, self._checks_images = 0, False
        self._open()
        ours, other = self._index.dataset, self._index.other
        if other and other.folder.resolve() == ours.folder.resolve():
            raise UsageError(f"{dataset} and {compare} are the same dataset: name another one with --compare")
        self.name, self.other_name = ours.bare_name, other.bare_name if other else ""
        if other and not self._index.shared:
            raise UsageError(
                f"{dataset} and {compare} share no id of a row: name two sets of the same figures"
            )

    @property
    def compares(self) -> bool:
        """Whether two datasets are compared."""
        return self._index.other is not None

    def __len__(self) -> int:
        return len(self._index)

    def refresh(self) -> bool:
        """Reads what other programs have decided, and the datasets anew if files changed; returns whether they have."""
        with self._lock:
            changed = not self._index.is_current()
            self._take_added(anew=changed)
            return changed

    def domains(self) -> list[str]:
        """The domains that rows have, in alphabetical order."""
        return sorted(each for each in pc.unique(self._index.domains).to_pylist() if each)

    def flag_names(self) -> list[str]:
        """`source` and `source: verdict` of the flags on rows, the most frequent first in each source."""
        return flag_names(self._index, self.flags)

    def find(self, wanted: ReviewFilter) -> Sequence[int]:
        """The numbers of the rows that are gone through, in their order."""
        return wanted.numbers(self._index, self.flags)

    def first_undecided(self, numbers: Sequence[int]) -> int:
        """The place of the first of these rows that has no verdict; 0 if all have one."""
        states = self._index.states
        return next((at for at, each in enumerate(numbers) if not states.get(each, UNDECIDED).verdict), 0)

    def first_to_compare(self, numbers: Sequence[int], reviewer: str) -> int:
        """The place of the first of these rows that the reviewer has not compared; 0 if there is none."""
        index = self._index
        done = {
            number
            for name, reviewers in index.compared.items()
            if reviewer.strip() in reviewers
            for number in index.numbers[name]
        }
        return next((place for place, each in enumerate(numbers) if each not in done), 0)

    def number_of(self, row_id: str) -> int:
        """The number of the first row of this id.

        Raises:
            UsageError: there is none.
        """
        if not row_id:
            raise UsageError("no id is given: write one first")
        number = self._index.number_of(row_id)
        if number is None:
            raise UsageError(f"{self.name} has no row {row_id}")
        return number

    def view(self, number: int) -> RowView:
        """What is shown of a row.

        Raises:
            RowChangedError: there is no row of that number any more.
        """
        index = self._index
        if not 0 <= number < len(index):
            raise RowChangedError("the row is not there any more: go to another one")
        seen = self._view(index.dataset, number)
        there = index.other_numbers.get(seen.row["id"])
        if index.other is None or there is None:
            return seen
        return replace(seen, other=self._view(index.other, there))

    def images(self, number: int, digest: str) -> Sequence[Row | None]:
        """The images of a row; none if they are no longer those of this digest.

        Raises:
            IndexError: there is no row of that number any more.
        """
        row = self._index.dataset.row(number, ["images"])
        return row.get("images") or () if images_part(row_digest(row)) == digest else ()

    def decide(self, view: RowView, kind: DecisionKind, reviewer: str, **fields: Any) -> Decision | None:
        """Adds a decision about a row that was shown; None if it says what holds already.

        Raises:
            RowChangedError: the row, or what others have made of it, has changed since it was shown.
            UsageError: it cannot be made.
            LlavaMedError: it cannot be written.
        """
        with self._lock:
            reviewer = _checked_name(reviewer)
            now = self.view(view.number)
            if now.digest != view.digest:
                raise RowChangedError("the dataset has changed meanwhile: look at the row again")
            if now.mark != view.mark and kind is not DecisionKind.NOTE:
                raise RowChangedError("the row was changed since it was shown here: look at it again")
            if now.holds_already(kind, reviewer, fields):
                return None
            if kind is DecisionKind.PREFER and self.preference(view, reviewer) == fields["choice"]:
                return None
            made = self.file.decide(
                now.row,
                kind,
                reviewer=reviewer,
                dataset=self.name,
                images=now.images,
                check=partial(self._check, now.row),
                **fields,
            )
            self._take_added()
            return made

    def undo(self, reviewer: str) -> tuple[Decision, int]:
        """Takes back the reviewer's last decision about rows as they are now; the last preference in a comparison.

        Returns:
            The decision that was taken back, and the number of its row.

        Raises:
            UsageError: there is none.
            LlavaMedError: it cannot be written.
        """
        with self._lock:
            reviewer = _checked_name(reviewer)
            own = [each for each in self.file.decisions if each.reviewer == reviewer]
            undone = {each.fields["undoes"] for each in own if each.kind is DecisionKind.UNDO}
            for last in reversed(own):
                if last.kind is DecisionKind.UNDO or last.key in undone:
                    continue
                view = self._decided_view(last)
                if view is None:
                    continue
                self.file.decide(
                    view.row,
                    DecisionKind.UNDO,
                    reviewer=reviewer,
                    dataset=self.name,
                    images=view.images,
                    undoes=last.key,
                )
                self._take_added()
                return last, view.number
            raise UsageError(f"{reviewer} has decided nothing here that could be undone")

    def preference(self, view: RowView, reviewer: str) -> str:
        """What a reviewer prefers of the two rows that are compared: `this`, `other`, `tie`, or "" if nothing yet."""
        if view.other is None:
            return ""
        choices = [
            each.fields["choice"]
            for each in self.file.preferences(view.row["id"])
            if (each.row, each.fields["other"], each.reviewer) == (view.digest, view.other.digest, reviewer)
        ]
        return choices[-1] if choices else ""

    def progress(self, domain: str = "") -> tuple[int, int, int, float, float]:
        """Rows, those with a verdict, those rejected, and the 95 % interval of the share that is rejected."""
        with self._lock:
            return self._index.progress(domain)

    def compared(self, reviewer: str) -> tuple[int, int]:
        """How many rows can be compared, and how many the reviewer has compared."""
        with self._lock:
            index = self._index
            done = sum(reviewer in each for name, each in index.compared.items() if index.numbers[name])
            return len(index.shared), done

    def problems(self) -> list[str]:
        """What is to be said of the files: lines that were passed over, and decisions and flags about other rows."""
        with self._lock:
            said = list(self.file.problems)
            of_others = sum(not each for each in self._index.numbers.values())
            for what, unknown in (("decisions", of_others), ("flags", self._unknown_flags)):
                if unknown:
                    ids = counted(unknown, "id")
                    said.append(f"{what} about {ids} that this dataset does not have are not shown")
            return said

    def check_images_later(self) -> None:
        """Does `check_images` beside the work of others."""
        self._checks_images = True
        threading.Thread(target=self.check_images, args=(0.02,), daemon=True).start()

    def check_images(self, pause: float = 0.0) -> None:
        """Finds the rows whose image alone has changed since they were decided about; slow, as it reads images.

        Args:
            pause: seconds between two rows, for the work of others.
        """
        with self._lock:
            numbers = [number for number, state in self._index.states.items() if not state.again]
        for number in numbers:
            time.sleep(pause)
            with self._lock:
                if number in self._index.states and number < len(self._index):
                    self._read_state(number)

    def _open(self) -> None:
        """Reads the datasets anew."""
        self._replaced = self.file.replaced
        dataset, other = Dataset(self._given), Dataset(self._compare) if self._compare else None
        index = RowIndex(dataset, other, self.file)
        self._row_check = RowCheck(kind_of(dataset.schema.names), ("id", "messages", "domain"))
        self._unknown_flags = len(self.flags) - len(index.known(self.flags))
        self._index = index
        self.generation += 1  # after the index, so that no numbers of the old one are taken for new ones

    def _take_added(self, *, anew: bool = False) -> None:
        """Takes in what was added to the file, by this program too; all of it if another file is there now."""
        added = self.file.refresh()
        if anew or self._replaced != self.file.replaced:
            self._open()
            if self._checks_images:
                self.check_images_later()
        else:
            self._update(added)

    def _update(self, decisions: Sequence[Decision]) -> None:
        """Takes new decisions into the states of their rows."""
        index, names = self._index, {each.id for each in decisions}
        if len(names) > _MOST_ROWS_BY_ROW:
            index.take_in(names)
            return
        for name in names:
            if name not in index.numbers:
                index.numbers[name] = pc.indices_nonzero(pc.equal(index.ids, name)).to_pylist()
            index.take_preferences_in(name)
            for number in index.numbers[name]:
                self._read_state(number)

    def _read_state(self, number: int) -> None:
        """Takes in the state of a row as its texts and images tell it."""
        view = self._view(self._index.dataset, number)
        self._index.set_state(number, RowState.of(view.reviewed, again=view.again))

    def _view(self, dataset: Dataset, number: int) -> RowView:
        """A row of one of the datasets, without the row that it is compared with."""
        row = dataset.row(number, _SHOWN_COLUMNS)
        digest = row_digest(row)
        reviewed = self.file.review(row, digest=digest)
        row_id = str(row["id"]) if isinstance(row.get("id"), str) else ""
        again = (
            bool(self.file.about(row_id))
            and not reviewed.applied
            and not self._decided_beside(number, row_id)
        )
        flags = flags_of_row(self.flags.get(row_id, ()), row)
        return RowView(number, row, digest, images_part(digest), reviewed, flags, again)

    def _decided_beside(self, number: int, row_id: str) -> bool:
        """Whether the decisions about an id are about another row of that id."""
        index = self._index
        return any(
            self.file.review(index.dataset.row(each, _SHOWN_COLUMNS)).applied
            for each in index.numbers.get(row_id, ())
            if each != number
        )

    def _decided_view(self, decision: Decision) -> RowView | None:
        """The row that a decision is about, if the dataset has it as it was then and this page makes such decisions."""
        if (decision.kind is DecisionKind.PREFER) is not self.compares:
            return None
        for number in self._index.numbers.get(decision.id, ()):
            view = self.view(number)
            compared = view.other.digest if view.other else None
            if (view.digest, compared) == (decision.row, decision.fields.get("other")):
                return view
            if not self.compares and decision.key in view.reviewed.applied:
                return view  # it was made before the dataset was built
        return None

    def _check(self, before: Row, after: Row) -> None:
        """Raises Drop for a text or domain that the dataset may not hold."""
        changed = {
            name: after.get(name) for name in ("messages", "domain") if after.get(name) != before.get(name)
        }
        self._row_check.check(changed)


def _checked_name(reviewer: object) -> str:
    """The name of a reviewer without spaces around it.

    Raises:
        UsageError: it is empty, too long or not one line of text.
    """
    name = reviewer.strip() if isinstance(reviewer, str) else ""
    if not name:
        raise UsageError("the reviewer's name is empty: every decision carries one")
    if len(name) > _LONGEST_NAME or not name.isprintable():
        raise UsageError(f"a reviewer's name is one line of at most {_LONGEST_NAME} characters")
    return name
