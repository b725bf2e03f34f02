"""`check`: checks that a model is ready to be served."""

from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from llavamed_data.console.command_line import print_json

if TYPE_CHECKING:
    from llavamed_trainer.serving import ServingReport


def check(
    model: Annotated[str, typer.Argument(help="Model: a folder, or a Hub name, which is downloaded.")],
    files_only: Annotated[
        bool, typer.Option("--files-only", help="Load no weights: look at the files alone, within seconds.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Check that a model is ready to be served, and show the commands of vLLM and llama.cpp that serve it.

    Ends with exit code 1 if something is wrong.

    Example: python -m llavamed_trainer check runs/stage2-60k-im
    """
    from transformers.utils import logging

    from llavamed_trainer.serving import check_model

    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    errors = Console(stderr=True)
    with errors.status("checking") as status:
        report = check_model(model, files_only=files_only, on_step=lambda words: status.update(words))
    if as_json:
        print_json(report.to_dict())
    else:
        _show(report, Console())
    if report.faults:
        raise typer.Exit(1)


def _show(report: "ServingReport", console: Console) -> None:
    table = Table.grid(padding=(0, 2))
    for each in report.checks:
        found = f" ({each.finding})" if each.finding else ""
        way_out = f"\n→ {each.way_out}" if each.way_out else ""
        style = {"ok": "green", "wrong": "bold red"}.get(each.result, "yellow")
        table.add_row(Text(each.result, style=style), Text(f"{each.check}{found}{way_out}"))
    console.print(table)
    for server in report.servers:
        words = {
            True: "takes such models",
            False: "does not take it",
            None: "is not known to take such models",
        }
        about = f": {server.finding}" if server.finding else ""
        line = f"{server.server} {words[server.supported]}{about}"
        console.print(line, markup=False, highlight=False, soft_wrap=True)
        for command in server.commands:
            console.print(f"    {command}", markup=False, highlight=False, soft_wrap=True)
    count = len(report.faults)
    console.print(
        "nothing is wrong" if not count else f"{count} {'thing is' if count == 1 else 'things are'} wrong",
        highlight=False,
    )
