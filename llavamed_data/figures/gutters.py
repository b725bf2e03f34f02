"""Counts the panels of a figure's image by what parts them: the paper keeps "a single plot" (section 3).

Three signs are looked for, on the image and then again on each part that it falls into:

- a gutter: an empty band right across, white or black, with content that begins along its straight edge;
- a soft gutter: slices on black laid side by side leave a band without an edge, and count as panels if the parts on
  both sides are of like size: the table below a CT slice and a line of text are not;
- a seam: panels that touch, told by a step in brightness along one straight line right across.

What is thin, small or nearly empty (a colour bar, a line of text, a letter) is no panel. Lungs beside a bright
mediastinum and tissue with white clefts have empty bands too, but these end in curves and do not go right across.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from PIL import Image

_Gray = npt.NDArray[np.uint8]
_Flags = npt.NDArray[np.bool_]
_Shares = npt.NDArray[np.float64]
_Steps = npt.NDArray[np.float64]

_WORKING_SIDE = 1024
"""Pixels of the longer side at most; larger images are reduced by a whole factor, so that thin gutters stay."""

_POOL = 4
"""Pixels averaged along a line: across it nothing is lost, and JPEG noise and grain are."""

_WHITE, _BLACK = 222, 34
"""Grey levels from which and up to which a pixel passes for white or black: JPEG at quality 50 rings so far."""

_EMPTY = 0.985
"""Share of a line in the colour of a gutter that makes the line part of one: a letter's stroke may cross it."""

_SHARP, _SHARP_ONE = 0.22, 0.55
"""Share of content right beside a gutter: at least the first on both sides and the second on one of them."""

_ALIKE, _ALIKE_ACROSS = 0.3, 0.6
"""Parts on one ground are panels if they have these shares of the largest one's length and breadth."""

_STRETCHES = 16
"""A line is looked at in so many stretches when a seam is sought."""

_STEP, _STEP_RATIO, _STILL = 6.0, 1.4, 2.0
"""A stretch votes for a seam if the step there has so many grey levels and so many times the steps around it; where
no step reaches the third number the ground is even and has no vote."""

_VOTES, _VOTERS = 0.6, 0.9
"""Votes that make a seam, as a share of the voters, and voters reckoned at least, as a share of the stretches."""

_SEAM_FILL = 0.2
"""Share neither white nor black that each side of a seam has at least: a black side bar is no panel."""

_LEAST_SIDE, _LEAST_AREA, _LEAST_FILL = 0.1, 0.012, 0.22
"""What makes a panel: shares of the image's shorter side, of its area, and of what is not white in the part."""

_MOST_SLENDER = 6.0

_TONE_LEVELS, _LEAST_TONE, _MOST_EVEN = 11, 0.45, 0.78
"""A chart's bar or a legend's patch, no picture: one tone of so many grey levels has the second share, and with the
white around it the third."""

_DEEPEST = 5


