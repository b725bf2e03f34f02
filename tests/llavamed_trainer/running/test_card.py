"""The loss curve in the model card of a run."""

import math
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageColor

from llavamed_data.charts import LIGHT
from llavamed_trainer.running.card import draw_curve, thin


def blue(picture: Path) -> list[tuple[int, int]]:
    """The pixels that have the colour of the curve."""
    image = Image.open(picture).convert("RGB")
    width, height = image.size
    pixels = image.load()
    colour = ImageColor.getrgb(LIGHT["first"])
    return [(x, y) for x in range(width) for y in range(height) if pixels[x, y] == colour]


def test_the_curve_of_a_falling_loss_falls(tmp_path: Path) -> None:
    draw_curve([(10, 2.0), (20, 1.0), (30, 0.0)], tmp_path / "loss.png")
    line = blue(tmp_path / "loss.png")
    (left, top), (right, bottom) = min(line), max(line)
    assert left < 110
    assert right > 1340
    assert top < 30  # 2.0 is the highest line of the scale
    assert bottom > 560  # 0 is the lowest


def test_a_loss_that_is_no_number_is_a_gap(tmp_path: Path) -> None:
    draw_curve([(1, 2.0), (2, 2.0), (3, math.nan), (4, math.inf), (5, 1.0), (6, 1.0)], tmp_path / "loss.png")
    assert not [x for x, _ in blue(tmp_path / "loss.png") if 600 < x < 1000]


def test_the_same_losses_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        draw_curve([(1, 3.0), (2, 2.5)], tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


@given(st.integers(0, 500), st.integers(2, 40))
def test_a_thinned_curve_keeps_its_ends_and_its_order(points: int, most: int) -> None:
    losses = [(step, 1.0) for step in range(points)]
    kept = thin(losses, most)
    assert len(kept) == min(points, most)
    assert kept == sorted(set(kept))
    if points:
        assert (kept[0], kept[-1]) == (losses[0], losses[-1])
