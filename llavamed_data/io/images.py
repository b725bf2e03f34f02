"""Decodes an image as `load_dataset` does, and tells which would not look there as they are."""

from PIL import ExifTags, Image, ImageOps

_DEEP_MODES = ("I", "F")
"""What the names of Pillow's modes of 16 and 32 bits a channel begin with."""


def is_over_8_bits(image: Image.Image) -> bool:
    """Whether an opened image has more than 8 bits a channel, and comes out white or black in RGB.

    Colours of 16 bits a channel are not meant: Pillow opens those with 8 bits, and rightly.
    """
    return image.mode.startswith(_DEEP_MODES)


def decode_upright(image: Image.Image) -> Image.Image:
    """Decodes an opened image to its last line and turns it as its EXIF metadata asks.

    These are the steps of `datasets.Image`, which reads the metadata of every image: metadata that cannot be read or
    be written again for the turned image makes that image fail there, however whole its pixels are.

    Raises:
        Exception: whatever Pillow's decoders and its reader of metadata raise on damaged bytes.
    """
    image.load()
    if image.getexif().get(ExifTags.Base.Orientation) is None:
        return image
    return ImageOps.exif_transpose(image)
