"""Extraction alone, into one file: the call behind `python -m llavamed_data extract`."""

from pathlib import Path

from llavamed_data.engine import Engine, LocalEngine
from llavamed_data.errors import UsageError
from llavamed_data.io.dropped import write_dropped
from llavamed_data.io.locks import lock_work_folder
from llavamed_data.io.parquet import read_rows, write_rows
from llavamed_data.pipeline.builds.articles import ArticleWork
from llavamed_data.pipeline.builds.ending import Build
from llavamed_data.pipeline.builds.options import BuildOptions
from llavamed_data.pipeline.builds.summary import BuildSummary
from llavamed_data.pipeline.steps.extract import PAIRS
from llavamed_data.reasons import Dropped
from llavamed_data.sources import ArticleChoice


def extract_to_file(
    source: str,
    out: Path,
    *,
    work: Path,
    limit: int | None = None,
    choice: ArticleChoice | None = None,
    historical_ocr: bool = False,
    engine: Engine | None = None,
) -> BuildSummary:
    """Reads the articles of `source` and writes their pairs to `out`, and what was dropped beside it.

    Args:
        source: `sample`, a folder or URL in the bucket's layout, `jats:PATH`, `packages:PATH`.
        out: Parquet file with the schema `PAIRS`; `<out>.dropped.parquet` holds id, reason and detail of every article
            and figure that was dropped.
        work: work folder; a rerun uses what is complete.
        limit: read at most this many articles.
        choice: which articles; all if None.
        historical_ocr: also read articles whose text OCR has read from scans of old journals.
        engine: what runs the tasks; all cores of this machine by default.

    Raises:
        UsageError: the source or the place of `out` is wrong.
    """
    if out.is_dir():
        raise UsageError(f"{out} is a folder: name the Parquet file to write")
    if not out.parent.is_dir():
        raise UsageError(f"there is no folder {out.parent}: make it first")
    choice = choice or ArticleChoice()
    options = BuildOptions(
        source=source,
        work=work,
        limit=limit,
        pmcids=choice.pmcids,
        query=choice.query,
        historical_ocr=historical_ocr,
    )
    build = Build(options, engine or LocalEngine())
    with lock_work_folder(work):
        extracted = ArticleWork(build).extract()
        dropped = (Dropped(**row) for row in read_rows(extracted.dropped_files))
        write_dropped(out.with_suffix(".dropped.parquet"), dropped)
        write_rows(out, PAIRS, read_rows(extracted.pair_files))
    return build.summary
