"""The command `extract`: reads articles and writes one row a figure."""

from pathlib import Path
from typing import Annotated

from rich.console import Console

from llavamed_data.cli.build import HistoricalOcr, Limit, Pmcids, Query, Quiet, Source, Work, Workers
from llavamed_data.console.options import EngineFlag, EngineName, RayAddress, Slurm, option


def extract(
    source: Source,
    out: Annotated[Path, option(help="Parquet file of pairs, one row a figure.")],
    work: Work = Path(".llavamed"),
    limit: Limit = None,
    pmcids: Pmcids = None,
    query: Query = None,
    historical_ocr: HistoricalOcr = False,
    engine: EngineFlag = EngineName.LOCAL,
    workers: Workers = None,
    ray_address: RayAddress = None,
    slurm: Slurm = None,
    quiet: Quiet = False,
) -> None:
    """Write the figures, captions and inline mentions of articles to a Parquet file.

    Example: python -m llavamed_data extract --source jats:articles --out pairs.parquet
    """
    from llavamed_data.cli.tables import show_steps
    from llavamed_data.console.progress import progress_bars
    from llavamed_data.engine.open import open_engine
    from llavamed_data.pipeline.builds.pairs import extract_to_file
    from llavamed_data.sources import ArticleChoice

    with progress_bars(quiet=quiet) as on_progress:
        summary = extract_to_file(
            source,
            out,
            work=work,
            limit=limit,
            choice=ArticleChoice(pmcids, query),
            historical_ocr=historical_ocr,
            engine=open_engine(
                engine, workers=workers, ray_address=ray_address, slurm=slurm, on_progress=on_progress
            ),
        )
    if not quiet:
        show_steps(summary, Console())
        for note in summary.notes:
            Console().print(note, soft_wrap=True, highlight=False, markup=False)
        Console().print(f"{out}: {summary.steps[-1].tally.kept:,} pairs", soft_wrap=True, highlight=False)
