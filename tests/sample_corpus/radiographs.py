"""X-ray-like phantoms: the chest from the front."""

import numpy as np
from PIL import Image

from tests.sample_corpus.canvas import (
    Field,
    arrow,
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

FINDINGS = (
    "none",
    "consolidation",
    "effusion",
    "nodule",
    "pneumothorax",
    "cardiomegaly",
    "pacemaker",
    "mass",
    "oedema",
    "miliary",
)


def chest_radiograph(
    seed: int, finding: str = "none", size: tuple[int, int] = (368, 404), mark: bool = False
) -> Image.Image:
    """A posteroanterior chest radiograph with one of `FINDINGS`; `mark` points an arrow at it."""
    rng = np.random.default_rng(seed)
    x, y = grid(*size)
    x = x + rng.uniform(-0.03, 0.03)
    y = y + rng.uniform(-0.03, 0.03)
    wide = 1.18 if finding == "cardiomegaly" else rng.uniform(0.92, 1.0)
    lungs = _lungs(x, y)
    film = _torso(x, y, rng)
    film = film * (1 - 0.74 * lungs)
    film += lungs * _vessels(x, y, rng)
    film = _mediastinum(film, x, y, wide)
    heart = disc(x, y, (0.08, 0.29), (0.40, 0.31), turn=0.3, soft=0.06)
    film += _ribs(x, y) * (0.3 + 0.7 * lungs) * (1 - 0.75 * heart)
    film = _finding(film, x, y, finding, lungs, rng)
    film = np.clip(film, 0, 1) ** 1.08 + 0.007 * noise(rng, film.shape, 1.1)
    picture = soften(to_image(film), 0.7)
    label(picture, "L", (size[0] - 42, 26), 26, 235)
    if mark:
        _mark(picture, finding)
    return picture


def _torso(x: Field, y: Field, rng: np.random.Generator) -> Field:
    body = disc(x, y, (0, 0.62), (0.83, 1.42), power=3.2, soft=0.05)
    neck = disc(x, y, (0, -1.0), (0.24, 0.42), power=4, soft=0.05)
    shoulders = disc(x, y, (0, -0.42), (1.0, 0.34), power=2.6, soft=0.08)
    soft = np.maximum(np.maximum(body, neck), shoulders)
    field = 0.03 + 0.5 * soft + 0.02 * noise(rng, x.shape, 30) * soft
    scapulae = disc(x, y, (-0.74, -0.3), (0.12, 0.36), turn=0.25) + disc(
        x, y, (0.74, -0.3), (0.12, 0.36), turn=-0.25
    )
    return np.asarray(field + 0.08 * scapulae + 0.12 * edge(y - 0.62, 0.25) * body)


def _lungs(x: Field, y: Field) -> Field:
    right = disc(x, y, (-0.37, 0.02), (0.30, 0.72), turn=0.10, power=2.5, soft=0.03)
    left = disc(x, y, (0.38, 0.02), (0.29, 0.72), turn=-0.10, power=2.5, soft=0.03)
    right = right * (1 - disc(x, y, (-0.36, 0.98), (0.50, 0.52), soft=0.02))
    left = left * (1 - disc(x, y, (0.42, 1.03), (0.50, 0.52), soft=0.02))
    return np.maximum(right, left)


def _vessels(x: Field, y: Field, rng: np.random.Generator) -> Field:
    near = np.maximum(
        np.exp(-(radius(x, y, (-0.14, -0.02), (0.26, 0.36)) ** 2)),
        np.exp(-(radius(x, y, (0.15, -0.05), (0.26, 0.36)) ** 2)),
    )
    angle = np.arctan2(y + 0.02, np.abs(x) - 0.1)
    streaks = np.clip(np.sin(angle * 17 + 2.4 * noise(rng, x.shape, 22)), 0.25, 1) - 0.25
    return np.asarray(0.05 + 0.24 * near * streaks + 0.18 * near**3 + 0.012 * noise(rng, x.shape, 3))


def _mediastinum(film: Field, x: Field, y: Field, wide: float) -> Field:
    film = over(film, 0.66, disc(x, y, (0.0, 0.05), (0.125, 1.4), power=4, soft=0.05))
    film = over(film, 0.70, 0.9 * disc(x, y, (0.12, -0.29), (0.10, 0.12), soft=0.03))
    film = over(film, 0.74, disc(x, y, (0.13, 0.29), (0.34 * wide, 0.29), turn=0.55, soft=0.03))
    film = over(film, 0.72, disc(x, y, (-0.09, 0.28), (0.14 * wide, 0.25), soft=0.03))
    film = over(film, 0.40, 0.8 * disc(x, y, (0.0, -0.62), (0.055, 0.46), power=4, soft=0.03))
    discs = 0.5 + 0.5 * np.cos(2 * np.pi * y / 0.125)
    film = film + 0.055 * disc(x, y, (0, 0), (0.095, 1.2), power=6, soft=0.02) * discs**2
    bubble = disc(x, y, (0.40, 0.66), (0.14, 0.08), turn=0.2, soft=0.03)
    return np.asarray(film - 0.22 * bubble)


def _ribs(x: Field, y: Field) -> Field:
    span = np.abs(x)
    cage = disc(x, y, (0, 0.1), (0.74, 0.98), power=2.8, soft=0.03) * edge(span - 0.07, 0.03)
    field = np.zeros_like(x)
    for k in range(10):
        path = -0.84 + 0.155 * k + 0.10 * np.sin(np.clip(span, 0, 0.5) * np.pi / 0.5 - 0.6) + 0.75 * span**2
        across = (y - path) / 0.036
        field += 0.12 * edge(1 - np.abs(across), 0.25) + 0.06 * np.exp(-(((np.abs(across) - 1) / 0.22) ** 2))
    for k in range(6):
        path = -0.22 + 0.165 * k - 0.62 * (span - 0.2)
        field += 0.05 * edge(1 - np.abs((y - path) / 0.042), 0.4) * edge(span - 0.26, 0.06)
    collar = -0.66 - 0.14 * np.sin((span - 0.05) * 3.4) + 0.06 * span
    clavicle = edge(1 - np.abs((y - collar) / 0.04), 0.3) * edge(span - 0.08, 0.03) * edge(0.78 - span, 0.04)
    return np.asarray(np.clip(field, 0, 0.26) * cage + 0.17 * clavicle)


def _finding(film: Field, x: Field, y: Field, finding: str, lungs: Field, rng: np.random.Generator) -> Field:
    cloud = noise(rng, x.shape, 9)
    if finding == "consolidation":
        patch = np.exp(-(radius(x, y, (-0.40, 0.26), (0.22, 0.20)) ** 4)) * lungs
        film = film + patch * (0.30 + 0.06 * cloud)
    elif finding == "effusion":
        level = 0.30 - 2.6 * np.clip(x - 0.36, 0, 1) ** 2
        film = over(film, 0.70, edge(y - level, 0.07) * lungs * edge(x - 0.14, 0.05))
    elif finding == "nodule":
        film = film + 0.30 * disc(x, y, (-0.40, -0.28), (0.062, 0.058), soft=0.018)
    elif finding == "mass":
        film = film + (0.36 + 0.02 * cloud) * disc(x, y, (0.36, -0.30), (0.17, 0.15), turn=0.4, soft=0.03)
    elif finding == "pneumothorax":
        inner = disc(x, y, (-0.27, 0.1), (0.20, 0.62), turn=0.08, power=2.4, soft=0.012)
        film = film - 0.12 * lungs * (1 - inner) * (x < -0.08) + 0.10 * inner * lungs
        rim = np.exp(-(((radius(x, y, (-0.27, 0.1), (0.20, 0.62), turn=0.08, power=2.4) - 1) / 0.03) ** 2))
        film = film + 0.16 * rim * lungs * (x < -0.1)
    elif finding == "pacemaker":
        film = over(film, 0.97, disc(x, y, (0.56, -0.50), (0.13, 0.11), turn=0.5, power=3))
        for lead, depth in ((0.0, 0.40), (0.05, 0.22)):
            path = 0.48 - 0.60 * edge(y + 0.36 + lead, 0.30) + 0.40 * edge(y - depth, 0.22)
            film = over(film, 0.95, edge(0.010 - np.abs(x - path), 0.006) * (y > -0.5) * (y < depth + 0.05))
    elif finding == "oedema":
        wings = np.exp(-(radius(np.abs(x), y, (0.24, 0.04), (0.24, 0.38)) ** 2)) * lungs
        film = film + wings * (0.26 + 0.06 * cloud)
    elif finding == "miliary":
        film = film + 0.10 * lungs * np.clip(noise(rng, x.shape, 2.2) - 0.6, 0, 1.4)
    return np.asarray(film)


def _mark(picture: Image.Image, finding: str) -> None:
    spots = {
        "consolidation": (-0.62, 0.20, np.pi),
        "nodule": (-0.48, -0.28, np.pi),
        "mass": (0.52, -0.34, 0.0),
        "effusion": (0.62, 0.20, 0.0),
        "pneumothorax": (-0.50, -0.1, np.pi),
    }
    dx, dy, angle = spots[finding]
    half = picture.height / 2
    arrow(picture, (picture.width / 2 + dx * half, half + dy * half), angle, 255)
