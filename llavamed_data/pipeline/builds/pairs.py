"""Extraction alone, into one file: the call behind `python -m llavamed_data extract`."""

from pathlib import Path

from llavamed_data.engine.local import Engine
from llavamed_data.errors import UsageError
from llavamed_data.io.dropped import write_dropped
from llavamed_data.io.locks import lock_work_folder
from llavamed_data.io.parquet import read_rows, write_rows
from llavamed_data.pipeline.builds.articles import source_folder
from llavamed_data.pipeline.builds.summary import BuildSummary
from llavamed_data.pipeline.steps.extract import PAIRS, extract, pair_files
from llavamed_data.reasons import Dropped
from llavamed_data.sources.chosen_articles import Choice
from llavamed_data.sources.open import open_source


def extract_to_file(
    source: str,
    out: Path,
    *,
    work: Path,
    limit: int | None = None,
    choice: Choice | None = None,
    engine: Engine | None = None,
) -> BuildSummary:
    """Reads the articles of `source` and writes their pairs to `out`, what was dropped beside it.

    Args:
        source: `sample`, a folder or URL in the bucket's layout, `jats:PATH`, `packages:PATH`.
        out: Parquet file with the schema `files.PAIRS`; `<out>.dropped.parquet` holds id, reason and detail of
            every article and figure that was dropped.
        work: work folder; a rerun uses what is whole.
        limit: read at most this many articles.
        choice: which articles; all where None.
        engine: what runs the work.

    Raises:
        UsageError: the source or the place of `out` is wrong.
    """
    if out.is_dir():
        raise UsageError(f"{out} is a folder: name the Parquet file to write")
    if not out.parent.is_dir():
        raise UsageError(f"there is no folder {out.parent}: make it first")
    opened = open_source(source)
    summary = BuildSummary()
    with lock_work_folder(work):
        choice = choice or Choice()
        place = source_folder(work, opened, source, limit=limit, choice=choice.name)
        folder, articles = place / "extract", choice.articles(place)
        summary.record("extract", extract(opened, folder, limit=limit, articles=articles, engine=engine))
        dropped = sorted(folder.glob("dropped-*.parquet"))
        write_dropped(out.with_suffix(".dropped.parquet"), (Dropped(**row) for row in read_rows(dropped)))
        write_rows(out, PAIRS, read_rows(pair_files(folder)))
    return summary
