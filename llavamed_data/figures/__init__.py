"""Tests of figures: which domains the caption names, whether there is a single plot, whether the image is sound.

Captions, bytes and images come in and answers go out: nothing here reads files or generates text.
"""

from llavamed_data.figures.domains import domain_of, domains_of
from llavamed_data.figures.gutters import count_panels
from llavamed_data.figures.panel_marks import caption_is_single_plot
from llavamed_data.figures.soundness import FORMATS, ImageLimits, SoundImage, inspect_image

__all__ = [
    "FORMATS",
    "ImageLimits",
    "SoundImage",
    "caption_is_single_plot",
    "count_panels",
    "domain_of",
    "domains_of",
    "inspect_image",
]
