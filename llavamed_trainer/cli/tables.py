"""`tables`: the paper's tables with results of our own."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from llavamed_data.console.command_line import print_json

if TYPE_CHECKING:
    from llavamed_trainer.evaluation.tables import Table


def tables(
    results: Annotated[Path, typer.Argument(help="Folder with the results of score, judge and sweep.")],
    output: Annotated[
        Path | None, typer.Option(help="Folder of the tables.", show_default="RESULTS/tables")
    ] = None,
    card: Annotated[
        Path | None,
        typer.Option(
            help="README.md of a checkpoint to put the scores into, as model-index.", show_default=False
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            help="With --card: the model whose scores to take, if there are several.", show_default=False
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the tables as JSON.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No summary.")] = False,
) -> None:
    """Put results into Tables 1, 3, 4, 5, 9, 10, 11 and 12, as Markdown, LaTeX, and HTML with a plot.

    Our values stand below the paper's with the differences; errors of the paper are marked.

    Example: python -m llavamed_trainer tables runs/ --output tables/
    """
    from dataclasses import asdict

    from llavamed_trainer.evaluation.tables import (
        card_results,
        collect,
        fill,
        to_html,
        to_latex,
        to_markdown,
        update_card,
    )

    found = collect(results)
    filled = fill(found)
    folder = output or results / "tables"
    folder.mkdir(parents=True, exist_ok=True)
    written = {"tables.md": to_markdown, "tables.tex": to_latex, "tables.html": to_html}
    for name, render in written.items():
        (folder / name).write_text(render(filled), encoding="utf-8")
    if card:
        update_card(card, card_results(found, model))
    if as_json:
        print_json([asdict(table) for table in filled])
    elif not quiet:
        _show(filled, [folder / name for name in written])


def _show(filled: "Sequence[Table]", files: Sequence[Path]) -> None:
    """Prints one line a table: how many of its values are ours, and how far they are from the paper's."""
    from rich import table as rich_table
    from rich.console import Console
    from rich.text import Text

    console = Console()
    shown = rich_table.Table()
    for column in ("table", "values", "ours", "mean difference"):
        shown.add_column(column, justify="left" if column == "table" else "right")
    for table in filled:
        cells = [cell for _, rows in table.groups for row in rows for cell in row.cells]
        ours = [cell for cell in cells if cell.ours is not None]
        differences = [cell.difference for cell in ours if cell.difference is not None]
        shown.add_row(
            Text(table.heading, overflow="ellipsis", no_wrap=True),
            str(sum(cell.paper is not None for cell in cells) or ""),
            str(len(ours) or ""),
            f"{sum(differences) / len(differences):+.2f}" if differences else "",
        )
    console.print(shown)
    for path in files:
        console.print(Text(str(path)), soft_wrap=True)
