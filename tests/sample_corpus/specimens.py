"""Gross-specimen-like phantoms: an organ on a blue cloth with a ruler."""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from PIL import Image, ImageDraw

from tests.sample_corpus.canvas import (
    Colour,
    Field,
    blur,
    disc,
    edge,
    grid,
    label,
    noise,
    over,
    radius,
    soften,
    to_image,
)

CLOTH: Colour = (0.16, 0.36, 0.60)
Ellipse: TypeAlias = tuple[float, float, float, float, float]  # centre x, y; radii; turn


@dataclass(frozen=True)
class Organ:
    """An organ's outline (`parts` joined, `cuts` taken away), its colour, and where and how it is diseased."""

    colour: Colour
    parts: tuple[Ellipse, ...]
    lesion: Ellipse
    cuts: tuple[Ellipse, ...] = ()
    diseased: Colour = (0.90, 0.80, 0.62)
    power: float = 2
    folds: bool = False


ORGANS = {
    "kidney": Organ(
        (0.55, 0.20, 0.17),
        ((0, 0, 0.80, 0.50, 0),),
        (-0.42, -0.06, 0.28, 0.25, 0),
        cuts=((0, 0.56, 0.26, 0.24, 0),),
        diseased=(0.93, 0.76, 0.40),
    ),
    "liver": Organ(
        (0.48, 0.21, 0.15),
        ((0, 0, 0.96, 0.60, -0.12),),
        (-0.36, -0.06, 0.26, 0.23, 0),
        cuts=((0.62, 0.82, 0.70, 0.36, -0.25),),
        power=2.5,
    ),
    "heart": Organ(
        (0.58, 0.22, 0.18),
        (
            (0, 0.02, 0.58, 0.60, 0.3),
            (0.14, 0.22, 0.42, 0.50, -0.5),
            (-0.16, -0.52, 0.15, 0.26, 0),
            (0.14, -0.54, 0.13, 0.22, 0.3),
        ),
        (0.20, 0.30, 0.20, 0.24, 0),
        diseased=(0.84, 0.72, 0.66),
    ),
    "lung": Organ(
        (0.70, 0.42, 0.40),
        ((0, 0.02, 0.82, 0.62, -0.15),),
        (0.22, -0.12, 0.22, 0.20, 0),
        cuts=((0.05, 0.92, 0.95, 0.40, 0),),
        power=2.2,
    ),
    "colon": Organ(
        (0.80, 0.50, 0.44),
        ((-0.45, -0.06, 0.58, 0.36, -0.15), (0.45, 0.06, 0.58, 0.36, 0.2)),
        (0.04, 0.02, 0.25, 0.24, 0),
        diseased=(0.80, 0.62, 0.50),
        power=4,
        folds=True,
    ),
    "spleen": Organ(
        (0.42, 0.12, 0.18),
        ((0, 0, 0.78, 0.50, 0.15),),
        (0.10, 0, 0.18, 0.14, 0.4),
        diseased=(0.78, 0.72, 0.70),
        power=2.2,
    ),
    "thyroid": Organ(
        (0.62, 0.26, 0.20),
        ((-0.42, 0, 0.34, 0.58, 0.12), (0.42, 0, 0.30, 0.52, -0.12), (0, 0.14, 0.30, 0.14, 0)),
        (-0.42, 0.06, 0.20, 0.24, 0),
    ),
    "uterus": Organ(
        (0.80, 0.54, 0.50),
        ((0, -0.12, 0.56, 0.50, 0), (0, 0.42, 0.24, 0.34, 0)),
        (0.10, -0.16, 0.26, 0.24, 0),
        diseased=(0.94, 0.88, 0.82),
        power=2.3,
    ),
    "stomach": Organ(
        (0.82, 0.54, 0.48),
        ((0, 0, 0.92, 0.56, 0.1),),
        (-0.28, 0.10, 0.22, 0.17, 0.3),
        cuts=((0.05, -0.62, 0.42, 0.30, 0),),
        diseased=(0.86, 0.70, 0.58),
        folds=True,
    ),
}


def specimen(
    seed: int, organ: str = "kidney", lesion: bool = True, size: tuple[int, int] = (400, 300)
) -> Image.Image:
    """One of `ORGANS` photographed from above; with `lesion`, its cut surface shows a tumour or scar."""
    rng = np.random.default_rng(seed)
    x, y = grid(*size)
    y = y + 0.10
    canvas = _cloth(x, y, rng)
    kind = ORGANS[organ]
    shape = _outline(x, y, kind, rng)
    canvas = canvas * (1 - 0.55 * np.roll(blur(shape, 7), (7, 6), (0, 1)))[..., None]
    canvas = over(canvas, _flesh(shape, kind, rng), shape)
    if lesion:
        canvas = _lesion(canvas, x, y, kind, shape, rng)
    canvas = _shine(canvas, shape, rng)
    picture = soften(to_image(canvas), 0.7)
    _ruler(picture)
    return picture


