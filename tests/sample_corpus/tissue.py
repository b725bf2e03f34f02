"""Stained-tissue-like phantoms: haematoxylin and eosin, and immunohistochemistry."""

import numpy as np
from PIL import Image, ImageDraw

from tests.sample_corpus.canvas import Colour, Field, edge, label, noise, over, soften, to_image

SLIDE: Colour = (0.96, 0.94, 0.95)
STROMA: Colour = (0.91, 0.66, 0.76)
CYTOPLASM: Colour = (0.84, 0.54, 0.70)
NUCLEUS: Colour = (0.36, 0.20, 0.50)
BROWN: Colour = (0.48, 0.27, 0.14)
COUNTERSTAIN: Colour = (0.55, 0.62, 0.78)


def tissue(seed: int, pattern: str = "glands", size: tuple[int, int] = (384, 288)) -> Image.Image:
    """A stained section; patterns: glands, sheet, granuloma, muscle, glomerulus, follicles, ihc, squamous."""
    rng = np.random.default_rng(seed)
    canvas = _stroma(rng, size)
    draw = {
        "glands": _glands,
        "sheet": _sheet,
        "granuloma": _granuloma,
        "muscle": _muscle,
        "glomerulus": _glomerulus,
        "follicles": _follicles,
        "ihc": _ihc,
        "squamous": _squamous,
    }[pattern]
    canvas = draw(canvas, rng)
    canvas = canvas * (1 + 0.025 * noise(rng, canvas.shape[:2], 2)[..., None])
    picture = soften(to_image(canvas), 0.75)
    _scale_bar(picture)
    return picture


def _scale_bar(picture: Image.Image) -> None:
    width, height = picture.size
    ImageDraw.Draw(picture).rectangle((width - 84, height - 14, width - 14, height - 10), fill=(20, 20, 20))
    label(picture, "0.1 mm", (width - 72, height - 32), 14, (20, 20, 20))


def _stroma(rng: np.random.Generator, size: tuple[int, int]) -> Field:
    shape = (size[1], size[0])
    rows, columns = np.mgrid[0 : shape[0], 0 : shape[1]].astype(float)
    flow = 26 * noise(rng, shape, 40)
    fibres = np.sin((rows + 0.25 * columns + flow) / 3.2)
    canvas = over(np.ones((*shape, 3)) * SLIDE, STROMA, np.full(shape, 0.92))
    canvas = over(canvas, (0.86, 0.55, 0.69), 0.35 * edge(fibres, 0.8))
    return over(canvas, SLIDE, 0.7 * edge(noise(rng, shape, 7) - 1.9, 0.3))


def _stamp(
    canvas: Field,
    row: float,
    column: float,
    radii: tuple[float, float],
    turn: float,
    colour: Colour,
    strength: float = 0.9,
) -> None:
    """Draws one soft ellipse in place, touching only the pixels around it."""
    reach = int(max(radii) + 3)
    top, left = max(int(row) - reach, 0), max(int(column) - reach, 0)
    part = canvas[top : int(row) + reach + 1, left : int(column) + reach + 1]
    if part.size == 0 or row < -reach or column < -reach:
        return
    rows, columns = np.mgrid[top : top + part.shape[0], left : left + part.shape[1]].astype(float)
    dx, dy = columns - column, rows - row
    u = (np.cos(turn) * dx + np.sin(turn) * dy) / radii[0]
    v = (np.cos(turn) * dy - np.sin(turn) * dx) / radii[1]
    part[:] = over(part, colour, strength * edge(1 - np.hypot(u, v), 1.1 / min(radii)))


def _nucleus(
    canvas: Field,
    rng: np.random.Generator,
    row: float,
    column: float,
    size: float,
    turn: float,
    longer: float = 1.4,
    colour: Colour = NUCLEUS,
) -> None:
    shade = rng.uniform(-0.06, 0.08)
    tone = (colour[0] + shade, colour[1] + shade, colour[2] + shade)
    _stamp(canvas, row, column, (size * longer, size), turn, tone)
    pale = (tone[0] + 0.16, tone[1] + 0.14, tone[2] + 0.14)
    _stamp(canvas, row - 0.4, column + 0.4, (size * longer * 0.5, size * 0.5), turn, pale, 0.6)


def _spread(
    rng: np.random.Generator, shape: tuple[int, ...], count: int, gap: float
) -> list[tuple[float, float]]:
    """Up to `count` random places at least `gap` pixels apart."""
    places = np.empty((0, 2))
    for place in rng.uniform((0, 0), shape[:2], (count * 6, 2)):
        if len(places) < count and (((places - place) ** 2).sum(axis=1) > gap * gap).all():
            places = np.vstack([places, place])
    return [(float(row), float(column)) for row, column in places]


