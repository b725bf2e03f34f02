"""What a user may rely on: compound figures are recognised by their gutters, and single ones are left alone."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from llavamed_data.figures import count_panels, inspect_image
from tests.llavamed_data.figures import tiling
from tests.llavamed_data.figures.phantoms import PHANTOMS
from tests.llavamed_data.figures.scores import score


def _photo(seed: int, size: tuple[int, int] = (200, 160)) -> Image.Image:
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(60, 200, (12, 15), dtype=np.uint8))
    return coarse.resize(size, Image.Resampling.BICUBIC)


def _grid(rows: int, columns: int, gap: int, ground: int) -> Image.Image:
    page = Image.new("L", (columns * (200 + gap) - gap, rows * (160 + gap) - gap), ground)
    for cell in range(rows * columns):
        page.paste(_photo(cell), (cell % columns * (200 + gap), cell // columns * (160 + gap)))
    return page


@pytest.mark.parametrize("ground", [255, 0])
@pytest.mark.parametrize("gap", [2, 8, 20])
@pytest.mark.parametrize(("rows", "columns"), [(1, 2), (2, 1), (2, 2), (1, 4), (3, 3)])
def test_panels_of_a_grid_are_counted(rows: int, columns: int, gap: int, ground: int) -> None:
    page = _grid(rows, columns, gap, ground)
    assert count_panels(page) == rows * columns


def test_one_wide_panel_over_two_is_three() -> None:
    page = Image.new("L", (410, 350), 255)
    page.paste(_photo(1, (410, 180)), (0, 0))
    page.paste(_photo(2, (200, 160)), (0, 190))
    page.paste(_photo(3, (200, 160)), (210, 190))
    assert count_panels(page) == 3


@pytest.mark.parametrize("domain", PHANTOMS)
def test_one_picture_is_one_panel_in_any_frame(domain: str) -> None:
    for seed in range(6):
        picture = PHANTOMS[domain](np.random.default_rng(seed))
        for ground in ("white", "black"):
            page = Image.new("RGB", (picture.width + 80, picture.height + 60), ground)
            page.paste(picture, (50, 20))
            assert count_panels(page) == 1, (domain, seed, ground)


def test_the_bars_of_a_chart_are_no_panels() -> None:
    page = Image.new("RGB", (420, 300), "white")
    for left, height, colour in ((60, 180, "steelblue"), (150, 90, "orange"), (240, 220, "steelblue")):
        page.paste(colour, (left, 280 - height, left + 60, 280))
    assert count_panels(page) == 1


def test_a_thin_line_down_the_middle_makes_no_panels() -> None:
    head = PHANTOMS["mri"](np.random.default_rng(3))
    middle = head.width // 2
    head.paste("white", (middle, 0, middle + 2, head.height * 9 // 10))
    assert count_panels(head) == 1


@pytest.mark.parametrize("mode", ["L", "P", "RGB", "RGBA", "LA", "CMYK", "I;16", "I", "F"])
def test_any_mode_and_any_size_has_an_answer(mode: str) -> None:
    page = _grid(1, 2, 10, 255)
    deep = Image.fromarray(np.asarray(page).astype(np.uint16) * 257)
    assert count_panels(deep if mode == "I;16" else page.convert(mode)) == 2
    assert count_panels(Image.new("L", (1, 1))) == 1
    assert count_panels(Image.new("RGB", (3, 900), "white")) == 1
    assert count_panels(Image.new("L", (5000, 40), 90)) == 1


def test_the_image_is_left_as_it_was() -> None:
    page = _grid(2, 2, 6, 255)
    before = page.tobytes()
    count_panels(page)
    assert page.tobytes() == before


def _assert_recall_and_precision(real: list[Image.Image], count: int) -> None:
    compounds = [figure for figure in tiling.compounds(1, count, real) if figure.gutter]
    singles = tiling.singles(1, len(compounds), real)
    found = score((count_panels(figure.image) > 1, figure.panels > 1) for figure in [*compounds, *singles])
    assert found.recall >= 0.95
    assert found.precision >= 0.95


@pytest.mark.slow
def test_phantoms_tiled_with_a_gutter_differ_from_single_ones() -> None:
    _assert_recall_and_precision([], 80)


@pytest.mark.slow
def test_real_images_tiled_with_a_gutter_differ_from_single_ones(shared_data: Path) -> None:
    _assert_recall_and_precision(tiling.real_images(shared_data, 1), 80)


@pytest.mark.slow
def test_most_figures_whose_panels_touch_are_recognised_too() -> None:
    compounds = [figure for figure in tiling.compounds(1, 90) if figure.gutter is None]
    assert score((count_panels(figure.image) > 1, True) for figure in compounds).recall >= 0.75


def test_panels_of_real_figures_are_counted_as_by_eye(shared_data: Path) -> None:
    folder = shared_data / "llava_med_eval" / "images"

    def panels(name: str) -> int:
        return count_panels(inspect_image((folder / f"{name}.jpg").read_bytes()).image)

    assert [name for name in tiling.SINGLE_EVAL if panels(name) > 1] == []
    missed = [name for name in tiling.COMPOUND_EVAL if panels(name) == 1]
    assert missed in (
        [],
        ["18652673_F3"],
    )  # four slices on black with a line of text below and a colour bar beside
