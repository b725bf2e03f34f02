"""Draws the loss curve of a model's card."""

from collections.abc import Sequence
from pathlib import Path

from llavamed_data.charts import as_spec, chart_of, integer_axis, to_png


def draw_curve(losses: Sequence[tuple[int, float]], path: Path) -> None:
    """Writes the curve as PNG, the same bytes for the same losses.

    Args:
        losses: (training step, loss), two or more, steps rising.
        path: of the picture.
    """
    import altair as alt

    points = [{"step": step, "loss": loss} for step, loss in losses]
    curve = chart_of(points).mark_line(aria=False)
    first, last = losses[0][0], losses[-1][0]
    steps = alt.Scale(domain=[first, last], nice=False)
    curve = curve.encode(
        x=alt.X("step:Q", title="training step", axis=integer_axis(first, last), scale=steps),
        y=alt.Y("loss:Q", title="loss", axis=alt.Axis(tickCount=6)),
    )
    path.write_bytes(to_png(as_spec([curve], "Loss over the training steps of the run", height=280)))


def thin(losses: Sequence[tuple[int, float]], most: int = 20) -> list[tuple[int, float]]:
    """At most so many of the points, evenly spread, the first and the last among them."""
    if len(losses) <= most:
        return list(losses)
    return [losses[round(place * (len(losses) - 1) / (most - 1))] for place in range(most)]
