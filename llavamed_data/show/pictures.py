"""Images made small enough to be looked at; bytes from a dataset are decoded with care."""

import io

from PIL import Image

from llavamed_data.validation.images import FORMATS, MAX_PIXELS


def thumbnail(data: object, width: int, height: int) -> Image.Image | None:
    """The image in RGB, within `width` × `height` pixels and never enlarged; None where it does not decode.

    An image with more pixels than `load_dataset` opens counts as one that does not.
    """
    if not isinstance(data, bytes) or not data:
        return None
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                return None
            image.draft("RGB", (2 * width, 2 * height))
            made = image.convert("RGB")
            made.thumbnail((width, height))
    except (
        Exception
    ):  # Pillow's decoders raise anything on hostile bytes; the caller says that there is no picture
        return None
    return made


def as_jpeg(image: Image.Image) -> bytes:
    """The image as a JPEG file."""
    file = io.BytesIO()
    image.save(file, "JPEG", quality=82)
    return file.getvalue()
