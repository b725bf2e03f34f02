"""What was found: faults, how many of each, and how they are shown."""

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table
from rich.text import Text

from llavamed_data.validation.checks import Check

FAULTS_A_CHECK = 20
"""Faults of one check that are kept; the rest are counted."""

ID_SHOWN = 120


class Finding(NamedTuple):
    """What is wrong within a row whose place the caller knows; `field` is a path such as `messages[0].role`."""

    check: Check
    field: str | None
    message: str


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong.

    Attributes:
        check: which check found it.
        message: what is wrong; one line, and short whatever the data hold.
        file: relative to the dataset's folder; None where no file is at fault.
        row: counted from 0 within `file`.
        id: the row's id, cut to 120 characters.
        field: the path within the row, such as `messages[0].content[1].text`.
    """

    check: Check
    message: str
    file: str | None = None
    row: int | None = None
    id: str | None = None
    field: str | None = None


@dataclass(slots=True)
class Report:
    """What `validate` found.

    Attributes:
        dataset: as it was called for.
        kind: whose schema the rows were held against; None if there was nothing to tell it from.
        shards: files read.
        rows: rows read.
        faults: the first 20 of each check, in the order found.
        totals: check → faults in all.
    """

    dataset: str
    kind: str | None = None
    shards: int = 0
    rows: int = 0
    faults: list[Fault] = field(default_factory=list)
    totals: Counter[Check] = field(default_factory=Counter)

    @property
    def ok(self) -> bool:
        """Whether nothing at all is wrong."""
        return not self.totals

    def add(self, fault: Fault) -> None:
        """Counts a fault, and keeps it if it is among the first of its check."""
        self.totals[fault.check] += 1
        if self.totals[fault.check] <= FAULTS_A_CHECK:
            self.faults.append(fault)

    def to_dict(self) -> dict[str, Any]:
        """For `--json`: plain values, totals by check in alphabetical order."""
        return {
            "dataset": self.dataset,
            "kind": self.kind,
            "ok": self.ok,
            "shards": self.shards,
            "rows": self.rows,
            "totals": {str(check): self.totals[check] for check in sorted(self.totals)},
            "faults": [{**asdict(fault), "check": str(fault.check)} for fault in self.faults],
        }

    def render(self, console: Console) -> None:
        """Prints one line if all is well, else a table of the faults: plain lines where there is no terminal.

        Nothing in the data can act on the terminal: markup is not read, control characters are written out.
        """
        if self.ok:
            _line(console, f"{self._read()}, no fault")
            return
        if console.is_terminal:
            console.print(self._table())
        else:
            for fault in self.faults:
                place = " ".join(part for part in _place(fault) if part)
                _line(
                    console,
                    f"{fault.check}: {place}: {fault.message}"
                    if place
                    else f"{fault.check}: {fault.message}",
                )
        _line(console, f"{self._read()}, {self._summary()}")

    def _table(self) -> Table:
        table = Table(title=Text(inert(self.dataset)))
        for heading in ("check", "file", "row", "id", "field", "what is wrong"):
            table.add_column(heading, overflow="fold", justify="right" if heading == "row" else "left")
        for fault in self.faults:
            cells = (str(fault.check), *_place(fault), fault.message)
            table.add_row(*(Text(inert(cell)) for cell in cells))
        return table

    def _read(self) -> str:
        return f"{self.dataset}: {_count(self.rows, 'row')} in {_count(self.shards, 'shard')}"

    def _summary(self) -> str:
        by_check = ", ".join(f"{check} {count:,}" for check, count in self.totals.most_common())
        left_out = self.totals.total() - len(self.faults)
        unseen = f"; {left_out:,} of them not listed" if left_out else ""
        return f"{_count(self.totals.total(), 'fault')} ({by_check}){unseen}"


def inert(text: str) -> str:
    """`text` with every character that is not printable (controls, escapes, direction marks) written as its code."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def _count(number: int, thing: str) -> str:
    return f"{number:,} {thing}" if number == 1 else f"{number:,} {thing}s"


def _place(fault: Fault) -> tuple[str, str, str, str]:
    row = "" if fault.row is None else str(fault.row)
    return fault.file or "", row, fault.id or "", fault.field or ""


def _line(console: Console, text: str) -> None:
    console.print(Text(inert(text)), soft_wrap=True)
