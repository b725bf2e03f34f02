"""The report on images that nobody can have any more, one line a pair: CSV, for people and their spreadsheets."""

import csv
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

LOST = "lost.csv"
COLUMNS = ("pair_id", "pmcid", "file", "reason", "detail")

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
"""What makes a spreadsheet run a cell instead of showing it (OWASP, "CSV Injection")."""


class LostImages:
    """Writes the report.

    Attributes:
        count: pairs in it so far.
    """

    def __init__(self, file: TextIO) -> None:
        self._lines = csv.writer(file, lineterminator="\n")
        self._lines.writerow(COLUMNS)
        self._seen: set[str] = set()

    @property
    def count(self) -> int:
        """Pairs in it so far."""
        return len(self._seen)

    def add(self, row: Mapping[str, Any], reason: str, detail: str) -> None:
        """Tells of a row's image, unless another row of the same pair did."""
        if row["pair_id"] not in self._seen:
            self._seen.add(row["pair_id"])
            cells = (row["pair_id"], row["pmcid"], row["file"] or row["image"], reason, detail)
            self._lines.writerow([inert(cell or "") for cell in cells])


@contextmanager
def write_lost(path: Path) -> Iterator[LostImages]:
    """A report at `path`, with no lines but its head where nothing is lost."""
    with path.open("w", encoding="utf-8", newline="") as file:
        yield LostImages(file)


def inert(cell: str) -> str:
    """`cell` as text that no spreadsheet takes for a formula.

    >>> inert("=HYPERLINK(1)")
    "'=HYPERLINK(1)"
    """
    return f"'{cell}" if cell.startswith(_FORMULA) else cell
