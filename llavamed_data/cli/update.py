"""The command `update`: builds datasets again from what their source holds now."""

from pathlib import Path
from typing import Annotated

from rich.console import Console

from llavamed_data.cli.build import AsJson, Quiet, Work, Workers
from llavamed_data.console.command_line import print_json
from llavamed_data.console.options import EngineFlag, EngineName, RayAddress, Slurm, option
from llavamed_data.engine.open import open_engine


def update(
    work: Work = Path(".llavamed"),
    source: Annotated[
        str | None, option(help="Rebuild only what was built from this source.", show_default="all sources")
    ] = None,
    engine: EngineFlag = EngineName.LOCAL,
    workers: Workers = None,
    ray_address: RayAddress = None,
    slurm: Slurm = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Rebuild the datasets of a work folder; only articles that have changed are read again.

    Example: python -m llavamed_data update --work .llavamed
    """
    from llavamed_data.cli.tables import show_build
    from llavamed_data.console.progress import progress_bars
    from llavamed_data.pipeline.builds.update import update as run

    with progress_bars(quiet=quiet or as_json) as on_progress:
        opened = open_engine(
            engine, workers=workers, ray_address=ray_address, slurm=slurm, on_progress=on_progress
        )
        summaries = run(work, source=source, engine=opened)
    if as_json:
        print_json([summary.to_dict() for summary in summaries])
    elif not quiet:
        for summary in summaries:
            show_build(summary, Console())
