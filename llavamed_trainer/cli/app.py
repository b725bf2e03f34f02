"""The command line: all commands, and how the process ends."""

import os
from typing import Annotated

import typer

from llavamed_data.console.command_line import Command, is_console_script, run_command_line
from llavamed_data.version import __version__
from llavamed_trainer.cli.assemble import assemble
from llavamed_trainer.cli.chat import chat
from llavamed_trainer.cli.check import check
from llavamed_trainer.cli.export_task import export_task
from llavamed_trainer.cli.judge import judge
from llavamed_trainer.cli.merge import merge
from llavamed_trainer.cli.plan import plan
from llavamed_trainer.cli.predict import predict
from llavamed_trainer.cli.score import score
from llavamed_trainer.cli.sweep import sweep
from llavamed_trainer.cli.tables import tables
from llavamed_trainer.cli.train import ANY_FLAG, train

app = typer.Typer(
    name="llavamed_trainer",
    help="Assemble, train and evaluate LLaVA-Med models.",
    no_args_is_help=True,
    add_completion=is_console_script(),
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command(cls=Command)(assemble)
app.command(cls=Command)(plan)
app.command(context_settings=ANY_FLAG)(train)
app.command(cls=Command)(merge)
app.command(cls=Command)(check)
app.command(cls=Command)(chat)
app.command(cls=Command)(predict)
app.command(cls=Command)(score)
app.command(cls=Command)(judge)
app.command(cls=Command)(tables)
app.command(cls=Command)(sweep)
app.command(cls=Command)(export_task)


def _show_version(asked: bool) -> None:
    if asked:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def settings(
    _: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Assemble, train and evaluate LLaVA-Med models."""


def main() -> None:
    """Runs the command line and ends the process: 0 done, 1 failed, 2 wrong call."""
    several = int(os.environ.get("WORLD_SIZE", "1")) > 1
    run_command_line(app, prefix=f"[process {os.environ['RANK']}] " if several else "")
