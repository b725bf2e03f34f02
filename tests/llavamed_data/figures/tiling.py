"""Compound figures tiled from single images, and single images with what surrounds them in print.

Sources and seeds are in two halves: the thresholds of the gutter test were chosen on the first, and what is reported
and asserted comes from the second.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from llavamed_data.figures import inspect_image
from tests.llavamed_data.figures.phantoms import PHANTOMS

SINGLE_EVAL = (
    "18063892_F3", "19838397_F0003", "20406459_F5", "20671840_F0004", "20733967_F3", "21139713_F0003",
    "22174521_F2", "22223938_F5", "23493967_F1", "23565458_F1", "24179348_f4c-ccrep-1-2008-057", "24554380_Fig23",
    "29201784_F3", "29354481_trd-2-trd015-g004", "29484042_f0015", "29563712_F5",
)  # fmt: skip
"""Images of the released evaluation set that show one plot of a domain, told by eye."""

COMPOUND_EVAL = (
    "18318598_pmed-0050054-g001", "18652673_F3", "18673566_F1", "22529899_pone-0033860-g004",
    "24926336_f2-etm-07-06-1521", "28399828_Fig5", "29805352_F2", "30210495_F5", "30214911_F4", "30279704_F3",
)  # fmt: skip
"""Those that show several panels, told by eye."""

GUTTERS = ("white", "black", None)
LETTERS = (None, "corner", "beside")


@dataclass(frozen=True)
class Tiled:
    """A figure made here.

    Attributes:
        image: as decoded from the JPEG that it was saved as.
        panels: put into it, 1 for a single image.
        gutter: `white`, `black` or None where panels touch.
        kind: where the pictures come from: a domain's phantom, or `real`.
        layout: how it was laid out, or how a single one was decorated.
    """

    image: Image.Image
    panels: int
    gutter: str | None
    kind: str
    layout: str


def real_images(shared_data: Path, half: int) -> list[Image.Image]:
    """Single real images of one half (0 or 1): every other one of VQA-RAD and of the evaluation set."""
    paths = sorted((shared_data / "vqa_rad" / "images").iterdir())[half::2][::4]
    paths += [shared_data / "llava_med_eval" / "images" / f"{name}.jpg" for name in SINGLE_EVAL[half::2]]
    return [inspect_image(path.read_bytes()).image.convert("RGB") for path in paths]


def compounds(half: int, count: int, real: Sequence[Image.Image] = ()) -> list[Tiled]:
    """`count` compound figures; every third from `real` where there are any."""
    rng = np.random.default_rng([half, 1])
    return [_compound(rng, number, real) for number in range(count)]


def singles(half: int, count: int, real: Sequence[Image.Image] = ()) -> list[Tiled]:
    """`count` single figures: every real one as it is, then decorated ones, phantoms and real in turn."""
    rng = np.random.default_rng([half, 2])
    plain = [Tiled(picture, 1, None, "real", "plain") for picture in real]
    return plain[:count] + [_single(rng, number, real) for number in range(max(0, count - len(plain)))]


def _pictures(rng: np.random.Generator, number: int, count: int, real: Sequence[Image.Image]):
    if real and number % 3 == 0:
        return "real", [real[int(i)] for i in rng.integers(len(real), size=count)]
    kind = list(PHANTOMS)[number % 5]
    return kind, [PHANTOMS[kind](rng) for _ in range(count)]


def _compound(rng: np.random.Generator, number: int, real: Sequence[Image.Image]) -> Tiled:
    gutter = GUTTERS[int(rng.integers(3))]
    letters = LETTERS[int(rng.integers(3))] if gutter == "white" else LETTERS[int(rng.integers(2))]
    rows = _rows(rng)
    kind, pictures = _pictures(rng, number, sum(rows), real)
    gap = int(rng.integers(2, 21)) if gutter else 0
    page = _laid_out(rng, pictures, rows, gap, gutter or "white", letters)
    if rng.random() < 0.5:
        page = page.transpose(Image.Transpose.TRANSPOSE)
    layout = f"{'+'.join(map(str, rows))}, gap {gap}, letters {letters}"
    return Tiled(_through_jpeg(rng, page), sum(rows), gutter, kind, layout)


def _rows(rng: np.random.Generator) -> list[int]:
    """Panels in each row, 2 to 9 in all: one row, an even grid, or rows of different counts."""
    shape = rng.integers(3)
    if shape == 0:
        return [int(rng.integers(2, 5))]
    if shape == 1:
        return [int(rng.integers(2, 4))] * int(rng.integers(2, 4))
    return [int(count) for count in rng.permutation(4)[:2] + 1]


def _laid_out(
    rng: np.random.Generator,
    pictures: list[Image.Image],
    rows: list[int],
    gap: int,
    ground: str,
    letters: str | None,
) -> Image.Image:
    width = int(rng.integers(420, 1000))
    strips, first = [], 0
    for count in rows:
        strips.append(_strip(pictures[first : first + count], width, gap, ground, letters, first))
        first += count
    height = sum(strip.height for strip in strips) + gap * (len(strips) - 1)
    page = Image.new("RGB", (width, height), ground)
    top = 0
    for strip in strips:
        page.paste(strip, (0, top))
        top += strip.height + gap
    if letters == "beside" or rng.random() < 0.3:
        margin = int(rng.integers(3, 20))
        framed = Image.new("RGB", (page.width + 2 * margin, page.height + 2 * margin), ground)
        framed.paste(page, (margin, margin))
        page = framed
    return page


def _strip(
    pictures: list[Image.Image], width: int, gap: int, ground: str, letters: str | None, first: int
) -> Image.Image:
    beside = 22 if letters == "beside" else 0
    cell = (width - gap * (len(pictures) - 1)) // len(pictures)
    inner = cell - beside
    height = int(np.clip(np.median([p.height / p.width for p in pictures]), 0.6, 1.4) * inner)
    strip = Image.new("RGB", (width, height), ground)
    for number, picture in enumerate(pictures):
        last = number == len(pictures) - 1
        left = number * (cell + gap)
        tile = picture.resize(((width - left if last else cell) - beside, height))
        strip.paste(tile, (left + beside, 0))
        if letters:
            ink = "black" if beside or np.asarray(tile)[:24, :24].mean() > 128 else "white"
            ImageDraw.Draw(strip).text((left + 3, 2), "ABCDEFGHI"[first + number], fill=ink, font=_font(18))
    return strip


def _single(rng: np.random.Generator, number: int, real: Sequence[Image.Image]) -> Tiled:
    kind, (picture,) = _pictures(rng, number, 1, real)
    width = int(rng.integers(300, 900))
    picture = picture.resize((width, round(picture.height * width / picture.width)))
    name, decorate = list(_DECORATIONS.items())[int(rng.integers(len(_DECORATIONS)))]
    return Tiled(_through_jpeg(rng, decorate(rng, picture.copy())), 1, None, kind, name)


def _bordered(rng: np.random.Generator, picture: Image.Image, colour: str) -> Image.Image:
    left, top, right, bottom = (int(side) for side in rng.integers(0, 90, 4))
    page = Image.new("RGB", (picture.width + left + right, picture.height + top + bottom), colour)
    page.paste(picture, (left, top))
    return page


def _overlaid(rng: np.random.Generator, picture: Image.Image) -> Image.Image:
    draw = ImageDraw.Draw(picture)
    for line in range(int(rng.integers(2, 7))):
        draw.text((6, 6 + 13 * line), "SE 4 IM 21 W 350", fill="white", font=_font(11))
        draw.text(
            (picture.width - 110, picture.height - 16 - 13 * line),
            "kV 120 mA 220",
            fill="white",
            font=_font(11),
        )
    return picture


def _captioned(rng: np.random.Generator, picture: Image.Image) -> Image.Image:
    page = Image.new("RGB", (picture.width, picture.height + 34), ("white", "black")[int(rng.integers(2))])
    page.paste(picture, (0, 34))
    ink = "black" if page.getpixel((2, 2)) == (255, 255, 255) else "white"
    ImageDraw.Draw(page).text((8, 6), "Axial view, day 3 after treatment", fill=ink, font=_font(16))
    return page


def _pointed(rng: np.random.Generator, picture: Image.Image) -> Image.Image:
    draw = ImageDraw.Draw(picture)
    for _ in range(int(rng.integers(1, 4))):
        x, y = rng.integers(30, picture.width - 30), rng.integers(30, picture.height - 30)
        draw.line((x, y, x + 25, y + 25), fill="yellow", width=4)
        draw.polygon([(x - 5, y - 5), (x + 9, y), (x, y + 9)], fill="yellow")
    return picture


def _scaled(rng: np.random.Generator, picture: Image.Image) -> Image.Image:
    draw = ImageDraw.Draw(picture)
    x, y, length = picture.width - 130, picture.height - 24, int(rng.integers(40, 110))
    draw.rectangle((x, y, x + length, y + 5), fill=("white", "black")[int(rng.integers(2))])
    draw.text((x, y - 18), "100 um", fill="black", font=_font(14))
    return picture


def _with_colour_bar(rng: np.random.Generator, picture: Image.Image) -> Image.Image:
    bar = int(rng.integers(10, 24))
    page = Image.new(
        "RGB", (picture.width + bar + 60, picture.height), ("white", "black")[int(rng.integers(2))]
    )
    page.paste(picture, (0, 0))
    ramp = np.linspace(250, 40, picture.height * 7 // 10)[:, None, None] * np.array([1, 0.6, 0.3])
    strip = Image.fromarray(np.broadcast_to(ramp, (len(ramp), bar, 3)).astype(np.uint8))
    page.paste(strip, (picture.width + 12, picture.height // 7))
    return page


_DECORATIONS = {
    "plain": lambda rng, picture: picture,
    "white border": lambda rng, picture: _bordered(rng, picture, "white"),
    "black border": lambda rng, picture: _bordered(rng, picture, "black"),
    "text in the corners": _overlaid,
    "line of text above": _captioned,
    "arrows": _pointed,
    "scale bar": _scaled,
    "colour bar": _with_colour_bar,
}


def _font(size: int) -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    return ImageFont.load_default(size)


def _through_jpeg(rng: np.random.Generator, page: Image.Image) -> Image.Image:
    file = io.BytesIO()
    page.save(file, "JPEG", quality=int(rng.integers(50, 96)))
    return Image.open(io.BytesIO(file.getvalue())).convert("RGB")
