"""Quality against cost: Table 11 as a picture."""

import math
from collections.abc import Sequence

from llavamed_data.charts import Drawing
from llavamed_trainer.evaluation.tables.fill import Row, Table

_WIDTH, _HEIGHT = 640.0, 360.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 56.0, 24.0, 24.0, 48.0
_LABEL = 130.0
"""Room for a point's label on its right; below it on the left where there is less."""
_SERIES = (("first", "paper"), ("second", "ours"))


def plots(table: Table) -> list[tuple[str, Drawing]]:
    """(title, drawing) of each part of Table 11: average score over hours of training, the paper's and ours."""
    return [(title, _plot(title, rows)) for title, rows in table.groups]


def _plot(title: str, rows: Sequence[Row]) -> Drawing:
    drawing = Drawing(_WIDTH, _HEIGHT, f"{title}: average score over hours of training")
    points = {kind: _points(rows, which) for kind, which in _SERIES}
    every = [point for some in points.values() for point in some]
    most = max(hours for hours, _, _ in every) * 1.08 or 1.0
    low, high = (bound(score for _, score, _ in every) for bound in (min, max))
    step = _step(high - low)
    floor, ceiling = math.floor(low / step) * step, math.ceil(high / step) * step
    ceiling += step * (ceiling == floor)

    def place(hours: float, score: float) -> tuple[float, float]:
        across = _LEFT + hours / most * (_WIDTH - _LEFT - _RIGHT)
        return across, _TOP + (ceiling - score) / (ceiling - floor) * (_HEIGHT - _TOP - _BOTTOM)

    _axes(drawing, most, floor, ceiling, step)
    for (kind, name), at in zip(_SERIES, (0, 90), strict=True):
        if points[kind]:
            _series(
                drawing, kind, name, [(*place(hours, score), label) for hours, score, label in points[kind]]
            )
            drawing.rect(_LEFT + at, 4, 10, 10, kind=kind, r=5)
            drawing.text(_LEFT + at + 16, 9, name, size=12)
    return drawing


def _points(rows: Sequence[Row], which: str) -> list[tuple[float, float, str]]:
    """(hours, score, label) of the rows that have both."""
    pairs = [(getattr(row.cells[1], which), getattr(row.cells[0], which), row.head[0]) for row in rows]
    return [(hours, score, label) for hours, score, label in pairs if hours is not None and score is not None]


def _step(span: float) -> float:
    """A round distance that cuts `span` into some five."""
    raw = max(span, 0.5) / 5
    power: float = 10 ** math.floor(math.log10(raw))
    return next(power * times for times in (1, 2, 5, 10) if power * times >= raw)


def _axes(drawing: Drawing, most: float, floor: float, ceiling: float, step: float) -> None:
    down = _HEIGHT - _TOP - _BOTTOM
    for index in range(round((ceiling - floor) / step) + 1):
        y = _TOP + down - index * step / (ceiling - floor) * down
        drawing.line(_LEFT, y, _WIDTH - _RIGHT, y)
        drawing.text(_LEFT - 8, y, f"{floor + index * step:g}", size=12, kind="muted", anchor="end")
    across = _step(most)
    for index in range(math.floor(most / across) + 1):
        x = _LEFT + index * across / most * (_WIDTH - _LEFT - _RIGHT)
        drawing.text(x, _HEIGHT - _BOTTOM + 16, f"{index * across:g}", size=12, kind="muted", anchor="middle")
    drawing.text(14, _TOP + down / 2, "average score", size=12, kind="muted", anchor="middle", turn=-90)
    drawing.text(_WIDTH / 2, _HEIGHT - 10, "hours of training", size=12, kind="muted", anchor="middle")


def _series(drawing: Drawing, kind: str, name: str, points: Sequence[tuple[float, float, str]]) -> None:
    for x, y, label in points:
        drawing.rect(x - 5, y - 5, 10, 10, kind=kind, r=5, hint=f"{label} ({name})")
        if x > _WIDTH - _LABEL:
            drawing.text(x - 9, y + 12, label, size=11, anchor="end")
        else:
            drawing.text(x + 9, y - 9, label, size=11)
