"""`clean`: applies the cleaning rules to a file of conversations."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from llavamed_data.cli.build import CleaningRulesFile
from llavamed_data.console.options import option

if TYPE_CHECKING:
    from llavamed_data.instruct.cleaning import CleaningEdit
    from llavamed_data.instruct.conversation_files import CleanSummary


def clean(
    conversations: Annotated[
        Path, typer.Argument(help="A JSON Lines file of conversations.", show_default=False)
    ],
    out: Annotated[
        Path | None,
        option(
            help="File for the cleaned conversations; without it, they are only counted.", show_default=False
        ),
    ] = None,
    cleaning_rules: CleaningRulesFile = None,
    explain: Annotated[
        bool, option("--explain", help="Show each change: the round, the rule, the text before and after.")
    ] = False,
) -> None:
    """Clean conversations of what gives away that they were written from a text, and count what each rule did.

    Example: python -m llavamed_data clean conversations.jsonl --explain
    """
    from llavamed_data.instruct import clean_file, load_cleaning_rules

    console = Console()

    def show(name: str, edit: "CleaningEdit") -> None:
        where = f"{name}, round {edit.round_index + 1}, {edit.side}: {edit.rule}"
        console.print(Text(where, style="bold"))
        console.print(Text(f"  - {edit.before}", style="red"))
        console.print(Text(f"  + {edit.after}" if edit.after else "  (the round is dropped)", style="green"))

    rules = load_cleaning_rules(cleaning_rules)
    summary = clean_file(conversations, out, rules=rules, on_edit=show if explain else None)
    console.print(summary_table(summary))


def summary_table(summary: "CleanSummary") -> Table:
    """The table that ends the command: the number of changes by rule."""
    table = Table(
        title=f"{summary.read:,} conversations: {summary.kept:,} kept, {summary.dropped:,} dropped; "
        f"{summary.rounds_kept:,} of {summary.rounds_read:,} rounds kept"
    )
    table.add_column("rule")
    table.add_column("changes", justify="right")
    for rule, count in summary.rules.most_common():
        table.add_row(rule, f"{count:,}")
    return table
