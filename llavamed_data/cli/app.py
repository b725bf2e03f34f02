"""The commands together, and where their settings come from."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from llavamed_data.cli.browse import browse
from llavamed_data.cli.build import build, estimate, extract, update
from llavamed_data.cli.datasets import clean, export, import_, publish, show, stats, validate
from llavamed_data.cli.review import review
from llavamed_data.console.command_line import Command, is_console_script, run_command_line
from llavamed_data.console.options import check_values
from llavamed_data.errors import UsageError, one_line
from llavamed_data.io.regular_files import read_settings
from llavamed_data.version import __version__

_EPILOG = (
    "Each flag can also stand in a file, `python -m llavamed_data --config FILE COMMAND`, or in the environment, as "
    "`LLAVAMED_COMMAND_FLAG`; the flag counts first, then the environment, then the file."
)

app = typer.Typer(
    name="llavamed_data",
    help="From PubMed Central articles, or the released LLaVA-Med files, to Hugging Face datasets.",
    no_args_is_help=True,
    add_completion=is_console_script(),
    pretty_exceptions_enable=False,
    context_settings={"auto_envvar_prefix": "LLAVAMED", "help_option_names": ["-h", "--help"]},
)
app.command(cls=Command, epilog=_EPILOG)(build)
app.command(cls=Command, epilog=_EPILOG)(extract)
app.command(cls=Command, epilog=_EPILOG)(validate)
app.command(cls=Command, epilog=_EPILOG)(update)
app.command(cls=Command, epilog=_EPILOG)(estimate)
app.command(cls=Command, epilog=_EPILOG)(publish)
app.command(cls=Command, epilog=_EPILOG)(clean)
app.command(cls=Command, epilog=_EPILOG)(export)
app.command("import", cls=Command, epilog=_EPILOG)(import_)
app.command(cls=Command, epilog=_EPILOG)(show)
app.command(
    cls=Command, hidden=True, context_settings={"ignore_unknown_options": True, "allow_extra_args": True}
)(browse)
app.command(cls=Command, epilog=_EPILOG)(review)
app.command(cls=Command, epilog=_EPILOG)(stats)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def settings(
    context: typer.Context,
    config: Annotated[
        Path | None,
        typer.Option(
            help="YAML file of settings, before the command: build: {source: …, work: …}", show_default=False
        ),
    ] = None,
    _: Annotated[
        bool,
        typer.Option(
            "--version", callback=_version, is_eager=True, show_envvar=False, help="Show the version."
        ),
    ] = False,
) -> None:
    """Settings come from recipe, --config file, environment (LLAVAMED_BUILD_WORK=…), flag: later wins."""
    if config is not None:
        context.default_map = _settings(config, context)


def _settings(path: Path, context: typer.Context) -> dict[str, Any]:
    try:
        stated = yaml.safe_load(read_settings(path)) or {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UsageError(f"the settings {path} cannot be read: {one_line(error)}") from error
    if not isinstance(stated, dict) or not all(isinstance(part, dict) for part in stated.values()):
        raise UsageError(f"the settings {path} must be a table a command, such as build: {{work: DIR}}")
    commands: Mapping[str, Any] = context.command.commands  # type: ignore[attr-defined]
    for name, part in stated.items():
        if name not in commands:
            raise UsageError(
                f"the settings {path} name {name}, which is no command: choose from {', '.join(commands)}"
            )
        known = _names_of(commands[name])
        if unknown := sorted(set(map(str, part)) - set(known)):
            raise UsageError(f"the settings {path} name {', '.join(unknown)}, which {name} does not take")
        stated[name] = {known[key]: value for key, value in part.items()}
        check_values(stated[name])
    return stated


def _names_of(command: Any) -> dict[str, str]:
    """Name of a setting → name of the parameter: that name itself, and each flag with `-` or `_` between words."""
    names = {each.name: each.name for each in command.params}
    for each in command.params:
        for flag in each.opts:
            if flag.startswith("--"):
                word = flag.removeprefix("--")
                names |= {word: each.name, word.replace("-", "_"): each.name}
    return names


def main() -> None:
    """Runs the command line and ends the process: 0 done, 1 failed, 2 wrong call."""
    run_command_line(app)
