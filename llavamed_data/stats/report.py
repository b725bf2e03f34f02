"""From datasets to the page and the pictures."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from llavamed_data.console.progress import ProgressCallback
from llavamed_data.dataset.reader import Dataset
from llavamed_data.errors import LlavaMedError, UsageError
from llavamed_data.stats.charts import sections
from llavamed_data.stats.counts import Stats, count
from llavamed_data.stats.gallery import PAGE, write_captions
from llavamed_data.stats.page import render_page
from llavamed_data.stats.phrases import load_parser, phrases

if TYPE_CHECKING:
    from spacy.language import Language

_SCALE = 2.0
"""Pixels of a picture for each unit of its drawing."""


def statistics(
    datasets: Sequence[str],
    *,
    sample: int | None = None,
    seed: int = 0,
    verbs: bool = True,
    spacy_model: str | None = None,
    processes: int | None = None,
    on_progress: ProgressCallback | None = None,
) -> list[Stats]:
    """Counts what one or two sets hold.

    Args:
        datasets: folders, or repositories on the Hub; two are compared.
        sample: measure lengths, verbs and nouns on so many conversations of each.
        seed: chooses the sample.
        verbs: parse for root verbs and direct nouns, which takes most of the time.
        spacy_model: name or path of the parser; by default the small English one.
        processes: that parse at a time; one a core by default.
        on_progress: called with what is being done, how much of it is done, and of how much.

    Raises:
        UsageError: not one or two sets, or one of them is no dataset, or the model is unknown.
        LlavaMedError: a set cannot be read; spaCy is wanted and missing.
    """
    if len(datasets) not in (1, 2):
        raise UsageError("give one dataset, or two to compare")
    parser = load_parser(spacy_model) if verbs else None
    opened = [Dataset(name) for name in datasets]
    made = [count(dataset, sample=sample, seed=seed, on_progress=on_progress) for dataset in opened]
    if parser is not None:
        for stats in made:
            _parse(stats, parser, processes or os.cpu_count() or 1, on_progress)
    return made


def write_report(sets: Sequence[Stats], out: Path) -> list[Path]:
    """Writes `index.html`, one PNG a chart and their captions into `out`; returns the paths, the page first.

    Raises:
        LlavaMedError: the package that draws PNG files is missing.
    """
    try:
        import vl_convert
    except ImportError as error:
        raise LlavaMedError("pictures need vl-convert: pip install 'llavamed-data[stats]'") from error
    out.mkdir(parents=True, exist_ok=True)
    page = out / PAGE
    page.write_text(render_page(sets), encoding="utf-8")
    written, captions = [page], {}
    for chart in (chart for section in sections(sets) for chart in section.charts):
        path = out / f"{chart.name}.png"
        path.write_bytes(vl_convert.svg_to_png(chart.drawing.alone(), scale=_SCALE))
        written.append(path)
        captions[path.name] = chart.caption
    write_captions(out, captions)
    return written


def _parse(stats: Stats, parser: "Language", processes: int, on_progress: ProgressCallback | None) -> None:
    total = sum(len(side.sentences) for side in stats.sides.values())
    done = 0

    def told(count: int) -> None:
        nonlocal done
        done += count
        if on_progress:
            on_progress(f"parse {stats.name}", done, total)

    for side in stats.sides.values():
        side.phrases = phrases(side.sentences, parser, processes=processes, on_progress=told)