def _stromal_cells(canvas: Field, rng: np.random.Generator, count: int) -> None:
    for row, column in _spread(rng, canvas.shape, count, 13):
        _nucleus(canvas, rng, row, column, rng.uniform(1.6, 2.4), rng.normal(-0.2, 0.3), rng.uniform(2, 3.2))


def _glands(canvas: Field, rng: np.random.Generator) -> Field:
    _stromal_cells(canvas, rng, 130)
    for row, column in _spread(rng, canvas.shape, 12, 82):
        size, squash, turn = rng.uniform(24, 40), rng.uniform(0.62, 0.95), rng.uniform(0, np.pi)
        _stamp(canvas, row, column, (size + 9, (size + 9) * squash), turn, CYTOPLASM, 1)
        _stamp(canvas, row, column, (size * 0.56, size * 0.56 * squash), turn, SLIDE, 1)
        count = int(size * 0.95)
        for k in range(count):
            angle = 2 * np.pi * (k + rng.uniform(-0.25, 0.25)) / count
            across, along = (size + 3) * np.cos(angle), (size + 3) * squash * np.sin(angle)
            dx = np.cos(turn) * across - np.sin(turn) * along
            dy = np.sin(turn) * across + np.cos(turn) * along
            _nucleus(canvas, rng, row + dy, column + dx, 3.1, np.arctan2(dy, dx), 1.7)
    return canvas


def _sheet(canvas: Field, rng: np.random.Generator) -> Field:
    canvas = over(canvas, (0.88, 0.66, 0.78), np.full(canvas.shape[:2], 0.6))
    for row, column in _spread(rng, canvas.shape, 480, 11.5):
        size = rng.lognormal(1.35, 0.22)
        _nucleus(canvas, rng, row, column, size, rng.uniform(0, np.pi), rng.uniform(1.05, 1.6))
    return canvas


def _granuloma(canvas: Field, rng: np.random.Generator) -> Field:
    middle = (canvas.shape[0] * 0.5, canvas.shape[1] * 0.46)
    _stamp(canvas, *middle, (118, 112), 0.2, (0.90, 0.70, 0.79), 0.9)
    _stamp(canvas, *middle, (44, 38), 0.4, (0.87, 0.58, 0.66), 0.85)
    for row, column in _spread(rng, canvas.shape, 620, 8.6):
        away = np.hypot(row - middle[0], column - middle[1])
        turn = np.arctan2(row - middle[0], column - middle[1]) + np.pi / 2
        if 40 < away < 92 and rng.random() < 0.62:
            _nucleus(canvas, rng, row, column, 2.6, turn + rng.normal(0, 0.4), 2.1, (0.50, 0.34, 0.62))
        elif away >= 92 and rng.random() < np.exp(-(((away - 112) / 42) ** 2)):
            _nucleus(canvas, rng, row, column, 3.1, 0, 1.05, (0.28, 0.15, 0.44))
    for row, column in ((middle[0] - 30, middle[1] + 62), (middle[0] + 52, middle[1] - 40)):
        _stamp(canvas, row, column, (24, 19), 0.5, (0.86, 0.55, 0.68), 0.95)
        for angle in np.linspace(0.3, 4.8, 11):
            _nucleus(canvas, rng, row + 13 * np.sin(angle), column + 18 * np.cos(angle), 2.8, angle, 1.3)
    return canvas


def _muscle(canvas: Field, rng: np.random.Generator) -> Field:
    shape = canvas.shape[:2]
    rows, columns = np.mgrid[0 : shape[0], 0 : shape[1]].astype(float)
    across = rows * 0.86 + columns * 0.42 + 9 * noise(rng, shape, 30)
    strands = edge(np.sin(across / 4.6) + 0.72, 0.35)
    canvas = over(np.ones((*shape, 3)) * SLIDE, (0.86, 0.44, 0.56), strands)
    stripes = np.sin((columns * 0.86 - rows * 0.42) / 1.3)
    canvas = over(canvas, (0.74, 0.32, 0.47), 0.28 * strands * edge(stripes, 0.9))
    for row, column in _spread(rng, canvas.shape, 90, 20):
        _nucleus(canvas, rng, row, column, 2.7, -0.45, 2.3)
    centre = (shape[0] * 0.42, shape[1] * 0.62)
    for _ in range(150):
        row, column = rng.normal(centre, (26, 40))
        _nucleus(canvas, rng, row, column, 2.8, 0, 1.05, (0.28, 0.15, 0.44))
    return canvas


