"""Makes the commands of the command line from the calls of `llavamed_data.commands`.

A call's keywords are the command's flags, and its docstring is their help; what is stated here is only what a command
line has beside: arguments without a flag, choices, panels of the help, and what is printed.
"""

import inspect
import logging
import re
import sys
from collections.abc import Callable, Collection, Iterable, Mapping
from copy import copy
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, get_args, get_origin

import typer
from rich.console import Console

from llavamed_data.console.command_line import print_json
from llavamed_data.console.options import LEAST, flag_of
from llavamed_data.console.progress import progress_bars

Show = Callable[[Any, Console, Mapping[str, Any]], None]
"""Prints a result; takes it, the console, and the values of the command's flags."""

_NOT_FLAGS = frozenset({"options", "beside", "on_progress"})
"""What calls take in Python alone."""

_KINDS_OF_OUTPUT = {"as_json": bool, "quiet": bool, "verbose": int}
_OF_OUTPUT = {
    "as_json": typer.Option("--json", help="Print the result as JSON."),
    "quiet": typer.Option("--quiet", "-q", help="No progress, no tables, and no warnings."),
    "verbose": typer.Option(
        "--verbose",
        "-v",
        count=True,
        show_default=False,
        help="Log the steps to standard error; -vv: all there is.",
    ),
}
"""The flags that every command has."""

_FILES = frozenset(
    {
        "cleaning_rules",
        "conversations",
        "decisions",
        "few_shots",
        "flags",
        "folder",
        "out",
        "path",
        "pmcids",
        "prices",
        "work",
    }
)
"""What is a file or folder and nothing else; other places may be addresses or names on the Hub."""


def make_command(
    call: Callable[..., Any],
    show: Show,
    *,
    example: str,
    arguments: Collection[str] = (),
    types: Mapping[str, Any] | None = None,
    defaults: Mapping[str, str] | None = None,
    panels: Mapping[str, Iterable[str]] | None = None,
    exit_code: Callable[[Any], int] = lambda _: 0,
    prepare: Callable[[dict[str, Any], bool], None] | None = None,
) -> Callable[..., None]:
    """Makes the command of a call.

    Args:
        call: one of `llavamed_data.commands`.
        show: prints its result, unless `--json` or `--quiet` is given.
        example: a command line, for the end of the help.
        arguments: the parameters that are given without a flag.
        types: parameter → its type on the command line, where that is not the one of the call.
        defaults: parameter → its default in words.
        panels: title → the flags of that panel of the help.
        exit_code: of a result.
        prepare: changes the values of the flags before the call; takes them and whether JSON is printed.
    """
    about, texts = _described(call)
    panel_of = {name: title for title, names in (panels or {}).items() for name in names}
    made = []
    parameters = inspect.signature(call).parameters
    for name, parameter in parameters.items():
        if name in _NOT_FLAGS:
            continue
        kind = (types or {}).get(name) or _type_of(name, parameter.annotation)
        shown = (defaults or {}).get(name, parameter.default is not None)
        if name in arguments:
            stated: Any = typer.Argument(help=texts[name], show_default=shown)
        else:
            stated = typer.Option(
                *([flag_of(name)] if kind is bool or name.endswith("_") else []),
                help=texts[name],
                show_default=shown if kind is not bool else False,
                envvar=_environment_name(call, flag_of(name)) if name.endswith("_") else None,
                rich_help_panel=panel_of.get(name),
                metavar="KEY=VALUE" if name == "slurm" else None,
                min=LEAST.get(name),
            )
        made.append(_keyword(name, kind, parameter.default, stated))
    for name, kind in _KINDS_OF_OUTPUT.items():
        stated = copy(_OF_OUTPUT[name])
        stated.rich_help_panel = panel_of.get(name)
        stated.envvar = _environment_name(call, "--json") if name == "as_json" else None
        made.append(_keyword(name, kind, kind(), stated))
    order = [*arguments, *panel_of]
    made.sort(key=lambda each: order.index(each.name) if each.name in order else len(order))

    def command(*, as_json: bool, quiet: bool, verbose: int, **values: Any) -> None:
        set_log_level(verbose, quiet=quiet)
        if prepare:
            prepare(values, as_json)
        with progress_bars(quiet=quiet or as_json) as on_progress:
            result = call(**values, **({"on_progress": on_progress} if "on_progress" in parameters else {}))
        if as_json:
            print_json(_plain(result))
        elif not quiet:
            show(result, Console(), values)
        if code := exit_code(result):
            raise typer.Exit(code)

    command.__signature__ = inspect.Signature(made)  # type: ignore[attr-defined]
    command.__annotations__ = {each.name: each.annotation for each in made}
    command.__name__, command.__doc__ = call.__name__, f"{about}\n\nExample: {example}"
    return command


class _StandardError(logging.Handler):
    """Writes to what standard error is at the time: bars of progress replace it, so that lines go above them."""

    def emit(self, record: logging.LogRecord) -> None:
        """Writes one line."""
        try:
            sys.stderr.write(f"{self.format(record)}\n")
            sys.stderr.flush()
        except Exception:  # as each handler of the standard library does
            self.handleError(record)


def set_log_level(verbose: int, *, quiet: bool) -> None:
    """Sends the log of this toolkit to standard error: warnings, with `-v` steps, with `-vv` all of all libraries.

    Warnings are plain sentences; with `-v` each line says when and where it was written.
    """
    level = logging.ERROR if quiet else (logging.WARNING, logging.INFO, logging.DEBUG)[min(verbose, 2)]
    form = "%(asctime)s %(levelname)s %(name)s: %(message)s" if verbose else "%(message)s"
    logging.basicConfig(format=form, handlers=[_StandardError()])
    logging.getLogger("llavamed_data").setLevel(level)
    if verbose > 1:
        logging.getLogger().setLevel(level)


def _described(call: Callable[..., Any]) -> tuple[str, dict[str, str]]:
    """A call's docstring as help: what it does, and parameter → what is said of it."""
    about, _, rest = inspect.cleandoc(call.__doc__ or "").partition("\n\nArgs:\n")
    listed = rest.partition("\n\n")[0]
    entries = re.findall(r"^    (\w+): (.*(?:\n {8,}.*)*)", listed, re.MULTILINE)
    return about, {name: " ".join(text.split()) for name, text in entries}


def _environment_name(call: Callable[..., Any], flag: str) -> str:
    """The name of a flag in the environment, for one that has another name in Python."""
    return f"LLAVAMED_{call.__name__.strip('_')}_{flag.strip('-').replace('-', '_')}".upper()


def _keyword(name: str, kind: Any, default: Any, stated: Any) -> inspect.Parameter:
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[kind, stated]
    )


def _type_of(name: str, annotation: Any) -> Any:
    """The type on the command line: of several that a call takes, the one that words are made into."""
    if not isinstance(annotation, UnionType):
        return Path if name in _FILES else annotation
    members = [each for each in get_args(annotation) if each is not NoneType]
    kind: Any = members[0]
    if str in members:
        several = any(get_origin(each) for each in members)
        kind = list[str] if several else Path if name in _FILES else str
    return kind | None if NoneType in get_args(annotation) else kind


def _plain(result: Any) -> Any:
    if isinstance(result, list):
        return [_plain(each) for each in result]
    return result.to_dict() if hasattr(result, "to_dict") else result
