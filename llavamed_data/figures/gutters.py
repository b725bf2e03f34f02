"""How many panels a figure's image has, judged by the gutters between them (section 3: "a single plot").

A gutter is a band of one colour right across, white or black, with content that begins along its straight edge.

What is thin, small or nearly empty (a colour bar, a line of text, a letter) is no panel. A single CT slice with its
table, lungs beside a bright mediastinum and tissue with white clefts have empty bands too, but these end in curves.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from PIL import Image

_Gray = npt.NDArray[np.uint8]
_Share = npt.NDArray[np.float64]

_WORKING_SIDE = 1024
"""Pixels of the longer side at most; larger images are reduced by a whole factor."""

_WHITE, _BLACK = 222, 34
"""Grey levels from which and up to which a pixel passes for white or black: JPEG at quality 50 rings so far."""

_EMPTY = 0.985
"""Share of a line in the colour of a gutter that makes the line part of one: a letter's stroke may cross it."""

_SHARP, _SHARP_ONE = 0.22, 0.55
"""Share of content right beside a gutter: at least the first on both sides and the second on one of them."""

_LEAST_SIDE, _LEAST_AREA, _LEAST_FILL = 0.1, 0.012, 0.35
"""What makes a panel: shares of the image's shorter side, of its area, and of content in the part itself."""

_MOST_SLENDER = 6.0
_DEEPEST = 5


@dataclass(frozen=True, slots=True)
class _Least:
    """What a panel of this image has at least, in working pixels."""

    side: float
    area: float


def image_is_single_plot(image: Image.Image) -> bool:
    """True if the gutters of `image` tell at most one panel."""
    return count_panels(image) == 1


def count_panels(image: Image.Image) -> int:
    """Panels that gutters, grids and seams of `image` tell apart, at least 1; any mode, any size."""
    gray = _working_gray(image)
    height, width = gray.shape
    least = _Least(max(16.0, _LEAST_SIDE * min(height, width)), _LEAST_AREA * height * width)
    return max(1, _panels_in(gray, least, 0))


def _working_gray(image: Image.Image) -> _Gray:
    factor = -(-max(image.size) // _WORKING_SIDE)
    if image.mode.startswith(("I", "F")):
        levels = np.asarray(image, dtype=np.float64)[::factor, ::factor]
        low, high = float(levels.min()), float(levels.max())
        return ((levels - low) * (255 / max(high - low, 1e-9))).astype(np.uint8)
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        ground = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(ground, image.convert("RGBA"))
    gray = image.convert("L")
    return np.asarray(gray.reduce(factor) if factor > 1 else gray)


def _panels_in(part: _Gray, least: _Least, depth: int) -> int:
    part = _without_margins(part)
    if depth == _DEEPEST or not _is_panel(part, least):
        return int(_is_panel(part, least))
    pieces = _cut_at_gutters(part, least)
    return sum(_panels_in(piece, least, depth + 1) for piece in pieces) if len(pieces) > 1 else 1


def _is_panel(part: _Gray, least: _Least) -> bool:
    height, width = part.shape
    if min(height, width) < least.side or height * width < least.area:
        return False
    return max(height, width) <= _MOST_SLENDER * min(height, width) and _fill(part) >= _LEAST_FILL


def _fill(part: _Gray) -> float:
    """Share of `part` that is not white; black ground belongs to a panel, white ground to a page."""
    return 1 - np.count_nonzero(part >= _WHITE) / part.size


def _without_margins(part: _Gray) -> _Gray:
    for _ in range(2):  # the second round meets rows that a margin of columns had hidden
        part = _without_margin_rows(part)
        part = _without_margin_rows(part.T).T
    return part


def _without_margin_rows(part: _Gray) -> _Gray:
    if part.shape[0] < 3:
        return part
    white, black = _shares(part)
    first, last = 0, part.shape[0]
    for shares, always in ((white, True), (black, False)):
        empty = shares >= _EMPTY
        filled = np.flatnonzero(~empty)
        if not filled.size:
            continue
        top, bottom = int(filled[0]), int(filled[-1]) + 1
        if top and (always or _content(shares, top, 1) >= _SHARP_ONE):
            first = max(first, top)
        if bottom < len(empty) and (always or _content(shares, bottom - 1, -1) >= _SHARP_ONE):
            last = min(last, bottom)
    return part[first:last] if first < last else part


def _shares(part: _Gray) -> tuple[_Share, _Share]:
    """Of each row, the shares of white and of black pixels."""
    return np.mean(part >= _WHITE, axis=1), np.mean(part <= _BLACK, axis=1)


def _content(shares: _Share, row: int, step: int) -> float:
    """Most share of other colours in the three rows from `row` onwards in the direction of `step`."""
    rows = [row + step * distance for distance in range(3)]
    return max(1 - float(shares[r]) for r in rows if 0 <= r < len(shares))


def _cut_at_gutters(part: _Gray, least: _Least) -> list[_Gray]:
    """Pieces between gutters, along the axis that has the more of them."""
    across, along = _gutter_rows(part, least), _gutter_rows(part.T, least)
    if len(across) >= len(along):
        return _cut_rows(part, across)
    return [piece.T for piece in _cut_rows(part.T, along)]


def _gutter_rows(part: _Gray, least: _Least) -> list[int]:
    found = []
    for shares in _shares(part):
        for start, stop in _runs(shares >= _EMPTY):
            if start == 0 or stop == len(shares):
                continue
            before, after = _content(shares, start - 1, -1), _content(shares, stop, 1)
            if min(before, after) >= _SHARP and max(before, after) >= _SHARP_ONE:
                found.append((start + stop) // 2)
    return _apart(sorted(found), len(part), least)


def _runs(flags: npt.NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(np.concatenate(([False], flags, [False])).astype(np.int8)))
    return ((int(start), int(stop)) for start, stop in edges.reshape(-1, 2))


def _apart(lines: list[int], length: int, least: _Least) -> list[int]:
    """Those of `lines` that leave something of a panel's size on at least one side of each."""
    edges = [0, *lines, length]
    large = [stop - start >= least.side for start, stop in pairwise(edges)]
    return lines if sum(large) > 1 else []


def _cut_rows(part: _Gray, lines: list[int]) -> list[_Gray]:
    edges = [0, *lines, len(part)]
    return [part[start:stop] for start, stop in pairwise(edges)]
