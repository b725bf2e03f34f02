"""Options that several commands of both command lines take."""

import os
from collections.abc import Callable, Collection, Mapping
from enum import StrEnum
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, get_args, get_origin

import typer

from llavamed_data.console.printable import printable_line
from llavamed_data.errors import UsageError

LEAST = dict.fromkeys(("size", "limit", "best", "rpm", "tpm", "timeout", "workers", "sample"), 1) | {
    "max_cost": 0
}
"""Option → the least value that it takes."""

PricesFile = Annotated[
    Path | None, typer.Option(help="YAML file of prices in place of the built-in ones.", show_default=False)
]
RequestsPerMinute = Annotated[
    float | None, typer.Option(min=1, help="Requests a minute, at most.", show_default=False)
]
TokensPerMinute = Annotated[
    float | None, typer.Option(min=1, help="Tokens a minute, at most.", show_default=False)
]
RequestTimeout = Annotated[
    float,
    typer.Option(
        min=1,
        help="Seconds that one request to an LLM may take; the first answer of a local model may take minutes.",
    ),
]
MaxCost = Annotated[
    float | None,
    typer.Option(min=0, help="Dollars; the run stops before it would cost more.", show_default=False),
]


class EngineName(StrEnum):
    """What runs the tasks of a command; the output is the same."""

    LOCAL = "local"
    RAY = "ray"
    SLURM = "slurm"


EngineFlag = Annotated[
    EngineName, typer.Option("--engine", help="What runs the work; the output is the same.")
]
RayAddress = Annotated[
    str | None,
    typer.Option(
        help="HOST:PORT of a Ray cluster.", show_default="RAY_ADDRESS, else this machine's, else a new one"
    ),
]
Slurm = Annotated[
    list[str] | None,
    typer.Option(
        metavar="KEY=VALUE",
        help="A long option of sbatch, such as partition=cpu or time=04:00:00; may be given many times.",
        show_default=False,
    ),
]


def flag_of(name: str) -> str:
    """The flag of the command line that sets the option `name` of a Python call."""
    return f"--{name.strip('_').replace('_', '-')}"


def check_call(call: Callable[..., Any], values: Mapping[str, object]) -> None:
    """Checks what a Python call was given: keyword → value, which must be of the type that the call states for it.

    Types that are written as text, since they are not imported where the call is made, are not checked.

    Raises:
        UsageError: a value is not of its type, or as `check_value`.
    """
    for name, value in values.items():
        kind = call.__annotations__[name]
        if not isinstance(kind, str):
            check_type(name, value, kind)
    check_values(values)


def check_type(name: str, value: object, kind: Any) -> None:
    """Raises UsageError if the value of the keyword `name` is not of the type `kind`."""
    if not _is_of_type(value, kind):
        shown = printable_line(repr(value), 80) + (f" ({type(value).__name__})" if value is not None else "")
        raise UsageError(f"{name} takes {_type_in_words(kind)}, not {shown}")


def check_values(values: Mapping[str, object]) -> None:
    """Checks what a call was given: option → value.

    Raises:
        UsageError: as `check_value`.
    """
    for name, value in values.items():
        check_value(name, value)


def check_value(name: str, value: object) -> None:
    """Checks the value of one option.

    Raises:
        UsageError: it is an empty text, holds one, or is less than the least that the option takes.
    """
    texts = value if isinstance(value, list | tuple) else [value]
    if any(isinstance(text, str) and not text.strip() for text in texts):
        raise UsageError(f"{flag_of(name)} is empty: give it a value, or leave it out")
    least = LEAST.get(name)
    if least is not None and isinstance(value, int | float) and not value >= least:  # NaN is not either
        raise UsageError(f"{flag_of(name)} {value} is too small: give it {least} or more")


def _is_of_type(value: object, kind: Any) -> bool:
    """Whether a value is of a type; a bool is no number, an int is a float, and an iterator is not used up."""
    if isinstance(kind, UnionType):
        return any(_is_of_type(value, each) for each in get_args(kind))
    if listed := get_origin(kind):
        if not isinstance(value, listed) or isinstance(value, str | bytes):
            return False
        return not isinstance(value, Collection) or all(
            _is_of_type(each, get_args(kind)[0]) for each in value
        )
    if kind in (int, float):
        return isinstance(value, int | kind) and not isinstance(value, bool)
    return isinstance(value, os.PathLike if kind is Path else kind)


def _type_in_words(kind: Any) -> str:
    """`int or None`, `str, Path or a list of str`."""
    if isinstance(kind, UnionType):
        *others, last = map(_type_in_words, get_args(kind))
        return f"{', '.join(others)} or {last}"
    if get_origin(kind):
        return f"a list of {_type_in_words(get_args(kind)[0])}"
    return "None" if kind is NoneType else str(kind.__name__)
