"""The charts of a report: bars for counts of names, histograms for counts of numbers, a sunburst of verbs and nouns."""

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from llavamed_data.charts import WIDTH, Spec, as_spec, chart_of, empty_chart, integer_axis
from llavamed_data.console.printable import printable_line
from llavamed_data.stats.counts import quantile

if TYPE_CHECKING:
    import altair as alt

_MOST_BARS = 30
_MOST_COLUMNS = 40
_WIDEST_COLUMN = 46
"""Pixels, where all columns together have about `WIDTH`."""

_COLUMNS_HEIGHT = 150
_MEDIAN_HEIGHT = 16
"""Pixels above the columns for each set's median."""


def bars(series: Sequence[tuple[str, Mapping[str, int]]], title: str) -> Spec:
    """One bar for each name and set, as long as its share of the set, with count and share beside it.

    Args:
        series: (set, name → count), one or two; names are drawn in the order of their first appearance, those beyond
            the thirtieth as one.
        title: what is counted.
    """
    import altair as alt

    names = list(dict.fromkeys(name for _, counts in series for name in counts))
    if not names:
        return empty_chart("not counted", title)
    labels = {name: printable_line(name) for name in names[:_MOST_BARS]}
    labels |= dict.fromkeys(names[_MOST_BARS:], f"{len(names) - _MOST_BARS:,} others")
    sets, rows = _set_names(series), list[dict[str, Any]]()
    for set_name, (_, counts) in zip(sets, series, strict=True):
        labelled = Counter(dict.fromkeys(labels.values(), 0))
        for name, count in counts.items():
            labelled[labels[name]] += count
        for label, count in labelled.items():
            share = count / (labelled.total() or 1)
            value, hint = f"{count:,} · {share:.0%}", f"{label}: {count:,} ({share:.1%})"
            rows.append({"set": set_name, "label": label, "share": share, "value": value, "hint": hint})
    bands = alt.Scale(domain=list(dict.fromkeys(labels.values())), paddingInner=0.4 / len(sets))
    longest = max(row["share"] for row in rows) or 1.0
    base = chart_of(rows).encode(
        x=alt.X("share:Q", axis=None, stack=None, scale=alt.Scale(domain=[0, longest / 0.85])),
        y=alt.Y("label:N", title=None, scale=bands),
        yOffset=alt.YOffset("set:N", scale=alt.Scale(domain=sets, paddingInner=0.1)),
    )
    drawn = base.mark_bar(cornerRadiusEnd=2).encode(color=_set_colours(sets), description="hint:N")
    values = base.mark_text(align="left", dx=7, style="muted", aria=False).encode(text="value:N")
    return as_spec([drawn, values], title, height=alt.Step(17, **{"for": "offset"}))


