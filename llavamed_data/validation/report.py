"""What a validation found: the checks by name, the faults, and the report that counts and shows them."""

from collections import Counter
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from llavamed_data.console.printable import counted, printable

_TABLE_WIDTH = 100
"""Characters below which the table of faults breaks words."""

FAULTS_KEPT = 20
"""How many faults of each check are kept; the rest are only counted."""


class Check(StrEnum):
    """The checks of a dataset, by the names that tables, `--json` and the schemas' `x-check` use."""

    SHARDS = "shards"
    """File names under `data/` are complete: `SPLIT-0000i-of-0000n.parquet`, every i once, nothing else."""
    DIGESTS = "digests"
    """Every shard is, byte for byte, the one whose SHA-256 the Croissant metadata state."""
    READABLE = "readable"
    """Every shard is Parquet and can be read to its last row."""
    COLUMNS = "columns"
    """The columns are those of the schema, in its order."""
    TYPES = "types"
    """Arrow types and the `huggingface` metadata are those of the schema, so that images decode."""
    ENCODING = "encoding"
    """Every value can be read; strings are UTF-8."""
    SCHEMA = "schema"
    """Every row follows the JSON Schema (violations that have no check of their own)."""
    IMAGES = "images"
    """Every row has exactly one image; rows of `eval` may have lost it, rows with choices may have several."""
    IMAGE_DECODES = "image-decodes"
    """Every image decodes to its last line, and has 8 bits a channel: a deeper one comes out white in RGB."""
    IMAGE_PART = "image-part"
    """Every row has one image part for each image, first in the first user turn."""
    LITERAL_IMAGE = "literal-image"
    """No text holds a literal `<image>`."""
    ROLES = "roles"
    """User and assistant take turns; the user begins, the assistant ends."""
    EMPTY_TURN = "empty-turn"
    """Every turn has a text; an answer of a benchmark may be empty, as its authors left it."""
    CHOICES = "choices"
    """Choices are two or more, none twice; the messages list them by letter, and the answer is one of the letters."""
    LEAKS = "leaks"
    """No generated answer refers to the text that it was made from ("the caption says …")."""
    IDS = "ids"
    """No two rows of the dataset have the same id."""
    LICENCE = "licence"
    """Every row and the card state a licence."""
    PROVENANCE = "provenance"
    """Every row states its source; all rows of a dataset state one recipe."""
    ARTICLES = "articles"
    """No article is both in the evaluation set and in a training set beside it."""
    CARD = "card"
    """There is a card, and its metadata can be read."""
    COUNTS = "counts"
    """The card's counts are those of the shards."""


@dataclass(frozen=True, slots=True)
class DatasetFault:
    """One thing that is wrong with a dataset.

    Attributes:
        check: the check that found it.
        message: what is wrong, on one line, cut to a bounded length.
        file: the file, relative to the dataset's folder; None if no file is at fault.
        row: the row's number within `file`, counted from 0.
        id: the row's id, cut to 120 characters.
        field: the path within the row or the card, such as `messages[0].content[1].text`.
    """

    check: Check
    message: str
    file: str | None = None
    row: int | None = None
    id: str | None = None
    field: str | None = None

    @property
    def place(self) -> str:
        """File, row, id and field in one text; empty if none of them is known."""
        return " ".join(part for part in self.place_cells() if part)

    def place_cells(self) -> tuple[str, str, str, str]:
        """File, row, id and field; those that are not known are empty."""
        return self.file or "", "" if self.row is None else str(self.row), self.id or "", self.field or ""


@dataclass(slots=True)
class ValidationReport:
    """What `validate` found.

    Attributes:
        dataset: the folder or repository as the caller named it.
        kind: the kind of dataset, which decides the schema; None if no shard could be read.
        shards: number of files read.
        rows: number of rows read.
        digests: number of shards whose digest was compared with the one that the metadata state.
        faults: the first 20 faults of each check, in the order in which they were found.
        totals: number of faults of each check.
    """

    dataset: str
    kind: str | None = None
    shards: int = 0
    rows: int = 0
    digests: int = 0
    faults: list[DatasetFault] = field(default_factory=list)
    totals: Counter[Check] = field(default_factory=Counter)

    @property
    def ok(self) -> bool:
        """Whether no fault was found."""
        return not self.totals

    def add(self, fault: DatasetFault) -> None:
        """Counts a fault, and keeps it if it is among the first 20 of its check."""
        self.totals[fault.check] += 1
        if self.totals[fault.check] <= FAULTS_KEPT:
            self.faults.append(fault)

    def to_dict(self) -> dict[str, Any]:
        """The report as printable values for `--json`; totals are sorted by check."""
        return {
            "dataset": self.dataset,
            "kind": self.kind,
            "ok": self.ok,
            "shards": self.shards,
            "rows": self.rows,
            "digests": "checked" if self.digests else "not checked",
            "totals": {str(check): self.totals[check] for check in sorted(self.totals)},
            "faults": [{**asdict(fault), "check": str(fault.check)} for fault in self.faults],
        }

    def render(self, console: Console) -> None:
        """Prints a summary line, after the faults: a table on a wide terminal, else one line for each.

        Nothing in the data can act on the terminal: markup is not interpreted, control characters are escaped.
        """
        read = f"{self.dataset}: {counted(self.rows, 'row')} in {counted(self.shards, 'shard')}"
        if self.ok:
            unchecked = "" if self.digests else "; digests: not checked (croissant.json states none)"
            _print_line(console, f"{read}, no fault{unchecked}")
            return
        if console.is_terminal and console.width >= _TABLE_WIDTH:
            console.print(self._table())
        else:
            for fault in self.faults:
                where = f"{fault.place}: " if fault.place else ""
                _print_line(console, f"{fault.check}: {where}{fault.message}")
        by_check = ", ".join(f"{check} {count:,}" for check, count in self.totals.most_common())
        unlisted = self.totals.total() - len(self.faults)
        rest = f"; {unlisted:,} of them not listed" if unlisted else ""
        _print_line(console, f"{read}, {counted(self.totals.total(), 'fault')} ({by_check}){rest}")

    def _table(self) -> Table:
        table = Table(title=Text(_escaped(self.dataset)))
        for heading in ("check", "file", "row", "id", "field", "what is wrong"):
            table.add_column(heading, overflow="fold", justify="right" if heading == "row" else "left")
        for fault in self.faults:
            cells = (str(fault.check), *fault.place_cells(), fault.message)
            table.add_row(*(Text(_escaped(cell)) for cell in cells))
        return table


def _escaped(text: str) -> str:
    return printable(text).replace("\n", r"\n")


def _print_line(console: Console, text: str) -> None:
    console.print(Text(_escaped(text)), soft_wrap=True)
