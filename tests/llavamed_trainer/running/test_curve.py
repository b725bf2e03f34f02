"""The loss curve of a card."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from llavamed_trainer.running.curve import draw_curve, thin


def blue(picture: Path) -> list[tuple[int, int]]:
    image = Image.open(picture).convert("RGB")
    width, height = image.size
    pixels = image.load()
    return [(x, y) for x in range(width) for y in range(height) if pixels[x, y] == (0x1F, 0x5F, 0xBF)]


def test_a_falling_loss_falls(tmp_path: Path) -> None:
    draw_curve([(10, 2.0), (20, 1.0), (30, 0.0)], tmp_path / "loss.png")
    line = blue(tmp_path / "loss.png")
    first, last = min(line), max(line)
    assert first[0] <= 112
    assert last[0] >= 1248
    assert first[1] < 70  # 2.0 of a scale to 2.1, from the top
    assert last[1] > 560  # 0 is the lowest line


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