def histogram(series: Sequence[tuple[str, Mapping[int, int]]], title: str, unit: str) -> Spec:
    """Columns for counts of numbers, as shares of each set's total, with a line at each set's median.

    The scale ends at the 99th percentile of the set with the higher one; what lies beyond is in the last column.

    Args:
        series: (set, number → count), one or two.
        title: what is counted.
        unit: what the numbers are.
    """
    import altair as alt

    filled = [counts for _, counts in series if counts]
    if not filled:
        return empty_chart("not counted", title)
    low = min(min(counts) for counts in filled)
    high = max(quantile(counts, 0.99) for counts in filled)
    width = math.ceil((high - low + 1) / _MOST_COLUMNS)
    columns = (high - low) // width + 1
    sets, rows, medians = _set_names(series), list[dict[str, Any]](), list[dict[str, Any]]()
    for place, (set_name, (_, counts)) in enumerate(zip(sets, series, strict=True)):
        if not counts:
            continue
        thick = width * min(0.94, _WIDEST_COLUMN * columns / WIDTH) / len(series)
        for first, share in _column_shares(counts, low, width, columns).items():
            numbers = f"{first}" if width == 1 else f"{first}–{first + width - 1}"
            more = " and more" if width > 1 and first == low + (columns - 1) * width else ""
            left = first + (width - 1) / 2 + thick * (place - len(series) / 2)
            hint = f"{numbers}{more} {unit}: {share:.1%}"
            rows.append({"set": set_name, "left": left, "right": left + thick, "share": share, "hint": hint})
        median, top = quantile(counts, 0.5), _MEDIAN_HEIGHT * (place + 0.5)
        label = f"median {median:,d}"
        medians.append({"set": set_name, "left": median, "label": label, "top": top})

    top = _MEDIAN_HEIGHT * len(series) + 4
    height = _COLUMNS_HEIGHT + top
    scale = alt.Scale(domain=[low - 0.5, low - 0.5 + columns * width], nice=False, zero=False)
    x = alt.X("left:Q", title=unit, axis=integer_axis(low, high), scale=scale)
    shares = alt.Axis(domain=False, format="%", tickCount=3, ticks=False)
    y = alt.Y("share:Q", title=None, axis=shares, scale=alt.Scale(range=[height, top], nice=False))
    colour = _set_colours(sets)
    drawn = chart_of(rows).mark_rect()
    drawn = drawn.encode(x=x, x2="right:Q", y=y, y2=alt.datum(0), color=colour, description="hint:N")
    base = chart_of(medians).encode(x=x)
    lines = base.mark_rule(strokeDash=[3, 3], aria=False).encode(y=alt.value(top), y2=alt.value("height"))
    align = alt.expr(f"scale('x', datum.left) < {WIDTH - 90} ? 'center' : 'right'")
    labels = base.mark_text(align=align, y=alt.expr("datum.top"), aria=False)
    return as_spec([drawn, lines, labels.encode(text="label:N", color=colour)], title, height=height)


def sunburst(verbs: Mapping[str, Mapping[str, int]], title: str) -> Spec:
    """Two rings, verbs inside and their nouns outside; each piece is as wide as its count (Figure 2 of the paper).

    A piece says its verb or noun where there is room for the word.

    Args:
        verbs: verb → noun → count, as `most_frequent` gives them; both in the order in which they are drawn.
        title: what they are the verbs and nouns of.
    """
    total = sum(sum(nouns.values()) for nouns in verbs.values())
    pieces: list[dict[str, Any]] = [{"id": 0}]
    for place, (verb, nouns) in enumerate(verbs.items()):
        verb_id = len(pieces)
        for noun, count in (("", sum(nouns.values())), *nouns.items()):
            pieces.append(
                {
                    "id": len(pieces),
                    "parent": verb_id if noun else 0,
                    "word": printable_line(noun or verb),
                    "count": count if noun else 0,  # the partition adds up the counts of a verb's nouns
                    "hue": 255 + 360 * place / len(verbs),
                    "hint": f"{printable_line(f'{verb} {noun}')}: {count:,} ({count / total:.1%} of those shown)",
                }
            )
    spec: dict[str, Any] = json.loads(
        files("llavamed_data.stats").joinpath("sunburst.vg.json").read_text(encoding="utf-8")
    )
    spec["description"] = f"Root verbs and direct nouns of {title}"
    spec["data"][0]["values"] = pieces
    note = "" if total else "no verb with a direct noun"
    spec["signals"] = [{"name": "title", "value": title}, {"name": "note", "value": note}]
    return spec


def _column_shares(counts: Mapping[int, int], low: int, width: int, columns: int) -> dict[int, float]:
    """The first number of a column → share of all counts; numbers beyond the last column are counted in it."""
    summed, total = Counter[int](), sum(counts.values())
    for value, count in counts.items():
        summed[low + width * min((value - low) // width, columns - 1)] += count
    return {first: count / total for first, count in sorted(summed.items())}


def _set_names(series: Sequence[tuple[str, object]]) -> list[str]:
    """The sets' names as a legend shows them: printable, and distinct where both sets have one name."""
    names = [printable_line(name, 60) for name, _ in series]
    return [f"{name} ({place + 1})" if names.count(name) > 1 else name for place, name in enumerate(names)]


def _set_colours(sets: Sequence[str]) -> "alt.Color":
    """The colour of each set, with a legend where there are several."""
    import altair as alt

    legend = alt.Undefined if len(sets) > 1 else None
    return alt.Color("set:N", scale=alt.Scale(domain=list(sets)), legend=legend)
