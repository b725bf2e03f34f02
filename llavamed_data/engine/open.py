"""Opens the engine that the options of a command ask for."""

from collections.abc import Mapping, Sequence

from llavamed_data.console.options import EngineName
from llavamed_data.console.progress import ProgressCallback
from llavamed_data.engine.engine import Engine
from llavamed_data.errors import UsageError


def open_engine(
    name: EngineName,
    *,
    workers: int | None = None,
    ray_address: str | None = None,
    gpus: int = 0,
    slurm: Sequence[str] | None = None,
    slurm_defaults: Mapping[str, str] | None = None,
    on_progress: ProgressCallback | None = None,
) -> Engine:
    """Opens the engine `name`.

    Args:
        name: which engine.
        workers: the most tasks that run at a time.
        ray_address: of a Ray cluster.
        gpus: how many GPUs each task takes on Ray.
        slurm: long options of sbatch, as `KEY=VALUE`.
        slurm_defaults: what a job asks for where `slurm` does not say; the engine's own defaults if None.
        on_progress: called with what is being done, how much of it is done, and of how much.

    Raises:
        UsageError: an option does not go with this engine, or what the engine needs is not installed.
    """
    if (ray_address or gpus) and name is not EngineName.RAY:
        raise UsageError(f"{'--ray-address' if ray_address else '--gpus'} goes with --engine ray")
    if slurm and name is not EngineName.SLURM:
        raise UsageError("--slurm goes with --engine slurm")
    if name is EngineName.RAY:
        from llavamed_data.engine.ray import RayEngine

        return RayEngine(workers, on_progress, address=ray_address, gpus=gpus)
    if name is EngineName.SLURM:
        from llavamed_data.engine.slurm import DEFAULTS, SlurmEngine

        defaults = DEFAULTS if slurm_defaults is None else slurm_defaults
        return SlurmEngine(
            workers, on_progress, sbatch=dict(map(_key_and_value, slurm or ())), defaults=defaults
        )
    from llavamed_data.engine.local import LocalEngine

    return LocalEngine(workers, on_progress)


def _key_and_value(option: str) -> tuple[str, str]:
    key, sign, value = option.partition("=")
    if not (key and sign and value):
        raise UsageError(f"--slurm {option} must be KEY=VALUE, such as --slurm partition=cpu")
    return key.lstrip("-"), value
