"""Single images of the five domains, painted from a seed: rough likenesses with the traits that matter to gutters."""

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt
from PIL import Image

_Field = npt.NDArray[np.float64]


def radiograph(rng: np.random.Generator) -> Image.Image:
    """Two dark lungs beside a bright mediastinum, soft borders, now and then a black or white surround."""
    x, y = _grid(rng, rng.uniform(0.8, 1.2))
    level = 175 - 30 * y**2 + 40 * np.exp(-((x / 0.18) ** 2))
    for side in (-1, 1):
        level -= rng.uniform(80, 120) * _blob(x - side * 0.45, y + 0.1, 0.3, 0.6)
    ribs = 12 * np.sin(18 * (y + 0.3 * np.abs(x)))
    shoulders = 60 * (np.abs(x) > 0.75 - 0.2 * y) * rng.choice([-1, 0, 1])
    return _gray(level + ribs + shoulders + _grain(rng, x.shape, 4))


def ct_slice(rng: np.random.Generator) -> Image.Image:
    """A body on black with organs, vertebra and, below it, the curved table."""
    x, y = _grid(rng, rng.uniform(0.85, 1.3))
    scale = rng.uniform(0.65, 0.97)
    inside = (x / scale) ** 2 + (y / (scale * 0.8)) ** 2 < 1
    level = np.where(inside, 120.0, 3.0)
    for _ in range(7):
        cx, cy = rng.uniform(-0.5, 0.5, 2) * scale
        level += inside * rng.uniform(-70, 90) * _blob(x - cx, y - cy, *rng.uniform(0.08, 0.3, 2))
    level += inside * 110 * _blob(x, y - 0.45 * scale, 0.12, 0.12)
    table = np.abs(y - (scale * 0.8 + 0.12 - 0.15 * x**2)) < 0.012
    return _gray(np.where(table, 140, level) + _grain(rng, x.shape, 5) * inside)


def mr_slice(rng: np.random.Generator) -> Image.Image:
    """A head on black, or a section that fills the field."""
    x, y = _grid(rng, rng.uniform(0.75, 1.1))
    scale = rng.choice([rng.uniform(0.7, 0.95), 1.6])
    radius = np.hypot(x / (0.85 * scale), y / scale)
    level = np.where(radius < 1, 90 + 40 * np.sin(9 * np.hypot(x, y) + 6 * x * rng.uniform(0, 1)), 4.0)
    level = np.where((radius > 0.9) & (radius < 0.97), 210, level)
    for side in (-1, 1):
        level += (radius < 0.9) * rng.uniform(60, 110) * _blob(x - side * 0.15, y, 0.08, 0.25)
    return _gray(level + _grain(rng, x.shape, 5))


def tissue(rng: np.random.Generator) -> Image.Image:
    """Stained tissue with nuclei, on some seeds with white clefts and an empty rim."""
    x, y = _grid(rng, rng.uniform(0.9, 1.4))
    waves = np.sin(7 * x + 3 * np.sin(4 * y)) + np.sin(6 * y + 2 * np.sin(5 * x + rng.uniform(0, 6)))
    pink = np.stack([215 + 12 * waves, 150 + 28 * waves, 190 + 14 * waves], axis=-1)
    nuclei = rng.random(x.shape) > 0.985
    for shift in ((0, 0), (0, 1), (1, 0), (1, 1), (2, 1), (1, 2)):
        pink[np.roll(nuclei, shift, (0, 1))] = (95, 55, 130)
    if rng.random() < 0.4:
        clefts = np.abs(np.sin(3 * x + rng.uniform(0, 6)) - 0.7 * y) < rng.uniform(0.05, 0.25)
        pink[clefts] = 244
    if rng.random() < 0.25:
        pink[y > 0.55 + 0.2 * np.sin(4 * x)] = 243
    return _rgb(pink + _grain(rng, x.shape, 6)[..., None])


def specimen(rng: np.random.Generator) -> Image.Image:
    """An organ on a cloth of one colour: blue, green, black or white, with a ruler on some seeds."""
    x, y = _grid(rng, rng.uniform(1.0, 1.5))
    cloth = np.array(
        [(60, 90, 160), (40, 110, 90), (8, 8, 10), (246, 246, 246)][rng.integers(4)], dtype=float
    )
    level = np.broadcast_to(cloth, (*x.shape, 3)) * (0.95 + 0.05 * _blob(x, y, 1, 1))[..., None]
    angle = np.arctan2(y, x)
    edge = rng.uniform(0.5, 0.75) + 0.08 * np.sin(3 * angle + rng.uniform(0, 6)) + 0.04 * np.sin(7 * angle)
    inside = np.hypot(x * 0.85, y) < edge
    organ = np.stack(
        [150 + 30 * np.sin(6 * x), 60 + 25 * np.sin(5 * y), 50 + 20 * np.sin(9 * x * y)], axis=-1
    )
    level = np.where(inside[..., None], organ, level)
    if rng.random() < 0.4:
        ruler = (np.abs(y - 0.86) < 0.06) & (np.abs(x) < 0.7)
        level[ruler] = 225
        level[ruler & (np.mod(x, 0.07) < 0.012)] = 30
    return _rgb(level + _grain(rng, x.shape, 5)[..., None])


PHANTOMS: Mapping[str, Callable[[np.random.Generator], Image.Image]] = {
    "chest_xray": radiograph,
    "mri": mr_slice,
    "histology": tissue,
    "gross": specimen,
    "ct_scan": ct_slice,
}


def _grid(rng: np.random.Generator, aspect: float) -> tuple[_Field, _Field]:
    height = int(rng.integers(180, 420))
    width = int(height * aspect)
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    return x, y


def _blob(x: _Field, y: _Field, width: float, height: float) -> _Field:
    distance: _Field = (x / width) ** 2 + (y / height) ** 2
    return np.exp(-(distance**2))


def _grain(rng: np.random.Generator, shape: tuple[int, ...], sigma: float) -> _Field:
    return rng.normal(0, sigma, shape)


def _gray(level: _Field) -> Image.Image:
    return Image.fromarray(np.clip(level, 0, 255).astype(np.uint8)).convert("RGB")


def _rgb(level: _Field) -> Image.Image:
    return Image.fromarray(np.clip(level, 0, 255).astype(np.uint8))
