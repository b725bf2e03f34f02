"""The flags that choose what runs the stations."""

from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from llavamed_data.console.progress import ProgressCallback
from llavamed_data.errors import UsageError

if TYPE_CHECKING:
    from llavamed_data.engine.local import Engine


class EngineName(StrEnum):
    """What runs the work; the output is the same."""

    LOCAL = "local"
    RAY = "ray"
    SLURM = "slurm"


EngineFlag = Annotated[
    EngineName,
    typer.Option("--engine", show_envvar=False, help="What runs the work; the output is the same."),
]
RayAddress = Annotated[
    str | None,
    typer.Option(
        show_envvar=False,
        help="HOST:PORT of a Ray cluster.",
        show_default="RAY_ADDRESS, else this machine's, else a new one",
    ),
]
Slurm = Annotated[
    list[str] | None,
    typer.Option(
        show_envvar=False,
        metavar="KEY=VALUE",
        help="A long option of sbatch, such as partition=cpu or time=04:00:00; may be given many times.",
        show_default=False,
    ),
]


def open_engine(
    name: EngineName,
    *,
    workers: int | None,
    ray_address: str | None,
    slurm: Sequence[str] | None,
    on_progress: "ProgressCallback | None",
) -> "Engine":
    """The engine that the flags ask for.

    Raises:
        UsageError: flags contradict, or what the engine needs is not installed.
    """
    if ray_address and name is not EngineName.RAY:
        raise UsageError("--ray-address goes with --engine ray")
    if slurm and name is not EngineName.SLURM:
        raise UsageError("--slurm goes with --engine slurm")
    if name is EngineName.RAY:
        from llavamed_data.engine.ray import RayEngine

        return RayEngine(workers=workers, on_progress=on_progress, address=ray_address)
    if name is EngineName.SLURM:
        from llavamed_data.engine.slurm import SlurmEngine

        return SlurmEngine(
            workers=workers, on_progress=on_progress, sbatch=dict(map(_key_value, slurm or ()))
        )
    from llavamed_data.engine.local import Engine

    return Engine(workers=workers, on_progress=on_progress)


def _key_value(stated: str) -> tuple[str, str]:
    key, sign, value = stated.partition("=")
    if not (key and sign and value):
        raise UsageError(f"--slurm {stated} must be KEY=VALUE, such as --slurm partition=cpu")
    return key.lstrip("-"), value
