"""How a figure is written, in every format."""

from llavamed_trainer.evaluation.tables.fill import Cell, Marks, Row, Table

PAPER, OURS = "paper", "ours"


def lines_of(row: Row, table: Table) -> list[tuple[str, list[tuple[str, Marks]]]]:
    """The lines that a row becomes: who says it, then (figure, marks) of each column.

    The paper's line stands first, ours below it with the difference in brackets; either is left out where it has
    nothing to say.
    """
    lines = []
    if any(cell.paper is not None for cell in row.cells):
        printed = [(_figure(cell.paper, table.decimals), cell.marks) for cell in row.cells]
        lines.append((PAPER, printed))
    if row.is_measured:
        lines.append((OURS, [(_own(cell, table.decimals), cell.our_marks) for cell in row.cells]))
    return lines


def name_of(table: Table) -> str:
    """`Table 4 (a): …`, or the title alone."""
    if not table.number:
        return table.title
    part = table.number.lstrip("0123456789")
    number = table.number.removesuffix(part)
    return f"Table {number}{f' ({part})' if part else ''}: {table.title}"


def _figure(value: float | None, decimals: int) -> str:
    return "" if value is None else f"{value:.{decimals}f}"


def _own(cell: Cell, decimals: int) -> str:
    if cell.difference is None:
        return _figure(cell.ours, decimals)
    return f"{_figure(cell.ours, decimals)} ({cell.difference:+.{decimals}f})"