def _glomerulus(canvas: Field, rng: np.random.Generator) -> Field:
    middle = (canvas.shape[0] * 0.5, canvas.shape[1] * 0.5)
    for row, column in _spread(rng, canvas.shape, 40, 52):
        if np.hypot(row - middle[0], column - middle[1]) < 122:
            continue
        size = rng.uniform(19, 25)
        _stamp(canvas, row, column, (size, size * 0.85), rng.uniform(0, 3), (0.88, 0.56, 0.66), 1)
        _stamp(canvas, row, column, (size * 0.36, size * 0.3), 0, SLIDE, 1)
        for angle in np.linspace(0, 2 * np.pi, 9)[:-1] + rng.uniform(0, 1):
            _nucleus(
                canvas,
                rng,
                row + size * 0.58 * np.sin(angle),
                column + size * 0.66 * np.cos(angle),
                2.9,
                0,
                1.05,
            )
    _stamp(canvas, *middle, (96, 90), 0, (0.72, 0.38, 0.56), 1)
    _stamp(canvas, *middle, (92, 86), 0, SLIDE, 1)
    for _ in range(70):
        angle, away = rng.uniform(0, 2 * np.pi), 64 * np.sqrt(rng.random())
        row, column = middle[0] + away * np.sin(angle), middle[1] + away * np.cos(angle)
        _stamp(canvas, row, column, (13, 9), angle, (0.88, 0.58, 0.70), 0.85)
    for row, column in _spread(rng, canvas.shape, 700, 9.5):
        if np.hypot(row - middle[0], column - middle[1]) < 72:
            _nucleus(canvas, rng, row, column, 2.8, rng.uniform(0, 3), 1.25)
    return canvas


def _follicles(canvas: Field, rng: np.random.Generator) -> Field:
    for row, column in _spread(rng, canvas.shape, 60, 50):
        size = rng.uniform(17, 30)
        _stamp(canvas, row, column, (size + 4, size + 2), 0, (0.78, 0.52, 0.72), 1)
        _stamp(canvas, row, column, (size - 3, size - 5), 0, (0.94, 0.58, 0.68), 1)
        for angle in np.linspace(0, 2 * np.pi, int(size * 0.9)):
            _nucleus(
                canvas, rng, row + size * np.sin(angle), column + (size + 1) * np.cos(angle), 2.6, angle, 1.05
            )
    return canvas


def _ihc(canvas: Field, rng: np.random.Generator) -> Field:
    grey = np.ones(canvas.shape) * (0.90, 0.90, 0.92)
    canvas = over(grey, canvas, np.full(canvas.shape[:2], 0.12))
    for row, column in _spread(rng, canvas.shape, 360, 13):
        brown = rng.random() < 0.58
        if brown:
            _stamp(canvas, row, column, (8, 7), 0, (0.80, 0.66, 0.50), 0.6)
        _nucleus(
            canvas,
            rng,
            row,
            column,
            rng.uniform(3.4, 4.6),
            rng.uniform(0, 3),
            1.25,
            BROWN if brown else COUNTERSTAIN,
        )
    return canvas


def _squamous(canvas: Field, rng: np.random.Generator) -> Field:
    shape = canvas.shape[:2]
    rows, columns = np.mgrid[0 : shape[0], 0 : shape[1]].astype(float)
    surface = 34 + 5 * np.sin(columns / 40)
    base = 165 + 26 * np.sin(columns / 24 + 0.8 * np.sin(columns / 61))
    layer = edge(rows - surface, 2) * edge(base - rows, 2)
    canvas = over(canvas, SLIDE, edge(surface - rows, 2))
    canvas = over(canvas, (0.86, 0.58, 0.73), layer)
    canvas = over(canvas, (0.93, 0.48, 0.58), layer * edge(surface + 16 - rows, 5))
    for row, column in _spread(rng, canvas.shape, 700, 9.0):
        low, high = surface[0, int(column)], base[0, int(column)]
        depth = (row - low) / (high - low)
        if 0.12 < depth < 1:
            _nucleus(canvas, rng, row, column, 2.3 + 1.2 * depth, 1.5 * (depth > 0.85), 2.0 - 0.9 * depth)
        elif depth >= 1 and rng.random() < 0.35:
            _nucleus(canvas, rng, row, column, 2.0, rng.normal(0, 0.5), 2.2)
    return canvas
