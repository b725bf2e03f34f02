"""Decodes an image as `load_dataset` does, so that what is called sound here decodes there."""

from PIL import ExifTags, Image, ImageOps


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
