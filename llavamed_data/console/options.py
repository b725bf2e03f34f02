"""Options that several commands of both command lines take."""

from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

option = partial(typer.Option, show_envvar=False)
"""A `typer.Option` whose help does not name the environment variable: one sentence of the help states them all."""

PricesFile = Annotated[
    Path | None, option(help="YAML file of prices in place of the built-in ones.", show_default=False)
]
RequestsPerMinute = Annotated[
    float | None, option(min=1, help="Requests a minute, at most.", show_default=False)
]
TokensPerMinute = Annotated[float | None, option(min=1, help="Tokens a minute, at most.", show_default=False)]
RequestTimeout = Annotated[
    float,
    option(
        min=1,
        help="Seconds that one request to an LLM may take; the first answer of a local model may take minutes.",
    ),
]
MaxCost = Annotated[
    float | None,
    option(min=0, help="Dollars; the run stops before it would cost more.", show_default=False),
]


class EngineName(StrEnum):
    """What runs the tasks of a command; the output is the same."""

    LOCAL = "local"
    RAY = "ray"
    SLURM = "slurm"


EngineFlag = Annotated[EngineName, option("--engine", help="What runs the work; the output is the same.")]
RayAddress = Annotated[
    str | None,
    option(
        help="HOST:PORT of a Ray cluster.", show_default="RAY_ADDRESS, else this machine's, else a new one"
    ),
]
Slurm = Annotated[
    list[str] | None,
    option(
        metavar="KEY=VALUE",
        help="A long option of sbatch, such as partition=cpu or time=04:00:00; may be given many times.",
        show_default=False,
    ),
]
