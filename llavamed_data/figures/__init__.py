"""Figures: which domain a caption speaks of, whether there is one plot, whether the image is sound.

No text generation and no I/O: captions, bytes and images in, verdicts out.
"""

from llavamed_data.figures.domains import domain_of, domains_of
from llavamed_data.figures.gutters import count_panels, image_is_single_plot
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
    "image_is_single_plot",
    "inspect_image",
]
