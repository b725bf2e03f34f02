"""The commands together, and how a run ends: a result or one clear line, never a traceback."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from llavamed_data import __version__
from llavamed_data.errors import LlavaMedError
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

_WRONG_CALL: type[Exception] = typer.BadParameter.__mro__[1]
"""The command-line library's own error for a wrong call; Typer names only this subclass of it."""

_STOPPED = 130


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
    try:
        code = app(standalone_mode=False)
    except _WRONG_CALL as error:
        code = _fail(f"{error.format_message()} (see --help)", 2)  # type: ignore[attr-defined]
    except LlavaMedError as error:
        code = _fail(str(error), error.exit_code)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    except OSError as error:
        from llavamed_data.pipeline.station import explain

        code = _fail(explain(error, Path()), 1)
    except (KeyboardInterrupt, typer.Abort):
        code = _fail("stopped: run the same command again to go on, finished work is kept", _STOPPED)
    raise SystemExit(code if isinstance(code, int) else 0)


def _fail(message: str, code: int) -> int:
    line = "".join(mark if mark.isprintable() else " " for mark in message)
    Console(stderr=True, soft_wrap=True, highlight=False).print(Text(f"error: {_who()}{line}"))
    return code


def _who() -> str:
    """Which process of several speaks."""
    return f"[process {os.environ['RANK']}] " if int(os.environ.get("WORLD_SIZE", "1")) > 1 else ""
