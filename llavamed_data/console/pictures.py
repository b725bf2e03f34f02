"""Pictures in a terminal, as coloured blocks."""

import numpy as np
from PIL import Image
from rich.color import Color
from rich.console import Console
from rich.segment import Segment, Segments
from rich.style import Style

MOST_CHARACTERS_WIDE = 72
MOST_PIXELS_HIGH = 44


def shows_colours(console: Console) -> bool:
    """Whether a terminal has the colours that a picture needs."""
    return console.is_terminal and console.color_system in ("256", "truecolor", "windows")


def half_blocks(image: Image.Image) -> Segments:
    """An image as lines of ▀, two pixels a character: the upper one its colour, the lower one its background."""
    lines = np.asarray(image.convert("RGB")).tolist()
    segments = []
    for upper_line, lower_line in zip(lines[::2], lines[1::2], strict=False):  # an odd last line is left out
        for upper, lower in zip(upper_line, lower_line, strict=True):
            style = Style(color=Color.from_rgb(*upper), bgcolor=Color.from_rgb(*lower))
            segments.append(Segment("▀", style))
        segments.append(Segment.line())
    return Segments(segments)
