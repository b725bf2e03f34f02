"""Options that several commands of both command lines take."""

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

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
