"""Soft shapes and smooth noise: what every phantom is drawn from.

A canvas is a float array of shape (height, width), or (height, width, 3) for colour, with values in 0..1.
Coordinates run from -1 (top) to 1 (bottom); a unit has the same length in x.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont

Field: TypeAlias = NDArray[np.float64]
Colour: TypeAlias = tuple[float, float, float]


def grid(width: int, height: int) -> tuple[Field, Field]:
    """The x and y coordinate of every pixel, each of shape (height, width)."""
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float64)
    half = height / 2
    return (columns + 0.5 - width / 2) / half, (rows + 0.5) / half - 1


def edge(field: Field, soft: float) -> Field:
    """0 below -soft, 1 above soft, a smooth step between."""
    t = np.clip(field / (2 * soft) + 0.5, 0, 1)
    return t * t * (3 - 2 * t)


def radius(
    x: Field,
    y: Field,
    centre: tuple[float, float],
    radii: tuple[float, float],
    turn: float = 0,
    power: float = 2,
) -> Field:
    """Distance from `centre` in units of `radii`, turned by `turn` radians; a `power` above 2 squares it."""
    dx, dy = x - centre[0], y - centre[1]
    u = (np.cos(turn) * dx + np.sin(turn) * dy) / radii[0]
    v = (np.cos(turn) * dy - np.sin(turn) * dx) / radii[1]
    if power == 2:
        return np.asarray(np.hypot(u, v))
    return np.asarray((np.abs(u) ** power + np.abs(v) ** power) ** (1 / power))


def disc(
    x: Field,
    y: Field,
    centre: tuple[float, float],
    radii: tuple[float, float],
    turn: float = 0,
    power: float = 2,
    soft: float = 0.012,
) -> Field:
    """A filled (super)ellipse as a mask of 0..1, its rim `soft` units wide on either side."""
    return edge(1 - radius(x, y, centre, radii, turn, power), soft / min(radii))


def blur(field: Field, sigma: float) -> Field:
    """Gaussian blur by `sigma` pixels, edges mirrored."""
    reach = max(1, int(3 * sigma + 0.5))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    kernel /= kernel.sum()
    for axis in (0, 1):
        pad = [(reach, reach) if a == axis else (0, 0) for a in range(field.ndim)]
        wide = np.moveaxis(np.pad(field, pad, mode="symmetric"), axis, 0)
        size = field.shape[axis]
        total = np.zeros((size, *wide.shape[1:]))
        for i, weight in enumerate(kernel):
            total += weight * wide[i : i + size]
        field = np.moveaxis(total, 0, axis)
    return field


def noise(rng: np.random.Generator, shape: tuple[int, ...], sigma: float) -> Field:
    """Smooth noise of mean 0 and deviation 1, its grains about `sigma` pixels in size."""
    coarse = max(1, int(sigma / 3))
    small = (shape[0] // coarse + 2, shape[1] // coarse + 2)
    field = blur(rng.standard_normal(small), max(sigma / coarse, 0.4))
    field = (field - field.mean()) / field.std()
    if coarse > 1:
        size = (small[1] * coarse, small[0] * coarse)
        field = np.asarray(Image.fromarray(field.astype(np.float32)).resize(size, Image.Resampling.BICUBIC))
    return field[: shape[0], : shape[1]].astype(np.float64)


def over(canvas: Field, value: float | Colour | Field, mask: Field) -> Field:
    """`value` laid over the canvas where the mask is 1."""
    if canvas.ndim == 3 and mask.ndim == 2:
        mask = mask[..., None]
    return canvas * (1 - mask) + np.asarray(value) * mask


class Blob(NamedTuple):
    """One (super)ellipse of an anatomy table; `paired` draws its mirror image, at -x, as well."""

    value: float
    centre: tuple[float, float]
    radii: tuple[float, float]
    turn: float = 0
    soft: float = 0.012
    power: float = 2
    paired: bool = False


class Scene:
    """A grey canvas with its coordinates and its source of chance: what the cross-sections are painted on."""

    def __init__(self, seed: int, size: tuple[int, int], ground: float = 0.015) -> None:
        self.rng = np.random.default_rng(seed)
        self.size = size
        self.x, self.y = grid(*size)
        self.canvas: Field = np.full(self.x.shape, ground)

    def lay(self, value: float | Field, mask: Field) -> None:
        """Puts `value` where the mask is 1."""
        self.canvas = over(self.canvas, value, mask)

    def paint(self, blobs: Iterable[Blob]) -> None:
        """Puts each blob over those before it."""
        for blob in blobs:
            for side in (-1, 1) if blob.paired else (1,):
                centre = (side * blob.centre[0], blob.centre[1])
                mask = disc(self.x, self.y, centre, blob.radii, side * blob.turn, blob.power, blob.soft)
                self.lay(blob.value, mask)

    def disc(
        self,
        cx: float,
        cy: float,
        rx: float,
        ry: float,
        turn: float = 0,
        power: float = 2,
        soft: float = 0.012,
    ) -> Field:
        """The mask of one (super)ellipse."""
        return disc(self.x, self.y, (cx, cy), (rx, ry), turn, power, soft)

    def radius(self, cx: float, cy: float, rx: float, ry: float, turn: float = 0, power: float = 2) -> Field:
        """Distance from (cx, cy) in units of the radii."""
        return radius(self.x, self.y, (cx, cy), (rx, ry), turn, power)

    def noise(self, sigma: float) -> Field:
        """Smooth noise over the whole canvas."""
        return noise(self.rng, self.x.shape, sigma)

    def picture(self, grain: float) -> Image.Image:
        """The finished picture, with detector noise of that strength."""
        return soften(to_image(self.canvas + grain * self.noise(1.0)), 0.6)


def to_image(canvas: Field) -> Image.Image:
    """The canvas as an 8-bit picture: grey for two dimensions, RGB for three."""
    return Image.fromarray((np.clip(canvas, 0, 1) * 255 + 0.5).astype(np.uint8))


def soften(picture: Image.Image, pixels: float) -> Image.Image:
    """The picture slightly out of focus, as an optical or digital chain leaves it."""
    return picture.filter(ImageFilter.GaussianBlur(pixels))


def label(picture: Image.Image, text: str, at: tuple[float, float], size: int, ink: Any) -> None:
    """Writes `text` at pixel position `at` in the font that Pillow brings along."""
    ImageDraw.Draw(picture).text(at, text, fill=ink, font=ImageFont.load_default(size))


def arrow(picture: Image.Image, tip: tuple[float, float], angle: float, ink: Any, length: float = 34) -> None:
    """Draws an arrow that ends at pixel `tip` and comes from `angle` (radians, 0 = from the right)."""
    pen = ImageDraw.Draw(picture)
    away = np.array([np.cos(angle), np.sin(angle)])
    side = np.array([-away[1], away[0]])
    end = np.array(tip)
    pen.line([tuple(end + 8 * away), tuple(end + length * away)], fill=ink, width=4)
    pen.polygon([tuple(end), tuple(end + 14 * away + 7 * side), tuple(end + 14 * away - 7 * side)], fill=ink)
