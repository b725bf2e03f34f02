"""Which charts a page and a card show of one set, or of two side by side."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from llavamed_data.charts import Drawing
from llavamed_data.stats.bars import bars, columns
from llavamed_data.stats.counts import Stats, mean, quantile
from llavamed_data.stats.phrases import top_phrases
from llavamed_data.stats.sunburst import sunburst

Cell = str | int | float


@dataclass(frozen=True, slots=True)
class Chart:
    """One drawing, and the numbers that it was made of.

    Attributes:
        name: of its file.
        caption: what it shows.
        drawing: itself.
        heading: of the columns of `numbers`.
        numbers: a line each.
    """

    name: str
    caption: str
    drawing: Drawing
    heading: tuple[str, ...]
    numbers: tuple[tuple[Cell, ...], ...]


@dataclass(frozen=True, slots=True)
class Section:
    """Charts under one title, with a sentence on how to read them."""

    title: str
    note: str
    charts: tuple[Chart, ...]


def sections(sets: Sequence[Stats]) -> list[Section]:
    """All charts of one or two sets, in the order of the page."""
    made = []
    if any(side.phrases for stats in sets for side in stats.sides.values()):
        made.append(Section("What is asked, and how it is answered", _VERBS_NOTE, _sunbursts(sets)))
    made.append(
        Section(
            "Domains", "Distinct image files, and question–answer pairs, by imaging domain.", _domains(sets)
        )
    )
    made.append(Section("Turns and lengths", _LENGTHS_NOTE, (_rounds(sets), *_lengths(sets))))
    made.append(
        Section(
            "Licences", "Conversations by the licence of the article that the image is from.", _licences(sets)
        )
    )
    if any(stats.years for stats in sets):
        made.append(Section("Years", "Conversations by the year that the set states.", (_years(sets),)))
    return made


_VERBS_NOTE = (
    "The twenty most frequent root verbs with a direct noun object (inner ring) and up to four of each one's nouns "
    "(outer ring), from the first sentence of every turn, as in Figure 2 of the LLaVA-Med paper. The verbs are the "
    "parser's, which takes some questions (“What further details does it show?”) as “do”, as it did for the authors."
)
_LENGTHS_NOTE = "Shares of all texts; the last column holds the longest one of a hundred."


def _sunbursts(sets: Sequence[Stats]) -> tuple[Chart, ...]:
    made = []
    for side in ("instructions", "responses"):
        for index, stats in enumerate(sets):
            counts = stats.sides[side].phrases
            shown = top_phrases(counts)
            found = sum(count for phrase, count in counts.items() if all(phrase))
            share = f"{found / (counts.total() or 1):.0%} of {counts.total():,} with verb and noun"
            of = f" of {stats.name}" if len(sets) > 1 else ""
            numbers = [(verb, noun, count) for verb, nouns in shown.items() for noun, count in nouns.items()]
            name = f"verbs-{side}" + (f"-{index + 1}" if len(sets) > 1 else "")
            caption = f"{side.capitalize()}{of}: {share}"
            made.append(
                Chart(name, caption, sunburst(shown, side), ("verb", "noun", "texts"), tuple(numbers))
            )
    return tuple(made)


def _domains(sets: Sequence[Stats]) -> tuple[Chart, ...]:
    return (
        _bars(sets, "images-by-domain", "Images", [stats.images_by_domain for stats in sets]),
        _bars(sets, "pairs-by-domain", "Question–answer pairs", [stats.pairs_by_domain for stats in sets]),
    )


def _rounds(sets: Sequence[Stats]) -> Chart:
    counts = [stats.rounds for stats in sets]
    return _columns(sets, "rounds", "Rounds of a conversation", counts, "question–answer pairs")


def _lengths(sets: Sequence[Stats]) -> list[Chart]:
    made = []
    for unit in ("words", "tokens"):
        for side in ("instructions", "responses"):
            counts = [getattr(stats.sides[side], unit) for stats in sets]
            if any(counts):
                caption = f"Length of {side} in {unit}"
                made.append(_columns(sets, f"{unit}-{side}", caption, counts, unit))
    return made


def _licences(sets: Sequence[Stats]) -> tuple[Chart, ...]:
    ranked = [dict(stats.licenses.most_common(12)) for stats in sets]
    return (_bars(sets, "licences", "Conversations by licence", ranked),)


def _years(sets: Sequence[Stats]) -> Chart:
    return _columns(sets, "years", "Conversations by year", [stats.years for stats in sets], "year")


def _bars(sets: Sequence[Stats], name: str, caption: str, counts: Sequence[Mapping[str, int]]) -> Chart:
    keys = dict.fromkeys(key for each in counts for key in each)
    numbers: tuple[tuple[Cell, ...], ...] = tuple(
        (key, *(each.get(key, 0) for each in counts)) for key in keys
    )
    heading = ("", *_names(sets))
    return Chart(name, caption, bars(list(zip(_names(sets), counts, strict=True)), caption), heading, numbers)


def _columns(
    sets: Sequence[Stats], name: str, caption: str, counts: Sequence[Mapping[int, int]], unit: str
) -> Chart:
    numbers = tuple(
        (
            stats.name,
            sum(each.values()),
            min(each),
            quantile(each, 0.5),
            round(mean(each), 1),
            quantile(each, 0.99),
            max(each),
        )
        for stats, each in zip(sets, counts, strict=True)
        if each
    )
    heading = ("set", "counted", "least", "median", "mean", "99th of 100", "most")
    drawing = columns(list(zip(_names(sets), counts, strict=True)), caption, unit)
    return Chart(name, caption, drawing, heading, numbers)


def _names(sets: Sequence[Stats]) -> list[str]:
    return [stats.name for stats in sets]