@dataclass(frozen=True, slots=True)
class _Part:
    """A rectangle of the image, held twice.

    Attributes:
        rows: every row; columns averaged by `_POOL`.
        columns: every column as a row of the array; rows averaged by `_POOL`.
    """

    rows: _Gray
    columns: _Gray

    @property
    def transposed(self) -> "_Part":
        """The same with rows for columns."""
        return _Part(self.columns, self.rows)

    def crop(self, start: int, stop: int) -> "_Part":
        """Returns rows `start` to `stop`."""
        return _Part(self.rows[start:stop], self.columns[:, start // _POOL : -(-stop // _POOL)])

    def cut(self, lines: list[int]) -> list["_Part"]:
        """Returns the pieces between rows `lines`."""
        return [self.crop(start, stop) for start, stop in pairwise([0, *lines, len(self.rows)])]


@dataclass(frozen=True, slots=True)
class _PanelMinimum:
    """The least length of a panel's shorter side and its least area, in working pixels."""

    side: float
    area: float


def count_panels(image: Image.Image) -> int:
    """Returns how many panels the gutters and seams of `image` tell apart, at least 1; any mode, any size."""
    gray = _working_gray(image)
    height, width = gray.shape
    minimum = _PanelMinimum(max(16.0, _LEAST_SIDE * min(height, width)), _LEAST_AREA * height * width)
    return max(1, _panels_in(_Part(_pooled(gray), _pooled(np.ascontiguousarray(gray.T))), minimum, 0))


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


def _pooled(gray: _Gray) -> _Gray:
    whole = gray.shape[1] // _POOL * _POOL
    if whole == 0:
        return gray
    total = gray[:, 0:whole:_POOL].astype(np.uint16)
    for offset in range(1, _POOL):
        total += gray[:, offset:whole:_POOL]
    return (total // _POOL).astype(np.uint8)


def _panels_in(part: _Part, minimum: _PanelMinimum, depth: int) -> int:
    part = _without_margins(part)
    if not _is_large(part, minimum):
        return 0
    pieces = _pieces(part, minimum) if depth < _DEEPEST else [part]
    if len(pieces) > 1:
        return sum(_panels_in(piece, minimum, depth + 1) for piece in pieces)
    return int(_is_panel(part))


def _is_large(part: _Part, minimum: _PanelMinimum) -> bool:
    height, width = len(part.rows), len(part.columns)
    return min(height, width) >= minimum.side and height * width >= minimum.area


def _is_panel(part: _Part) -> bool:
    shape = len(part.rows), len(part.columns)
    counts = np.bincount(part.rows.ravel(), minlength=256) / part.rows.size
    white = float(counts[_WHITE:].sum())  # a black ground belongs to the picture, a white page does not
    tone = float(np.convolve(counts[_BLACK + 1 : _WHITE], np.ones(_TONE_LEVELS)).max())
    is_bar = tone >= _LEAST_TONE and tone + white >= _MOST_EVEN
    return max(shape) <= _MOST_SLENDER * min(shape) and 1 - white >= _LEAST_FILL and not is_bar


def _without_margins(part: _Part) -> _Part:
    part = _without_margin_rows(part)
    inner = _without_margin_rows(part.transposed).transposed
    if len(inner.columns) == len(part.columns):
        return inner
    return _without_margin_rows(inner)  # rows that a margin of columns had hidden


def _without_margin_rows(part: _Part) -> _Part:
    """Returns `part` without white rows at its ends, and without black ones that end in a straight edge."""
    first, last = 0, len(part.rows)
    for ground, always in ((part.rows >= _WHITE, True), (part.rows <= _BLACK, False)):
        shares = _shares(ground)
        filled = np.flatnonzero(shares < _EMPTY)
        if not filled.size:
            continue
        top, bottom = int(filled[0]), int(filled[-1]) + 1
        if always or _content(shares, top, 1) >= _SHARP_ONE:
            first = max(first, top)
        if always or _content(shares, bottom - 1, -1) >= _SHARP_ONE:
            last = min(last, bottom)
    return part.crop(first, last) if first < last else part


def _shares(ground: _Flags) -> _Shares:
    """Returns the share of each row that is ground."""
    return np.asarray(np.add.reduce(ground, axis=1, dtype=np.uint16) / max(ground.shape[1], 1))


def _content(shares: _Shares, row: int, step: int) -> float:
    """Returns the largest share of other colours in the three rows from `row` onwards in the direction of `step`."""
    rows = shares[row : row + 3] if step > 0 else shares[max(0, row - 2) : row + 1]
    return 1 - float(rows.min())


def _pieces(part: _Part, minimum: _PanelMinimum) -> list[_Part]:
    """Returns the pieces of `part` along the axis that has the more lines to cut; `part` alone where there is none."""
    for lines_in in (_gutters, _seams):
        rows, columns = lines_in(part.rows, minimum), lines_in(part.columns, minimum)
        if len(rows) >= len(columns) > 0 or (rows and not columns):
            return part.cut(rows)
        if columns:
            return [piece.transposed for piece in part.transposed.cut(columns)]
    return [part]


def _gutters(levels: _Gray, minimum: _PanelMinimum) -> list[int]:
    """Returns the middles of the bands that part panels."""
    found: set[int] = set()
    for ground in (levels >= _WHITE, levels <= _BLACK):
        shares = _shares(ground)
        empty = shares >= _EMPTY
        sharp = [run for run in _runs(empty) if _is_sharp(shares, *run)]
        found.update((start + stop) // 2 for start, stop in sharp)
        if not sharp:
            found.update(_soft_gutters(ground, empty, minimum))
    lines = sorted(found)
    large = [stop - start >= minimum.side for start, stop in pairwise([0, *lines, len(levels)])]
    return lines if sum(large) > 1 else []


def _is_sharp(shares: _Shares, start: int, stop: int) -> bool:
    if start == 0 or stop == len(shares):
        return False
    before, after = _content(shares, start - 1, -1), _content(shares, stop, 1)
    return bool(min(before, after) >= _SHARP and max(before, after) >= _SHARP_ONE)


def _soft_gutters(ground: _Flags, empty: _Flags, minimum: _PanelMinimum) -> list[int]:
    """Returns the middles of the bands between parts of like size, past smaller ones (a table, a line of text)."""
    bodies = [(start, stop, _breadth(ground[start:stop])) for start, stop in _runs(~empty)]
    if len(bodies) < 2:
        return []
    longest, broadest = max(stop - start for start, stop, _ in bodies), max(breadth for *_, breadth in bodies)
    large = [
        (start, stop)
        for start, stop, breadth in bodies
        if stop - start >= max(_ALIKE * longest, minimum.side) and breadth >= _ALIKE_ACROSS * broadest
    ]
    return [(stop + start) // 2 for (_, stop), (start, _) in pairwise(large)]


def _breadth(ground: _Flags) -> int:
    filled = np.flatnonzero(_shares(ground.T) < _EMPTY)
    return int(filled[-1] - filled[0]) + 1 if filled.size else 0


def _runs(flags: _Flags) -> Iterator[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(np.concatenate(([False], flags, [False])).astype(np.int8)))
    return ((int(start), int(stop)) for start, stop in edges.reshape(-1, 2))


def _seams(levels: _Gray, minimum: _PanelMinimum) -> list[int]:
    """Returns the rows where panels touch: most stretches of the row have a step that stands out from those around."""
    margin = int(minimum.side)
    if len(levels) <= 2 * margin or levels.shape[1] < _STRETCHES:
        return []
    profile = _steps(levels)
    around = _around(profile)
    lasting = (
        _lasting_steps(levels) >= _STEP
    )  # on both sides of a thin line, a midline say, the levels are the same
    votes = ((profile >= _STEP) & (profile >= _STEP_RATIO * around) & lasting).sum(axis=1)
    voters = np.maximum((np.maximum(profile, around) >= _STILL).sum(axis=1), _VOTERS * _STRETCHES)
    steps = [int(row) + 1 for row in np.flatnonzero(votes >= _VOTES * voters)]
    lines = [line for line, following in pairwise([*steps, len(levels) + 9]) if following - line > 4]
    shown = (levels > _BLACK) & (levels < _WHITE)
    kept: list[int] = []
    for line, following in pairwise([*lines, len(levels)]):
        sides = (shown[kept[-1] if kept else 0 : line], shown[line:following])
        if all(len(side) >= margin and side.mean() >= _SEAM_FILL for side in sides):
            kept.append(line)
    return kept


def _steps(levels: _Gray) -> _Steps:
    """Returns the mean step in grey levels from each row to the next, by stretch; shape (rows - 1, stretches)."""
    return _by_stretch(_difference(levels[:-1], levels[1:]))


def _lasting_steps(levels: _Gray) -> _Steps:
    """Returns the same from the row four before to the row four after."""
    wide = np.zeros((len(levels) - 1, _STRETCHES))
    wide[3:-3] = _by_stretch(_difference(levels[:-7], levels[7:]))
    return wide


def _difference(one: _Gray, other: _Gray) -> _Gray:
    return np.maximum(one, other) - np.minimum(one, other)


def _by_stretch(steps: _Gray) -> _Steps:
    firsts = np.linspace(0, steps.shape[1], _STRETCHES, endpoint=False).astype(np.intp)
    lengths = np.diff(firsts, append=steps.shape[1])
    return np.asarray(np.add.reduceat(steps, firsts, axis=1, dtype=np.uint32) / lengths)


def _around(profile: _Steps) -> _Steps:
    """Returns for each row of `profile` the largest value four to seven rows off, past the end of a blurred step."""
    around = np.zeros_like(profile)
    for distance in range(4, 8):
        np.maximum(around[distance:], profile[:-distance], out=around[distance:])
        np.maximum(around[:-distance], profile[distance:], out=around[:-distance])
    return around
