"""The file of what reviewers decide: one decision a line of JSON, and lines are only added."""

import os
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

import xxhash

from llavamed_data.dataset.reader import Dataset, Row
from llavamed_data.errors import LlavaMedError, UsageError, explain, one_line
from llavamed_data.io.jsonl import BOM, add_durably, json_line, parse_object
from llavamed_data.io.locks import locked_for_adding
from llavamed_data.io.regular_files import open_file, require_file
from llavamed_data.reasons import Drop, Reason
from llavamed_data.review.decisions import (
    CHANGING,
    SEEN_COLUMNS,
    Decision,
    DecisionKind,
    check_decision,
    images_part,
    row_digest,
)
from llavamed_data.review.following import Reviewed, fold, follow, forms_of, holding

_MOST_NAMED = 5
"""Lines of a file that are named one by one, if they are passed over."""

_BEGINS = b'{"decision":'
"""How a line of the file begins, also one that a crash left unfinished."""


class DecisionFile:
    """The decisions in a file, which other programs may be adding to.

    A line counts if it is whole JSON, also a last one without its line end. A last line that a crash left unfinished,
    and any other line that is no JSON, is passed over and said in `problems`.

    Args:
        path: the file.
        must_exist: whether it has to be there; else there are no decisions yet.

    Attributes:
        decisions: all decisions, in order.
        replaced: how often another file took the place of the one that had been read, or its lines were changed:
            `decisions` then holds those of the new one alone.

    Raises:
        UsageError: the file cannot be read or is missing, a line states something else than a decision, or no line of
            it is a decision.
    """

    def __init__(self, path: Path, *, must_exist: bool = False) -> None:
        if must_exist and not path.exists():
            raise UsageError(f"there is no file of decisions {path}: name the one that `review` wrote")
        self.path = path
        self.replaced = -1
        self._added: list[Decision] = []
        self._identity: tuple[int, int] | None = None
        self._forget()
        self.refresh()

    @property
    def problems(self) -> list[str]:
        """Sentences on lines that are passed over, and on a file that took the place of this one."""
        passed = "an unfinished or damaged line was passed over"
        said = [f"{self.path}, line {number}: {passed}" for number in self._damaged[:_MOST_NAMED]]
        if more := len(self._damaged) - len(said):
            said.append(
                f"{self.path}: {more:,} more damaged line{'s were' if more > 1 else ' was'} passed over"
            )
        if self._unfinished:
            said.append(f"{self.path}, line {self._lines + 1}: {passed}")
        if self.replaced:
            said.append(
                f"{self.path} was changed by hand, replaced or removed while it was open: what it holds now counts"
            )
        return said

    def refresh(self) -> list[Decision]:
        """Reads what was added, and returns what was read since the last time, by `decide` too.

        Raises:
            UsageError: as the class.
        """
        try:
            require_file(self.path)
            with open_file(self.path) as file:
                self._read(file)
        except FileNotFoundError:
            if self._identity is not None:
                self._forget()
        except OSError as error:
            raise UsageError(f"the decisions {self.path} cannot be read: {error.strerror}") from error
        added, self._added = self._added, []
        return added

    def of(self, row_id: str) -> Sequence[Decision]:
        """The decisions about rows of this id, in order."""
        return self._by_id.get(row_id, ())

    def about(self, row_id: str) -> list[Decision]:
        """The decisions about rows of this id, in order, without preferences, which say nothing of a row."""
        return [each for each in self.of(row_id) if each.kind is not DecisionKind.PREFER]

    def preferences(self, row_id: str) -> list[Decision]:
        """The preferences about rows of this id that are not taken back, in order."""
        return [each for each in holding(self.of(row_id)) if each.kind is DecisionKind.PREFER]

    @property
    def ids(self) -> Iterable[str]:
        """The ids that there are decisions about."""
        return self._by_id.keys()

    def review(self, row: Row, images: str | None = None, digest: str | None = None) -> Reviewed:
        """Follows the decisions about a row.

        Args:
            row: as `row_digest` takes it.
            images: what `images_digest` returns, if it is known.
            digest: what `row_digest` returns, if it is known.
        """
        row_id = row.get("id")
        return follow(self.about(row_id) if isinstance(row_id, str) else (), row, images, digest)

    def decide(
        self,
        row: Row,
        kind: DecisionKind,
        *,
        reviewer: str,
        dataset: str,
        images: str | None = None,
        key: str = "",
        check: Callable[[Row], None] = lambda _: None,
        **fields: Any,
    ) -> Decision:
        """Adds a decision about a row to the file; it is on the disk when this returns.

        Args:
            row: the row that the reviewer sees, as it stands in its dataset.
            kind: what the decision does.
            reviewer: who decides.
            dataset: name of the dataset.
            images: what `images_digest` returns, if it is known.
            key: the decision's own id, of the caller's making: a decision of this id that is in the file already is
                not added again. A new one by default.
            check: raises Drop for a row that the dataset may not hold; it is called with the row as it would become.
            **fields: the fields of the kind.

        Raises:
            UsageError: the decision cannot be made: a text is empty or not allowed, there is no such turn or domain, or
                nothing to undo.
            LlavaMedError: it cannot be written; it does not count then.
        """
        check_decision(row, kind, reviewer, fields)
        digest = row_digest(row, images)
        time = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        made = Decision(
            key or uuid.uuid4().hex, kind, row["id"], digest, digest, reviewer.strip(), time, dataset, fields
        )
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            require_file(self.path)
            with locked_for_adding(self.path) as file:
                self._read(file)
                if made.key in self._keys:
                    return next(each for each in self.decisions if each.key == made.key)
                made = self._finished(made, row, check)
                end = file.seek(0, os.SEEK_END)
                file.seek(max(end - 1, 0))
                unended = file.read(1) not in (b"", b"\n")  # what a crash left of a line gets a line end
                add_durably(file, (b"\n" if unended else b"") + json_line(made.to_json()))
                self._read(file)
        except UsageError:
            raise
        except OSError as error:
            raise LlavaMedError(f"the decision was not kept: {explain(error, self.path)}") from error
        return made

    def _finished(self, made: Decision, row: Row, check: Callable[[Row], None]) -> Decision:
        """The decision with its `after`, and of an undo what it takes back: it is about the same form of the row."""
        about = self.about(made.id)
        shown, undone = made.row, None
        if made.kind is DecisionKind.UNDO:
            undone = self._undone(made, row)
            made = replace(made, row=undone.row, after=undone.row, fields={"undoes": undone.key})
        if DecisionKind.PREFER in (made.kind, undone and undone.kind):
            return made
        forms = forms_of([*about, made], row, shown)
        form = next((each for each in reversed(forms) if each.digest == made.row), None)
        if form is None:  # about the row before the dataset was built
            if undone is None or undone.kind in CHANGING:
                raise UsageError(
                    f"{made.id} was built with this change, which cannot be undone here: undo it where it was made"
                )
            return replace(made, after=[each.after for each in about if each.row == made.row][-1])
        try:
            after = fold(form.decisions).edit(form.row)
            if made.kind in (DecisionKind.EDIT, DecisionKind.DELETE, DecisionKind.DOMAIN):
                check(after)
        except Drop as drop:
            if drop.reason is not Reason.NO_CONVERSATION:
                raise UsageError(f"this is not possible: {one_line(drop)}") from drop
            return made  # no round is left: the row is dropped
        return replace(made, after=row_digest(after, images_part(shown)))

    def _undone(self, made: Decision, row: Row) -> Decision:
        """The decision that an undo takes back: the one that it names, or the reviewer's last one about the row."""
        if key := made.fields.get("undoes"):
            found = [each for each in self.of(made.id) if each.key == key]
        else:
            applied = self.review(row, digest=made.row).applied
            about = (each for each in self.of(made.id) if each.row == made.row or each.key in applied)
            found = holding(each for each in about if each.reviewer == made.reviewer)
        if not found:
            raise UsageError(f"{made.reviewer} has decided nothing about {made.id} that could be undone")
        return found[-1]

    def _forget(self) -> None:
        """Begins anew, as another file, or none, has this name now."""
        self.replaced += 1
        self.decisions: list[Decision] = []
        self._by_id: dict[str, list[Decision]] = {}
        self._keys: set[str] = set()
        self._added = []
        self._damaged: list[int] = []
        self._unfinished, self._foreign = False, False
        self._offset, self._lines = 0, 0
        self._digest = xxhash.xxh3_64()
        self._identity = None
        self._state = (0, 0)

    def _read(self, file: BinaryIO) -> None:
        """Reads the lines behind those that are known."""
        status = os.fstat(file.fileno())
        identity, state = (status.st_dev, status.st_ino), (status.st_mtime_ns, status.st_size)
        if self._identity is not None and (
            identity != self._identity or (state != self._state and not self._begins_as_before(file))
        ):
            self._forget()
        self._identity, self._state = identity, state
        self._unfinished = False
        file.seek(self._offset)
        for line in file:
            text = (line.removeprefix(BOM) if self._offset == 0 else line).strip()
            ended = line.endswith(b"\n")
            if text and (stated := parse_object(text)) is not None:
                self._take(stated)
            elif text:
                self._foreign |= not text.startswith(_BEGINS[: len(text)])
                if not ended:
                    self._unfinished = True
                    break
                self._damaged.append(self._lines + 1)
            self._digest.update(line)
            self._offset += len(line)
            self._lines += ended
        if self._foreign and not self.decisions:
            raise UsageError(
                f"{self.path} holds no decision: give the file that `review` wrote, or a new one"
            )

    def _begins_as_before(self, file: BinaryIO) -> bool:
        """Whether the lines that were read are still there."""
        digest, left = xxhash.xxh3_64(), self._offset
        file.seek(0)
        while left and (data := file.read(min(left, 1 << 20))):
            digest.update(data)
            left -= len(data)
        return not left and digest.digest() == self._digest.digest()

    def _take(self, stated: Mapping[str, Any]) -> None:
        try:
            decision = Decision.from_json(stated)
        except ValueError as error:
            raise UsageError(
                f"{self.path}, line {self._lines + 1} is no decision: {error}; correct or remove this line"
            ) from error
        if decision.key in self._keys:
            return
        self._keys.add(decision.key)
        self.decisions.append(decision)
        self._added.append(decision)
        self._by_id.setdefault(decision.id, []).append(decision)


def decided_rows(dataset: Dataset, file: DecisionFile) -> Iterator[tuple[int, Row]]:
    """Yields number and row of each row of a dataset whose id there are decisions about.

    The rows have the columns of which a digest is made, with the images.
    """
    ids = set(file.ids)
    for number, row in enumerate(dataset.rows(["id"])):
        if row.get("id") in ids:
            yield number, dataset.row(number, [*SEEN_COLUMNS, "images"])