def _cloth(x: Field, y: Field, rng: np.random.Generator) -> Field:
    folds = 0.05 * noise(rng, x.shape, 45)
    weave = 0.012 * np.sin(x * 230) * np.sin(y * 230)
    return np.asarray(np.ones((*x.shape, 3)) * CLOTH * (1 + 2.0 * folds + weave)[..., None])


def _outline(x: Field, y: Field, organ: Organ, rng: np.random.Generator) -> Field:
    wobble = 0.035 * noise(rng, x.shape, 30)
    shape = np.zeros_like(x)
    for *centre, wide, high, turn in organ.parts:
        rho = radius(x, y, (centre[0], centre[1]), (wide, high), turn, organ.power)
        shape = np.maximum(shape, edge(1 - rho + wobble, 0.02))
    for *centre, wide, high, turn in organ.cuts:
        shape = shape * (1 - disc(x, y, (centre[0], centre[1]), (wide, high), turn, soft=0.03))
    return shape


def _flesh(shape: Field, organ: Organ, rng: np.random.Generator) -> Field:
    """The organ's surface: its colour, lit from the upper left on a height that rises from the rim."""
    height = 16 * np.sqrt(np.clip(blur(shape, 14) - 0.3, 0, 1)) + 0.5 * noise(rng, shape.shape, 9)
    if organ.folds:
        columns = np.arange(shape.shape[1], dtype=float)[None]
        height += 1.7 * np.sin((columns + 14 * noise(rng, shape.shape, 26)) / 6.5)
    down, right = np.gradient(height)
    light = 0.82 + 0.42 * (-(down * 0.7 + right * 0.55)) / np.sqrt(1 + down**2 + right**2)
    mottle = 1 + 0.07 * noise(rng, shape.shape, 5) + 0.06 * noise(rng, shape.shape, 25)
    return np.asarray(np.ones((*shape.shape, 3)) * organ.colour * (light * mottle)[..., None])


def _lesion(canvas: Field, x: Field, y: Field, organ: Organ, shape: Field, rng: np.random.Generator) -> Field:
    *centre, wide, high, turn = organ.lesion
    rho = radius(x, y, (centre[0], centre[1]), (wide, high), turn) + 0.16 * noise(rng, x.shape, 12)
    canvas = over(canvas, (0.55, 0.12, 0.12), 0.55 * edge(1.18 - rho, 0.12) * shape)
    pale = np.ones(canvas.shape) * organ.diseased * (1 + 0.07 * noise(rng, x.shape, 4))[..., None]
    canvas = over(canvas, pale, 0.95 * edge(1 - rho, 0.06) * shape)
    canvas = over(canvas, (0.45, 0.12, 0.12), 0.8 * edge(0.34 - rho, 0.12) * shape)
    stains = edge(noise(rng, x.shape, 6) - 1.4, 0.3) * edge(0.9 - rho, 0.1)
    return over(canvas, (0.62, 0.35, 0.22), 0.5 * stains * shape)


def _shine(canvas: Field, shape: Field, rng: np.random.Generator) -> Field:
    gloss = edge(noise(rng, shape.shape, 5) - 1.9, 0.35) * np.roll(blur(shape, 12), (10, 10), (0, 1))
    return over(canvas, (1.0, 0.97, 0.95), 0.75 * gloss * (blur(shape, 8) > 0.9))


def _ruler(picture: Image.Image) -> None:
    width, height = picture.size
    pen = ImageDraw.Draw(picture)
    left, top = 46, height - 42
    pen.rectangle((left, top, width - 46, height - 12), fill=(238, 236, 224), outline=(120, 118, 110))
    for tick in range((width - 100) // 3):
        place = left + 6 + 3 * tick
        long = 15 if tick % 10 == 0 else 10 if tick % 5 == 0 else 5
        pen.line((place, top, place, top + long), fill=(20, 20, 20))
        if tick % 10 == 0:
            label(picture, str(tick // 10), (place + 2, top + 14), 12, (20, 20, 20))
    label(picture, "cm", (left + 18, top + 15), 11, (20, 20, 20))
