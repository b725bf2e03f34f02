"""Writes what datasets hold as a report: a page with all charts, and one picture of each for the dataset's card."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from hub_cards import CardPicture
from llavamed_data.charts import Spec, page_colours, to_png, to_svg
from llavamed_data.console.printable import page_templates, printable_line
from llavamed_data.dataset.layout import REPORT_FOLDER
from llavamed_data.errors import LlavaMedError
from llavamed_data.stats.charts import bars, histogram, sunburst
from llavamed_data.stats.counts import ENCODING, DatasetStats, mean, quantile, spread
from llavamed_data.stats.verb_noun import most_frequent

REPORT_PAGE = "index.html"

_CAPTIONS = "captions.json"
"""Name of the file that says of each picture what it shows, in the order of the page."""

_MOST_LICENCES = 12

_LEAST_PARSED = 0.3
"""Share of texts with a verb and a noun below which a wheel of them says little of the set."""

_VERBS_NOTE = (
    "The twenty most frequent root verbs with a direct noun object (inner ring) and up to four of each one's nouns "
    "(outer ring), from the first sentence of every turn, as in Figure 2 of the LLaVA-Med paper. The verbs are the "
    "parser's, which takes some questions (“What further details does it show?”) as “do”, as it did for the authors."
)
_DOMAINS_NOTE = "Distinct image files, and question–answer pairs, by imaging domain."
_LENGTHS_NOTE = "Shares of all texts; the last column holds the longest one of a hundred."
_LICENCES_NOTE = "Conversations by the licence of the article that the image is from."


@dataclass(frozen=True, slots=True)
class ReportChart:
    """One chart, and the numbers that it was made of.

    Attributes:
        name: of its picture's file, without suffix.
        caption: what it shows.
        spec: the chart.
        heading: names of the columns of `numbers`.
        numbers: a table, row by row.
        only: what the chart would show alone, as one bar; "" if it shows more, or nothing.
    """

    name: str
    caption: str
    spec: Spec
    heading: tuple[str, ...]
    numbers: tuple[tuple[object, ...], ...]
    only: str = ""


@dataclass(frozen=True, slots=True)
class ReportSection:
    """Charts under one title, with a sentence on how to read them."""

    title: str
    note: str
    charts: tuple[ReportChart, ...]


def write_report(sets: Sequence[DatasetStats], out: Path) -> list[Path]:
    """Writes the page, one PNG a chart and the pictures' captions into `out`; returns the paths, the page first."""
    sections = report_sections(sets)
    out.mkdir(parents=True, exist_ok=True)
    page = out / REPORT_PAGE
    page.write_text(_render(sets, sections), encoding="utf-8")
    written, captions = [page], {}
    for chart in (chart for section in sections for chart in section.charts):
        path = out / f"{chart.name}.png"
        path.write_bytes(to_png(chart.spec))
        written.append(path)
        captions[path.name] = chart.caption
    text = json.dumps(captions, indent=1, ensure_ascii=False)
    (out / _CAPTIONS).write_text(f"{text}\n", encoding="utf-8")
    return written


def default_folder(datasets: Sequence[str]) -> Path:
    """Where a report lies if nobody says: in the dataset's own folder, else in `stats` here."""
    if len(datasets) == 1 and Path(datasets[0]).is_dir():
        return Path(datasets[0]) / REPORT_FOLDER
    return Path(REPORT_FOLDER) / "-".join(Path(name).name for name in datasets)


def report_pictures(dataset: Path) -> list[CardPicture]:
    """The pictures of the report in a dataset's folder, with paths relative to that folder; [] without a report.

    Raises:
        LlavaMedError: the report is damaged.
    """
    path = dataset / REPORT_FOLDER / _CAPTIONS
    if not path.is_file():
        return []
    try:
        captions = json.loads(path.read_text(encoding="utf-8"))
        named = [
            CardPicture(str(caption), f"{REPORT_FOLDER}/{Path(name).name}")
            for name, caption in captions.items()
        ]
    except (ValueError, AttributeError) as error:
        raise LlavaMedError(
            f"{path} is damaged: delete {path.parent}, or make it anew (python -m llavamed_data stats {dataset})"
        ) from error
    return [picture for picture in named if (dataset / picture.path).is_file()]


def render_page(sets: Sequence[DatasetStats]) -> str:
    """The statistics of one set, or of two side by side, as one HTML file for light and dark screens.

    Text from the sets is escaped, no script may run (the page's policy allows none), nothing is loaded.
    """
    return _render(sets, report_sections(sets))


def report_sections(sets: Sequence[DatasetStats]) -> list[ReportSection]:
    """All charts of one or two sets, in the order of the page; what a sentence says as well is not drawn."""
    sections = []
    if any(side.verb_nouns for stats in sets for side in stats.sides.values()):
        wheels, too_few = _sunbursts(sets)
        note = _VERBS_NOTE if wheels else "Root verbs and direct nouns of the first sentence of every turn."
        title = "What is asked, and how it is answered"
        sections.append(ReportSection(title, " ".join([note, *too_few]), tuple(wheels)))
    domains = [
        _bars("images-by-domain", "Images", sets, [stats.images_by_domain for stats in sets]),
        _bars("pairs-by-domain", "Question–answer pairs", sets, [stats.pairs_by_domain for stats in sets]),
    ]
    licenses = [dict(stats.licenses.most_common(_MOST_LICENCES)) for stats in sets]
    by_licence = _bars("licences", "Conversations by licence", sets, licenses)
    sections.append(_section("Domains", _DOMAINS_NOTE, domains))
    sections.append(_section("Turns and lengths", _LENGTHS_NOTE, list(_lengths(sets))))
    sections.append(_section("Licences", _LICENCES_NOTE, [by_licence]))
    return sections


