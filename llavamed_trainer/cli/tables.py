"""`tables`: results beside the paper's."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer


def tables(
    results: Annotated[Path, typer.Argument(help="Folder with the results of score, judge and sweep.")],
    output: Annotated[
        Path | None, typer.Option(help="Where the tables go.", show_default="RESULTS/tables")
    ] = None,
    card: Annotated[
        Path | None,
        typer.Option(
            help="A checkpoint's README.md that gets the scores as model-index.", show_default=False
        ),
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="With --card: whose scores, where there are several models'.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The tables as JSON on standard output.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No summary.")] = False,
) -> None:
    """Put results into Tables 1, 3, 4, 5, 9, 10, 11 and 12: Markdown, LaTeX and HTML with a plot.

    The paper's figures stand beside ours with the differences; its errors are marked.

    Example: python -m llavamed_trainer tables runs/ --output tables/
    """
    from dataclasses import asdict

    from rich.console import Console

    from llavamed_trainer.evaluation.tables import (
        card_results,
        collect,
        fill,
        to_html,
        to_latex,
        to_markdown,
        update_card,
    )
    from llavamed_trainer.evaluation.tables.summary import show_summary

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
        json.dump([asdict(table) for table in filled], sys.stdout, indent=1, ensure_ascii=False)
        sys.stdout.write("\n")
    elif not quiet:
        show_summary(filled, [folder / name for name in written], Console())
