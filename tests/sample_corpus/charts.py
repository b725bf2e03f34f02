"""What is not a medical image: bar charts, survival curves, flow charts; and figures of several panels."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from tests.sample_corpus.canvas import label

INK = (30, 30, 30)
PALETTE = ((64, 105, 160), (214, 122, 60), (96, 150, 96), (150, 80, 130))


def _axes(size: tuple[int, int], xlabel: str, ylabel: str) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    picture = Image.new("RGB", size, (255, 255, 255))
    pen = ImageDraw.Draw(picture)
    width, height = size
    pen.line((56, 22, 56, height - 50, width - 20, height - 50), fill=INK, width=2)
    label(picture, xlabel, (width / 2 - 4 * len(xlabel) + 20, height - 24), 14, INK)
    turned = Image.new("L", (180, 20), 0)
    label(turned, ylabel, (4, 1), 14, 255)
    turned = turned.rotate(90, expand=True)
    picture.paste(INK, (4, height - 50 - 190), turned)
    for k in range(6):
        row = height - 50 - k * (height - 90) // 5
        pen.line((51, row, 56, row), fill=INK)
        label(picture, str(20 * k), (30, row - 8), 12, INK)
    return picture, pen


def bar_chart(
    seed: int, names: Sequence[str], ylabel: str = "Patients (%)", size: tuple[int, int] = (420, 300)
) -> Image.Image:
    """Two groups of bars with error bars, one pair for each of `names`."""
    rng = np.random.default_rng(seed)
    picture, pen = _axes(size, "Group", ylabel)
    step = (size[0] - 100) / len(names)
    for k, name in enumerate(names):
        for side in (0, 1):
            height = int(rng.uniform(0.2, 0.85) * (size[1] - 90))
            left = 70 + k * step + side * step * 0.36
            base = size[1] - 50
            pen.rectangle(
                (left, base - height, left + step * 0.34, base - 1), fill=PALETTE[side], outline=INK
            )
            pen.line(
                (left + step * 0.17, base - height - 10, left + step * 0.17, base - height + 8),
                fill=INK,
                width=2,
            )
        label(picture, name, (70 + k * step, size[1] - 46), 12, INK)
    return picture


def survival_chart(seed: int, size: tuple[int, int] = (420, 300)) -> Image.Image:
    """Two Kaplan-Meier step curves that fall from 100 %."""
    rng = np.random.default_rng(seed)
    picture, pen = _axes(size, "Months", "Survival (%)")
    for colour, rate in zip(PALETTE[:2], (0.030, 0.075), strict=True):
        column, share = 57.0, 1.0
        points = [(column, size[1] - 50 - (size[1] - 90.0))]
        while column < size[0] - 40:
            column += rng.uniform(8, 26)
            points.append((column, points[-1][1]))
            share *= 1 - rate * rng.uniform(0.4, 1.8)
            points.append((column, size[1] - 50 - share * (size[1] - 90)))
        pen.line(points, fill=colour, width=3)
    label(picture, "Arm 1", (size[0] - 100, 34), 14, PALETTE[0])
    label(picture, "Arm 2", (size[0] - 100, 54), 14, PALETTE[1])
    return picture


def flow_chart(seed: int, steps: Sequence[str], size: tuple[int, int] = (420, 320)) -> Image.Image:
    """Boxes from top to bottom joined by arrows, each but the last with a box of exclusions at its side."""
    rng = np.random.default_rng(seed)
    picture = Image.new("RGB", size, (255, 255, 255))
    pen = ImageDraw.Draw(picture)
    pitch = size[1] / len(steps)
    count = int(rng.integers(300, 500))
    for k, step in enumerate(steps):
        top = k * pitch + 8
        pen.rectangle((30, top, 230, top + pitch * 0.58), outline=INK, width=2, fill=(232, 240, 250))
        label(picture, f"{step} (n = {count})", (40, top + pitch * 0.16), 14, INK)
        if k == len(steps) - 1:
            break
        lost = int(rng.integers(20, 60))
        count -= lost
        low = top + pitch
        pen.line((130, top + pitch * 0.58, 130, low), fill=INK, width=2)
        pen.polygon([(130, low), (125, low - 9), (135, low - 9)], fill=INK)
        pen.rectangle((268, top + pitch * 0.36, 404, top + pitch * 0.86), outline=INK, width=1)
        label(picture, f"Excluded (n = {lost})", (276, top + pitch * 0.48), 13, INK)
        pen.line((130, top + pitch * 0.62, 268, top + pitch * 0.62), fill=INK)
    return picture


def panels(
    pictures: Sequence[Image.Image],
    columns: int,
    gutter: str = "white",
    letters: bool = True,
    cell: tuple[int, int] = (200, 160),
    crop: float = 1,
) -> Image.Image:
    """Joins up to six panels, `crop` of each kept around its centre; `letters` marks them A to F."""
    gap = 8
    rows = -(-len(pictures) // columns)
    size = (columns * (cell[0] + gap) + gap, rows * (cell[1] + gap) + gap)
    sheet = Image.new("RGB", size, gutter)
    for k, picture in enumerate(pictures):
        left, top = gap + k % columns * (cell[0] + gap), gap + k // columns * (cell[1] + gap)
        across, down = picture.width / 2, picture.height / 2
        box = (across * (1 - crop), down * (1 - crop), across * (1 + crop), down * (1 + crop))
        sheet.paste(picture.convert("RGB").resize(cell, Image.Resampling.LANCZOS, box=box), (left, top))
        if letters:
            ImageDraw.Draw(sheet).rectangle((left, top, left + 22, top + 22), fill=(255, 255, 255))
            label(sheet, "ABCDEF"[k], (left + 5, top + 1), 18, (0, 0, 0))
    return sheet