def _section(title: str, note: str, charts: Sequence[ReportChart]) -> ReportSection:
    """A section in which a chart of one bar is a sentence."""
    said = [f"{chart.caption}: {chart.only} for all." for chart in charts if chart.only]
    return ReportSection(title, " ".join([note, *said]), tuple(each for each in charts if not each.only))


def _sunbursts(sets: Sequence[DatasetStats]) -> tuple[list[ReportChart], list[str]]:
    """The wheels, and sentences on those that would show too few of the texts."""
    wheels, too_few = list[ReportChart](), list[str]()
    for side in ("instructions", "responses"):
        for number, stats in enumerate(sets, 1):
            counts = stats.sides[side].verb_nouns
            shown = most_frequent(counts)
            parsed = sum(count for pair, count in counts.items() if all(pair)) / (counts.total() or 1)
            of, place = (f" of {stats.name}", f"-{number}") if len(sets) > 1 else ("", "")
            share = f"{parsed:.0%} of {counts.total():,} with verb and noun"
            if parsed < _LEAST_PARSED:
                too_few.append(f"{side.capitalize()}{of}: only {share}, too few to be drawn.")
                continue
            chart = ReportChart(
                f"verbs-{side}{place}",
                f"{side.capitalize()}{of}: {share}",
                sunburst(shown, side),
                ("verb", "noun", "texts"),
                tuple((verb, noun, count) for verb, nouns in shown.items() for noun, count in nouns.items()),
            )
            wheels.append(chart)
    return wheels, too_few


def _lengths(sets: Sequence[DatasetStats]) -> Iterator[ReportChart]:
    rounds = [stats.rounds for stats in sets]
    yield _histogram("rounds", "Rounds of a conversation", "question–answer pairs", sets, rounds)
    for unit in ("words", "tokens"):
        for side in ("instructions", "responses"):
            counts = [getattr(stats.sides[side], unit) for stats in sets]
            if any(counts):
                yield _histogram(f"{unit}-{side}", f"Length of {side} in {unit}", unit, sets, counts)


def _bars(
    name: str, caption: str, sets: Sequence[DatasetStats], counts: Sequence[Mapping[str, int]]
) -> ReportChart:
    names = [stats.name for stats in sets]
    keys = dict.fromkeys(key for each in counts for key in each)
    numbers = tuple((key, *(each.get(key, 0) for each in counts)) for key in keys)
    spec = bars(list(zip(names, counts, strict=True)), caption)
    return ReportChart(name, caption, spec, ("", *names), numbers, _only(counts))


def _histogram(
    name: str,
    caption: str,
    unit: str,
    sets: Sequence[DatasetStats],
    counts: Sequence[Mapping[int, int]],
) -> ReportChart:
    named = [(stats.name, each) for stats, each in zip(sets, counts, strict=True)]
    numbers = tuple((set_name, sum(each.values()), *spread(each, 1)) for set_name, each in named if each)
    heading = ("set", "counted", "least", "median", "mean", "99th percentile", "most")
    spec = histogram(named, caption, unit)
    return ReportChart(name, caption, spec, heading, numbers, _only(counts, unit))


def _only(counts: Sequence[Mapping[Any, int]], unit: str = "") -> str:
    """The one name or number that is counted at all, with its unit; "" if there are several, or none."""
    keys = {key for each in counts for key, count in each.items() if count}
    return printable_line(f"{keys.pop()} {unit}", 80) if len(keys) == 1 else ""


def _render(sets: Sequence[DatasetStats], sections: Sequence[ReportSection]) -> str:
    summaries = [
        [
            (f"{stats.rows:,}", "conversations"),
            (f"{stats.images:,}", "images"),
            (f"{stats.pairs:,}", "question–answer pairs"),
            (f"{mean(stats.rounds):.1f}", "pairs in a conversation, mean"),
            (f"{quantile(stats.instructions.words, 0.5):,}", "words of an instruction, median"),
            (f"{quantile(stats.responses.words, 0.5):,}", "words of a response, median"),
        ]
        for stats in sets
    ]
    templates = page_templates("llavamed_data.stats", cell=_cell, svg=_drawing)
    return templates.get_template("page.html.j2").render(
        sets=sets,
        title=" and ".join(printable_line(stats.name, 60) for stats in sets),
        summaries=summaries,
        sections=sections,
        encoding=ENCODING if any(side.tokens for stats in sets for side in stats.sides.values()) else "",
        colours=Markup(page_colours()),  # noqa: S704  (no data in it)
    )


def _cell(value: object) -> str:
    return f"{value:,}" if isinstance(value, int | float) else printable_line(str(value), 200)


def _drawing(spec: Spec) -> Markup:
    return Markup(to_svg(spec))  # noqa: S704  (parsed and written again)
