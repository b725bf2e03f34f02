"""Which images a dataset may hold: those that `load_dataset` decodes to their last line, metadata included.

Images of more than 8 bits a channel decode, but whoever trains on them in RGB trains on white pictures.
"""

import io

from PIL import Image

from llavamed_data.io.images import decode_upright, is_over_8_bits

FORMATS = ("JPEG", "PNG", "GIF", "TIFF", "WEBP", "BMP")
"""The formats that Pillow decodes by itself (MPO as JPEG); EPS would start another program on untrusted bytes."""

MAX_PIXELS = 2 * 89_478_485
"""The number of pixels above which Pillow, and so `load_dataset`, refuses an image as a decompression bomb."""


def image_fault(data: object) -> str | None:
    """What keeps `load_dataset` from showing `data` to its last line; None if nothing does, or if it is not bytes.

    A JPEG is decoded at an eighth of its size: every byte of it is read, and most of the arithmetic is saved.
    """
    if not isinstance(data, bytes):
        return None
    if not data:
        return "is empty"
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                return f"has {image.width:,} × {image.height:,} pixels, more than {MAX_PIXELS:,}"
            if is_over_8_bits(image):
                return f"has over 8 bits a channel (Pillow's mode {image.mode}): white or black in RGB"
            image.draft(image.mode, (1, 1))
            decode_upright(image)
    except Exception as error:  # Pillow's decoders raise anything on hostile bytes
        return f"does not decode: {type(error).__name__}: {error}"[:200]
    return None
