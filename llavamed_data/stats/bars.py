"""Bars for counts of names and columns for counts of numbers, one or two sets on one scale."""

import math
from collections.abc import Mapping, Sequence

from llavamed_data.charts import SERIES, Drawing
from llavamed_data.console.printable import printable_line
from llavamed_data.stats.counts import quantile

_WIDTH = 680.0
_NAMES = 150.0
_VALUES = 86.0
_COLUMNS_HEIGHT = 190.0
_MOST_COLUMNS = 40
_NAME_SHOWN = 22


def bars(series: Sequence[tuple[str, Mapping[str, int]]], title: str) -> Drawing:
    """One bar a name and set, as long as its share of the set, with count and share beside it.

    Args:
        series: (set, name → count), one or two; names are drawn in the order of their first appearance.
        title: what is counted.
    """
    names = list(dict.fromkeys(name for _, counts in series for name in counts))
    thick, lines = (15.0, len(series))
    step = thick * lines + 13
    drawing = Drawing(_WIDTH, max(step * len(names), 20) + 6, title)
    totals = [sum(counts.values()) or 1 for _, counts in series]
    most = max(
        (
            count / total
            for (_, counts), total in zip(series, totals, strict=True)
            for count in counts.values()
        ),
        default=0,
    )
    for row, name in enumerate(names):
        top = row * step + 4
        drawing.text(_NAMES - 12, top + thick * lines / 2, printable_line(name, _NAME_SHOWN), anchor="end")
        for line, (_, counts) in enumerate(series):
            count, y = counts.get(name, 0), top + line * thick
            share = count / totals[line]
            wide = (_WIDTH - _NAMES - _VALUES - 10) * share / (most or 1)
            drawing.rect(
                _NAMES, y, wide, thick - 2, kind=SERIES[line], r=2, hint=f"{name}: {count:,} ({share:.1%})"
            )
            drawing.text(
                _NAMES + wide + 7, y + thick / 2 - 1, f"{count:,} · {share:.0%}", size=12, kind="muted"
            )
    return drawing


def columns(series: Sequence[tuple[str, Mapping[int, int]]], title: str, unit: str) -> Drawing:
    """A histogram of numbers with a line at each set's median.

    The scale ends at the 99th of 100; what lies beyond is in the last column. Sets are drawn as shares of their own
    total, so that sets of different size compare.

    Args:
        series: (set, number → count), one or two.
        title: what is counted.
        unit: what the numbers are.
    """
    drawing = Drawing(_WIDTH, _COLUMNS_HEIGHT + 44, title)
    filled = [counts for _, counts in series if counts]
    if not filled:
        drawing.text(_WIDTH / 2, 60, "not counted", kind="muted", anchor="middle")
        return drawing
    low = min(min(counts) for counts in filled)
    high = max(quantile(counts, 0.99) for counts in filled)
    width = max(1, math.ceil((high - low + 1) / _MOST_COLUMNS))
    number = (high - low) // width + 1
    shares = [_binned(counts, low, width, number) for _, counts in series]
    most = max(max(share) for share in shares) or 1.0
    slot = (_WIDTH - 20) / number
    thick = min(slot / len(series) - 1, 46.0 / len(series))
    top = 15.0 * len(series) + 14
    _ceiling(drawing, top, most)
    for line, share in enumerate(shares):
        for index, value in enumerate(share):
            first = low + index * width
            last = first + width - 1
            name = f"{first}" if width == 1 else f"{first}–{last}"
            tall = (_COLUMNS_HEIGHT - top) * value / most
            x = 10 + index * slot + (slot - thick * len(series)) / 2 + line * thick
            hint = f"{name}{' and more' if index == number - 1 and width > 1 else ''} {unit}: {value:.1%}"
            drawing.rect(x, _COLUMNS_HEIGHT - tall, thick, tall, kind=SERIES[line], r=1.5, hint=hint)
    drawing.line(10, _COLUMNS_HEIGHT, _WIDTH - 10, _COLUMNS_HEIGHT)
    _axis(drawing, low, width, number, slot, unit)
    for line, (_, counts) in enumerate(series):
        _median(drawing, counts, low, width, slot, line)
    return drawing


def _binned(counts: Mapping[int, int], low: int, width: int, number: int) -> list[float]:
    total = sum(counts.values()) or 1
    bins = [0.0] * number
    for value, count in counts.items():
        bins[min((value - low) // width, number - 1)] += count / total
    return bins


def _axis(drawing: Drawing, low: int, width: int, number: int, slot: float, unit: str) -> None:
    every = max(1, math.ceil(number / 12))
    for index in range(0, number, every):
        x = 10 + (index + 0.5) * slot
        drawing.text(
            x, _COLUMNS_HEIGHT + 13, f"{low + index * width}", size=12, kind="muted", anchor="middle"
        )
    drawing.text(_WIDTH / 2, _COLUMNS_HEIGHT + 33, unit, size=12.5, kind="muted", anchor="middle")


def _median(
    drawing: Drawing, counts: Mapping[int, int], low: int, width: int, slot: float, line: int
) -> None:
    if not counts:
        return
    middle = quantile(counts, 0.5)
    x = min(10 + ((middle - low) // width + 0.5) * slot, _WIDTH - 10)
    top = 8.0 + 15 * line
    drawing.line(x, top + 8, x, _COLUMNS_HEIGHT, kind="mark", dashes="3 3")
    anchor = "start" if x < 90 else "end" if x > _WIDTH - 90 else "middle"
    drawing.text(x, top, f"median {middle:,}", size=12, kind=SERIES[line], anchor=anchor)


def _ceiling(drawing: Drawing, top: float, most: float) -> None:
    """The share that the tallest column stands for."""
    drawing.line(10, top, _WIDTH - 10, top)
    drawing.text(_WIDTH - 10, top - 9, f"{most:.0%}", size=12, kind="muted", anchor="end")
