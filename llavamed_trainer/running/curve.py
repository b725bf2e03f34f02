"""The loss curve as a small picture: drawn with Pillow, as nothing more is needed."""

from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

_SIZE = (1280, 640)
_MARGINS = (110, 30, 30, 70)
"""Left, top, right, bottom."""
_INK, _FAINT, _LINE = "#222222", "#dddddd", "#1f5fbf"
_TICKS = 5


def draw_curve(losses: Sequence[tuple[int, float]], path: Path) -> None:
    """Writes the curve as PNG, the same bytes for the same losses.

    Args:
        losses: (step, loss), two or more, steps rising.
        path: where it goes.
    """
    picture = Image.new("RGB", _SIZE, "white")
    draw = ImageDraw.Draw(picture)
    font = ImageFont.load_default(22)
    (first, last), top = (losses[0][0], losses[-1][0]), max(loss for _, loss in losses) * 1.05 or 1.0
    left, high, right, low = _MARGINS[0], _MARGINS[1], _SIZE[0] - _MARGINS[2], _SIZE[1] - _MARGINS[3]

    def place(step: float, loss: float) -> tuple[float, float]:
        across = (step - first) / max(1, last - first)
        return left + across * (right - left), low - loss / top * (low - high)

    for tick in range(_TICKS + 1):
        loss, step = top * tick / _TICKS, first + (last - first) * tick / _TICKS
        _, y = place(first, loss)
        x, _ = place(step, 0)
        draw.line([(left, y), (right, y)], _FAINT, 2)
        draw.text((left - 12, y), f"{loss:.2f}", _INK, font, anchor="rm")
        draw.text((x, low + 14), f"{step:,.0f}", _INK, font, anchor="mt")
    draw.text(((left + right) / 2, _SIZE[1] - 8), "step", _INK, font, anchor="mb")
    draw.line([place(step, loss) for step, loss in losses], _LINE, 4, joint="curve")
    picture.save(path, optimize=True)


def thin(losses: Sequence[tuple[int, float]], most: int = 20) -> list[tuple[int, float]]:
    """At most so many of the points, evenly spread, the first and the last among them."""
    if len(losses) <= most:
        return list(losses)
    return [losses[round(place * (len(losses) - 1) / (most - 1))] for place in range(most)]
