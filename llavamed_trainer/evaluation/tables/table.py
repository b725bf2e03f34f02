"""A table of the paper with our values beside: what every output format draws."""

from dataclasses import dataclass
from typing import TypeAlias

PAPER, OURS = "paper", "ours"

Marks: TypeAlias = tuple[str, ...]
"""Letters of notes below a table."""

Line: TypeAlias = tuple[str, list[tuple[str, Marks]]]
"""Whose values (`PAPER` or `OURS`), then text and marks of each column."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One value of the paper and ours, each with the letters of its notes below the table.

    Attributes:
        paper, ours: the values.
        marks, our_marks: the letters.
        behind: what is to stand behind our value, such as its interval.
    """

    paper: float | None
    ours: float | None
    marks: Marks = ()
    our_marks: Marks = ()
    behind: str = ""

    @property
    def difference(self) -> float | None:
        """Ours minus the paper's."""
        return None if self.paper is None or self.ours is None else self.ours - self.paper


@dataclass(frozen=True, slots=True)
class Row:
    """Head cells (a label, or the settings of training) and values."""

    head: tuple[str, ...]
    cells: tuple[Cell, ...]

    @property
    def is_measured(self) -> bool:
        """Whether there is a value of ours."""
        return any(cell.ours is not None for cell in self.cells)

    def lines(self, decimals: int) -> list[Line]:
        """The lines that the row becomes: the paper's, and below it ours with the difference in brackets.

        Either is left out if it has no values.
        """
        lines = list[Line]()
        if any(cell.paper is not None for cell in self.cells):
            lines.append((PAPER, [(_text(cell.paper, decimals), cell.marks) for cell in self.cells]))
        if self.is_measured:
            ours = []
            for cell in self.cells:
                text = _text(cell.ours, decimals)
                if cell.difference is not None:
                    text += f" ({cell.difference:+.{decimals}f})"
                if cell.ours is not None and cell.behind:
                    text += f" {cell.behind}"
                ours.append((text, cell.our_marks))
            lines.append((OURS, ours))
        return lines


@dataclass(frozen=True, slots=True)
class Table:
    """A table to draw.

    Attributes:
        number, title: number and title of the paper's table; no number for results that the paper has no row for.
        head, columns: labels of the head cells and of the values.
        decimals: decimal places of the values.
        groups: title and rows of each group.
        marked: letter → note: errors of the paper, and how our values came about.
        notes: notes without a letter.
        examples: whose answer, question, answer, right answer (Table 12).
    """

    number: str
    title: str
    head: tuple[str, ...]
    columns: tuple[str, ...]
    decimals: int
    groups: tuple[tuple[str, tuple[Row, ...]], ...]
    marked: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()
    examples: tuple[tuple[str, str, str, str], ...] = ()

    @property
    def heading(self) -> str:
        """`Table 4 (a): …`, or the title alone."""
        if not self.number:
            return self.title
        part = self.number.lstrip("0123456789")
        number = self.number.removesuffix(part)
        return f"Table {number}{f' ({part})' if part else ''}: {self.title}"


def _text(value: float | None, decimals: int) -> str:
    return "" if value is None else f"{value:.{decimals}f}"
