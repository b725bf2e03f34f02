"""Plots Table 11: the average score over the hours of training, the paper's values beside ours."""

from collections.abc import Sequence

from llavamed_data.charts import Spec, as_spec, chart_of
from llavamed_data.console.printable import printable_line
from llavamed_trainer.evaluation.tables.table import Row, Table


def plots(table: Table) -> list[tuple[str, Spec]]:
    """(title, chart) of each part of Table 11."""
    return [(title, _plot(title, rows)) for title, rows in table.groups]


def _plot(title: str, rows: Sequence[Row]) -> Spec:
    """A point for each row that states both score and hours, with its name beside it."""
    import altair as alt

    points = []
    for series in ("paper", "ours"):
        for row in rows:
            score, hours = (getattr(cell, series) for cell in row.cells[:2])
            if score is not None and hours is not None:
                name = printable_line(row.head[0])
                hint = f"{name} ({series})"
                points.append({"series": series, "hours": hours, "score": score, "name": name, "hint": hint})
    # Where there is no room to the right of a point, its name stands to the left of it, and below.
    most = max(point["hours"] for point in points)
    right = f"datum.hours < {0.8 * most}"
    hours, scores = alt.Axis(grid=False, tickCount=8), alt.Axis(tickCount=6)
    base = chart_of(points).encode(
        x=alt.X(
            "hours:Q", title="hours of training", axis=hours, scale=alt.Scale(domain=[0, 1.08 * most or 1])
        ),
        y=alt.Y("score:Q", title="average score", axis=scores, scale=alt.Scale(padding=16, zero=False)),
    )
    legend = alt.Legend(values=sorted({point["series"] for point in points}, reverse=True))
    colour = alt.Color("series:N", scale=alt.Scale(domain=["paper", "ours"]), legend=legend)
    circles = base.mark_circle(size=80, opacity=1).encode(color=colour, description="hint:N")
    names = base.mark_text(
        align=alt.expr(f"{right} ? 'left' : 'right'"),
        dx=alt.expr(f"{right} ? 9 : -9"),
        dy=alt.expr(f"{right} ? -9 : 12"),
        fontSize=11,
        aria=False,
    )
    layers = [circles, names.encode(text="name:N")]
    return as_spec(layers, f"{title}: average score over hours of training", height=300)
