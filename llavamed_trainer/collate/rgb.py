"""Images upright and in red, green and blue, as models of this package see them.

`export-task` copies this module into the tasks that it writes, so that other tools show a model the same image: it
needs NumPy and Pillow alone.
"""

import numpy as np
from PIL import Image, ImageOps

ORIENTATION = 0x0112
"""The EXIF tag that says how an image is turned."""

_DEEP_MODES = ("I", "F")
"""What the names of Pillow's modes of 16 and 32 bits begin with."""


def upright(image: Image.Image) -> Image.Image:
    """The image turned as its EXIF data say."""
    if image.getexif().get(ORIENTATION, 1) == 1:  # exif_transpose would copy it
        return image
    turned: Image.Image = ImageOps.exif_transpose(image)
    return turned


def to_rgb(image: Image.Image) -> Image.Image:
    """The image as RGB: deep grey scaled to its brightest value, transparent parts on white."""
    if image.mode.startswith(_DEEP_MODES):
        values = np.nan_to_num(np.asarray(image).astype(np.float64))
        values -= min(values.min(), 0)
        image = Image.fromarray((values * (255 / max(values.max(), 1e-12))).round().astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")
