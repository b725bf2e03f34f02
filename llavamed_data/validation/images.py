"""Does an image decode."""

import io

from PIL import Image

FORMATS = ("JPEG", "PNG", "GIF", "TIFF", "WEBP", "BMP")
"""What Pillow reads by itself (it opens MPO as JPEG); EPS would start another program on untrusted bytes."""

MAX_PIXELS = 2 * 89_478_485
"""Where Pillow itself, and so `load_dataset`, refuses to open an image as a decompression bomb."""


def image_fault(data: object) -> str | None:
    """What keeps `data` from being decoded to its last line; None if nothing does.

    A JPEG is decoded at an eighth of its size: every byte of it is read, and most of the arithmetic is saved.
    """
    if not isinstance(data, bytes):
        return None
    if not data:
        return "is empty"
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                return f"has {image.width:,} × {image.height:,} pixels, the most is {MAX_PIXELS:,}"
            image.draft(image.mode, (1, 1))
            image.load()
    except Exception as error:  # Pillow's decoders raise anything on hostile bytes
        return f"does not decode: {type(error).__name__}: {error}"[:200]
    return None
