"""Rows that could not be trained on, counted over all data workers and processes of a run."""

import json
import logging
import os
import tempfile
import weakref
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from llavamed_data.errors import LlavaMedError
from llavamed_trainer.collate.refusals import Fault

_log = logging.getLogger(__name__)

_DETAIL = 300
"""Characters kept of what is wrong with a row."""


class BadRowsError(LlavaMedError):
    """More rows than allowed could not be trained on.

    A `DataLoader` raises a worker's error again with the worker's traceback as its message; the one line that a
    user needs is its last.
    """

    def __init__(self, message: str) -> None:
        if "\n" in message:
            message = message.strip().splitlines()[-1].split(f"{type(self).__name__}: ", 1)[-1]
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class BadRow:
    """One row, and why it was left out.

    Attributes:
        id: the row's own, or `unnamed-` and a digest of its content.
        reason: one of `Fault`.
        detail: what about it, at most 300 characters.
    """

    id: str
    reason: Fault
    detail: str


class BadRows:
    """The rows that a run left out, each counted once however often it is met.

    The record is a file of JSON Lines, `{"id", "reason", "detail"}`; a line is appended in one write, and every
    process reads what the others appended. So the count is one for all data workers, forked or spawned, and for all
    processes that were given the same path. What the file lists beforehand counts: a run that is resumed goes on
    counting, a new run takes a new path.

        bad = BadRows(limit=100, path=Path("run/bad_rows.jsonl"))
        collator = LlavaMedCollator(processor, bad_rows=bad)
        ...
        bad.counts          # {<Fault.IMAGE_UNREADABLE>: 2}

    Args:
        limit: rows that may be lost; None: any number. 0 ends a run at the first.
        path: where the record is kept; without one it goes when this object goes.
    """

    def __init__(self, limit: int | None = None, path: Path | None = None) -> None:
        self.limit = limit
        self.path = Path(path) if path is not None else self._temporary()
        self._read = 0
        self._known: dict[str, BadRow] = {}

    def _temporary(self) -> Path:
        handle, name = tempfile.mkstemp(prefix="bad-rows-", suffix=".jsonl")
        os.close(handle)
        weakref.finalize(self, _remove, Path(name), os.getpid())
        return Path(name)

    @property
    def counts(self) -> dict[Fault, int]:
        """Rows by reason, the most frequent first."""
        return dict(Counter(row.reason for row in self).most_common())

    def __len__(self) -> int:
        self._catch_up()
        return len(self._known)

    def __iter__(self) -> Iterator[BadRow]:
        self._catch_up()
        return iter(list(self._known.values()))

    def add(self, row: BadRow) -> None:
        """Counts a row, once.

        Raises:
            BadRowsError: it is one too many; the message names it.
        """
        self._catch_up()
        detail = " ".join(row.detail.split())[:_DETAIL]
        if row.id not in self._known:
            _append(self.path, BadRow(row.id, row.reason, detail))
            _log.warning("row %s is not trained on: %s, %s", row.id, row.reason, detail)
        if self.limit is not None and len(self) > self.limit:
            reasons = ", ".join(f"{reason} {count:,}" for reason, count in self.counts.items())
            raise BadRowsError(
                f"{len(self):,} rows could not be trained on, {self.limit:,} are allowed ({reasons}); "
                f"the last is row {row.id}: {row.reason}, {detail}"
            )

    def _catch_up(self) -> None:
        size = self.path.stat().st_size if self.path.exists() else 0
        if size < self._read:  # a new record was begun
            self._read, self._known = 0, {}
        if size == self._read:
            return
        with self.path.open("rb") as file:
            file.seek(self._read)
            new = file.read()
        whole = new[: new.rfind(b"\n") + 1]
        self._read += len(whole)
        for line in whole.splitlines():
            row = json.loads(line)
            self._known.setdefault(row["id"], BadRow(row["id"], Fault(row["reason"]), row["detail"]))


def _append(path: Path, row: BadRow) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    line = json.dumps(asdict(row), ensure_ascii=False) + "\n"
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(handle, line.encode("utf-8", "replace"))
    finally:
        os.close(handle)


def _remove(path: Path, process: int) -> None:
    if os.getpid() == process:  # a forked worker has a copy of this object and must leave the file
        path.unlink(missing_ok=True)
