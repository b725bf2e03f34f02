"""The commands together, and how a run ends: a table or one clear line, never a traceback."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml
from rich.console import Console
from rich.text import Text

from llavamed_data import __version__
from llavamed_data.cli.build import build, option
from llavamed_data.cli.clean import clean
from llavamed_data.cli.estimate import estimate
from llavamed_data.cli.exchange import export, import_
from llavamed_data.cli.extract import extract
from llavamed_data.cli.publish import publish
from llavamed_data.cli.show import browse, show
from llavamed_data.cli.stats import stats
from llavamed_data.cli.update import update
from llavamed_data.cli.validate import validate
from llavamed_data.errors import LlavaMedError, UsageError
from llavamed_data.pipeline.station import explain

app = typer.Typer(
    name="llavamed_data",
    help="From PubMed Central articles, or the released LLaVA-Med files, to Hugging Face datasets.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"auto_envvar_prefix": "LLAVAMED", "help_option_names": ["-h", "--help"]},
)
app.command()(build)
app.command()(extract)
app.command()(validate)
app.command()(update)
app.command()(estimate)
app.command()(publish)
app.command()(clean)
app.command()(export)
app.command("import")(import_)
app.command()(show)
app.command()(browse)
app.command()(stats)

_WRONG_CALL: type[Exception] = typer.BadParameter.__mro__[1]
"""The command-line library's own error for a wrong call; Typer names only this subclass of it."""

_STOPPED = 130


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def settings(
    context: typer.Context,
    config: Annotated[
        Path | None,
        option(help="YAML file of settings: {build: {source: …, work: …}}.", show_default=False),
    ] = None,
    _: Annotated[
        bool, option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Settings come from recipe, --config file, environment (LLAVAMED_BUILD_WORK=…), flag: later wins."""
    if config is not None:
        context.default_map = _settings(config, context)


def _settings(path: Path, context: typer.Context) -> dict[str, Any]:
    try:
        stated = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UsageError(f"the settings {path} cannot be read: {' '.join(str(error).split())}") from error
    if not isinstance(stated, dict) or not all(isinstance(part, dict) for part in stated.values()):
        raise UsageError(f"the settings {path} must be a table a command, such as build: {{work: DIR}}")
    commands: Mapping[str, Any] = context.command.commands  # type: ignore[attr-defined]
    for name, part in stated.items():
        known = {parameter.name for parameter in commands[name].params} if name in commands else set()
        if unknown := sorted(set(map(str, part)) - known):
            raise UsageError(f"the settings {path} name {', '.join(unknown)}, which {name} does not take")
    return stated


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
        code = _fail(explain(error, Path()), 1)
    except (KeyboardInterrupt, typer.Abort):
        code = _fail("stopped: run the same command again to go on, finished work is kept", _STOPPED)
    raise SystemExit(code if isinstance(code, int) else 0)


def _fail(message: str, code: int) -> int:
    line = "".join(mark if mark.isprintable() else " " for mark in message)
    Console(stderr=True, soft_wrap=True, highlight=False).print(Text(f"error: {line}"))
    return code
