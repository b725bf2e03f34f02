"""What the tables hold, in the terminal."""

from collections.abc import Sequence
from pathlib import Path

from rich import table as rich_table
from rich.console import Console
from rich.text import Text

from llavamed_trainer.evaluation.tables.figures import name_of
from llavamed_trainer.evaluation.tables.fill import Table


def show_summary(tables: Sequence[Table], files: Sequence[Path], console: Console) -> None:
    """One line a table: how many of its figures are ours, and how far they lie from the paper's."""
    shown = rich_table.Table()
    for column in ("table", "figures", "ours", "mean difference"):
        shown.add_column(column, justify="left" if column == "table" else "right")
    for table in tables:
        cells = [cell for _, rows in table.groups for row in rows for cell in row.cells]
        ours = [cell for cell in cells if cell.ours is not None]
        apart = [cell.difference for cell in ours if cell.difference is not None]
        shown.add_row(
            Text(name_of(table), overflow="ellipsis", no_wrap=True),
            str(sum(cell.paper is not None for cell in cells) or ""),
            str(len(ours) or ""),
            f"{sum(apart) / len(apart):+.2f}" if apart else "",
        )
    console.print(shown)
    for path in files:
        console.print(Text(str(path)), soft_wrap=True)
