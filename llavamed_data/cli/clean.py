"""`clean`: the cleaning rules on a file of conversations."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from llavamed_data.console.options import option


def clean(
    conversations: Annotated[Path, typer.Argument(help="JSON Lines of conversations.", show_default=False)],
    out: Annotated[Path | None, option(help="Where the cleaned ones go.", show_default=False)] = None,
    explain: Annotated[
        bool, option("--explain", help="Show which rule touched which turn, before and after.")
    ] = False,
) -> None:
    """Clean conversations by the rules, and count what each rule did.

    Example: python -m llavamed_data clean conversations.jsonl --explain
    """
    from llavamed_data.instruct import conversation_files

    console = Console()
    if explain:
        for name, touch in conversation_files.explain(conversations):
            console.print(conversation_files.show(name, touch))
    console.print(conversation_files.clean_file(conversations, out).table())
