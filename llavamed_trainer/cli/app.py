"""The commands together."""

import os
from typing import Annotated

import typer

from llavamed_data.console.command_line import run_command_line
from llavamed_data.version import __version__
from llavamed_trainer.cli.assemble import assemble
from llavamed_trainer.cli.judge import judge
from llavamed_trainer.cli.plan import plan
from llavamed_trainer.cli.predict import predict
from llavamed_trainer.cli.score import score
from llavamed_trainer.cli.sweep import sweep
from llavamed_trainer.cli.tables import tables
from llavamed_trainer.cli.train import FLAGS_OF_OTHERS, train

app = typer.Typer(
    name="llavamed_trainer",
    help="LLaVA-Med's curriculum: assemble, plan, train, predict, score.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(assemble)
app.command()(plan)
app.command(context_settings=FLAGS_OF_OTHERS)(train)
app.command()(predict)
app.command()(score)
app.command()(judge)
app.command()(tables)
app.command()(sweep)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def settings(
    _: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """LLaVA-Med's curriculum: assemble, plan, train, predict, score."""


def main() -> None:
    """Runs the command line and ends the process: 0 done, 1 failed, 2 wrong call."""
    run_command_line(app, prefix=_process_prefix())


def _process_prefix() -> str:
    """Says which process an error is of, where several run."""
    return f"[process {os.environ['RANK']}] " if int(os.environ.get("WORLD_SIZE", "1")) > 1 else ""
