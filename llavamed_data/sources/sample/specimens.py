"""Gross-specimen-like phantoms: an organ on a blue cloth with a ruler."""

import numpy as np
from PIL import Image, ImageDraw

from llavamed_data.sources.sample.canvas import (
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
ORGANS = ("kidney", "liver", "heart", "lung", "colon", "spleen", "brain", "thyroid", "uterus", "stomach")


def specimen(
    seed: int, organ: str = "kidney", lesion: bool = True, size: tuple[int, int] = (400, 300)
) -> Image.Image:
    """One of `ORGANS` photographed from above; with `lesion`, its cut surface shows a tumour or scar."""
    rng = np.random.default_rng(seed)
    x, y = grid(*size)
    y = y + 0.10
    canvas = _cloth(x, y, rng)
    shape, colour = _outline(x, y, organ, rng)
    canvas = canvas * (1 - 0.55 * np.roll(blur(shape, 7), (7, 6), (0, 1)))[..., None]
    canvas = over(canvas, _flesh(shape, colour, organ, rng), shape)
    if lesion:
        canvas = _lesion(canvas, x, y, organ, shape, rng)
    canvas = _shine(canvas, shape, rng)
    picture = soften(to_image(canvas), 0.7)
    _ruler(picture)
    return picture


def _cloth(x: Field, y: Field, rng: np.random.Generator) -> Field:
    folds = 0.05 * noise(rng, x.shape, 45)
    weave = 0.012 * np.sin(x * 230) * np.sin(y * 230)
    return np.asarray(np.ones((*x.shape, 3)) * CLOTH * (1 + 2.0 * folds + weave)[..., None])


def _outline(x: Field, y: Field, organ: str, rng: np.random.Generator) -> tuple[Field, Colour]:
    wobble = 0.035 * noise(rng, x.shape, 30)

    def blob(
        centre: tuple[float, float], radii: tuple[float, float], turn: float = 0, power: float = 2
    ) -> Field:
        return edge(1 - radius(x, y, centre, radii, turn, power) + wobble, 0.02)

    if organ == "kidney":
        bean = blob((0, 0), (0.80, 0.50)) * (1 - disc(x, y, (0, 0.56), (0.26, 0.24), soft=0.03))
        return bean, (0.55, 0.20, 0.17)
    if organ == "liver":
        wedge = blob((0, 0), (0.96, 0.60), turn=-0.12, power=2.5) * edge(
            0.62 - y - 0.5 * np.clip(x, 0, 1), 0.05
        )
        return wedge, (0.48, 0.21, 0.15)
    if organ == "heart":
        body = np.maximum(
            blob((0, 0.02), (0.58, 0.60), turn=0.3), blob((0.14, 0.22), (0.42, 0.50), turn=-0.5)
        )
        vessels = np.maximum(blob((-0.16, -0.52), (0.15, 0.26)), blob((0.14, -0.54), (0.13, 0.22), turn=0.3))
        return np.maximum(body, vessels), (0.58, 0.22, 0.18)
    if organ == "lung":
        lobe = blob((0, 0.02), (0.82, 0.62), turn=-0.15, power=2.2) * edge(0.55 - y, 0.05)
        return lobe, (0.70, 0.42, 0.40)
    if organ == "colon":
        path = 0.10 * np.sin(3.2 * x)
        tube = edge(0.36 + wobble - np.abs(y - path), 0.015) * edge(1.02 - np.abs(x), 0.03)
        return tube, (0.80, 0.50, 0.44)
    if organ == "brain":
        return blob((0, 0), (0.86, 0.64), power=2.2), (0.84, 0.74, 0.66)
    if organ == "thyroid":
        lobes = np.maximum(
            blob((-0.42, 0), (0.34, 0.58), turn=0.12), blob((0.42, 0), (0.30, 0.52), turn=-0.12)
        )
        return np.maximum(lobes, blob((0, 0.14), (0.30, 0.14))), (0.62, 0.26, 0.20)
    if organ == "uterus":
        body = np.maximum(blob((0, -0.12), (0.56, 0.50)), blob((0, 0.42), (0.24, 0.34), power=2.6))
        return body, (0.80, 0.54, 0.50)
    if organ == "stomach":
        curve = blob((0, 0), (0.92, 0.56), turn=0.1) * (
            1 - disc(x, y, (0.05, -0.62), (0.42, 0.30), soft=0.03)
        )
        return curve, (0.82, 0.54, 0.48)
    return blob((0, 0), (0.78, 0.50), turn=0.15, power=2.2), (0.42, 0.12, 0.18)


def _flesh(shape: Field, colour: Colour, organ: str, rng: np.random.Generator) -> Field:
    """The organ's surface: its colour, lit from the upper left on a height that rises from the rim."""
    height = 16 * np.sqrt(np.clip(blur(shape, 14) - 0.3, 0, 1)) + 0.5 * noise(rng, shape.shape, 9)
    if organ in ("colon", "stomach"):
        rows, columns = np.mgrid[0 : shape.shape[0], 0 : shape.shape[1]].astype(float)
        height += 1.7 * np.sin((columns + 14 * noise(rng, shape.shape, 26)) / 6.5)
    if organ == "brain":
        folds = noise(rng, shape.shape, 8)
        height += 3.4 * edge(np.abs(folds) - 0.22, 0.5)
    down, right = np.gradient(height)
    light = 0.82 + 0.42 * (-(down * 0.7 + right * 0.55)) / np.sqrt(1 + down**2 + right**2)
    mottle = 1 + 0.07 * noise(rng, shape.shape, 5) + 0.06 * noise(rng, shape.shape, 25)
    return np.asarray(np.ones((*shape.shape, 3)) * colour * (light * mottle)[..., None])


def _lesion(canvas: Field, x: Field, y: Field, organ: str, shape: Field, rng: np.random.Generator) -> Field:
    ragged = 0.16 * noise(rng, x.shape, 12)
    spots = {
        "kidney": ((-0.42, -0.06), (0.28, 0.25)),
        "liver": ((-0.36, -0.06), (0.26, 0.23)),
        "heart": ((0.20, 0.26), (0.20, 0.24)),
        "lung": ((0.22, -0.12), (0.24, 0.22)),
        "colon": ((0.06, 0.0), (0.24, 0.22)),
        "spleen": ((0.1, 0.0), (0.20, 0.16)),
        "brain": ((0.36, -0.16), (0.22, 0.20)),
        "thyroid": ((-0.42, 0.06), (0.20, 0.24)),
        "uterus": ((0.10, -0.16), (0.26, 0.24)),
        "stomach": ((-0.28, 0.10), (0.20, 0.16)),
    }
    centre, radii = spots[organ]
    rho = radius(x, y, centre, radii) + ragged
    canvas = over(canvas, (0.55, 0.12, 0.12), 0.55 * edge(1.18 - rho, 0.12) * shape)
    pale = np.ones(canvas.shape) * (0.90, 0.80, 0.62) * (1 + 0.07 * noise(rng, x.shape, 4))[..., None]
    canvas = over(canvas, pale, 0.95 * edge(1 - rho, 0.06) * shape)
    canvas = over(canvas, (0.45, 0.12, 0.12), 0.8 * edge(0.34 - rho, 0.12) * shape)
    return over(
        canvas,
        (0.62, 0.35, 0.22),
        0.5 * edge(noise(rng, x.shape, 6) - 1.4, 0.3) * edge(0.9 - rho, 0.1) * shape,
    )


def _shine(canvas: Field, shape: Field, rng: np.random.Generator) -> Field:
    gloss = edge(noise(rng, shape.shape, 5) - 1.9, 0.35) * np.roll(blur(shape, 12), (10, 10), (0, 1))
    return over(canvas, (1.0, 0.97, 0.95), 0.75 * gloss * (blur(shape, 8) > 0.9))


def _ruler(picture: Image.Image) -> None:
    width, height = picture.size
    pen = ImageDraw.Draw(picture)
    left, top = 46, height - 42
    pen.rectangle((left, top, width - 46, height - 12), fill=(238, 236, 224), outline=(120, 118, 110))
    for tick in range(0, (width - 100) // 3):
        place = left + 6 + 3 * tick
        long = 15 if tick % 10 == 0 else 10 if tick % 5 == 0 else 5
        pen.line((place, top, place, top + long), fill=(20, 20, 20))
        if tick % 10 == 0:
            label(picture, str(tick // 10), (place + 2, top + 14), 12, (20, 20, 20))
    label(picture, "cm", (left + 18, top + 15), 11, (20, 20, 20))
