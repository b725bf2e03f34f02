"""Tests whether an image file is sound: readable, whole, bounded, and of a format that every later tool can read.

The bytes decide, never the name: PMC holds PNG files called `.jpg` and upper-case suffixes. They are only looked at;
what is published is the file as it came.

Whether a JPEG or PNG reaches its own end is read from its structure, without decoding. Pillow pads what is missing when
somebody sets `ImageFile.LOAD_TRUNCATED_IMAGES`, and libjpeg by itself forgives a lost end marker; a file is judged here
whatever those settings are.

Everything else is decoded as `datasets.Image` does, EXIF metadata included: what passes here, `load_dataset` decodes.
"""

import io
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from PIL import Image, UnidentifiedImageError

from llavamed_data.errors import one_line
from llavamed_data.io.images import decode_upright, is_over_8_bits
from llavamed_data.reasons import Drop, Reason

FORMATS = ("JPEG", "PNG", "GIF", "TIFF", "WEBP", "BMP")
"""Formats allowed: what PMC's figures come in, and what `datasets.Image` decodes with Pillow alone."""

_STARTS: Mapping[bytes, str] = {
    b"\xff\xd8": "JPEG",
    b"\x89PNG": "PNG",
    b"GIF8": "GIF",
    b"II*\x00": "TIFF",
    b"MM\x00*": "TIFF",
    b"II+\x00": "TIFF",
    b"MM\x00+": "TIFF",
    b"RIFF": "WEBP",
    b"BM": "BMP",
}

_FOREIGN: Mapping[bytes, str] = {
    b"%PDF": "a PDF file",
    b"%!PS": "a PostScript file",
    b"\xc5\xd0\xd3\xc6": "a PostScript file",
    b"PK\x03\x04": "a ZIP archive",
    b"\x1f\x8b": "a gzip archive",
    b"\x00\x00\x00\x0cjP  ": "a JPEG 2000 image",
    b"\xff\x4f\xff\x51": "a JPEG 2000 image",
    b"\x00\x00\x01\x00": "an icon",
    b"8BPS": "a Photoshop file",
    b"<": "a text of markup (HTML, XML or SVG)",
    b"version https://git-lfs": "a Git LFS pointer",
}

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_JPEG_ALONE = frozenset({0x01, *range(0xD0, 0xD9)})  # markers without a length: TEM, RST0-7, SOI
_JPEG_SCAN, _JPEG_END = 0xDA, 0xD9
_AFTER_SCAN = re.compile(rb"\xff+[^\x00\xff\xd0-\xd7]", re.DOTALL)  # inside a scan: stuffed FF00 and restarts


@dataclass(frozen=True, slots=True)
class ImageLimits:
    """The bounds that a figure's image must keep.

    Attributes:
        bytes: most bytes of the file.
        pixels: most pixels, width times height, judged from the header before anything is decoded.
        side: least pixels of the shorter side; what is smaller is an icon, a rule or a spacer.
    """

    bytes: int = 64 * 2**20
    pixels: int = 80_000_000
    side: int = 32


@dataclass(frozen=True, slots=True)
class SoundImage:
    """An image that passed every test.

    Attributes:
        format: one of `FORMATS`.
        width, height: pixels, turned as the EXIF metadata asks.
        image: the first frame, decoded in full and turned, in the file's own mode.
    """

    format: str
    width: int
    height: int
    image: Image.Image


def inspect_image(data: bytes, limits: ImageLimits = ImageLimits()) -> SoundImage:
    """Opens and decodes `data` in full, and raises if it is not sound.

    A JPEG or PNG must also reach its own end marker. A JPEG that was cut and then closed with an end marker decodes
    (libjpeg fills the rest with grey) and cannot be told from a whole one.

    Raises:
        Drop: IMAGE_EMPTY, IMAGE_TOO_LARGE (bytes or pixels), IMAGE_TOO_SMALL, IMAGE_NOT_ALLOWED (a known format
            that is not in `FORMATS`), IMAGE_TOO_DEEP (16 or 32 bits a channel, which come out white or black in RGB),
            IMAGE_TRUNCATED (the file ends before the image does) or IMAGE_UNREADABLE (its metadata included).
    """
    if not data:
        raise Drop(Reason.IMAGE_EMPTY)
    if len(data) > limits.bytes:
        raise Drop(Reason.IMAGE_TOO_LARGE, f"{len(data):,} bytes, at most {limits.bytes:,}")
    expected = _format_of(data)
    image = _open(data, expected)
    width, height = image.size
    if width * height > limits.pixels:
        raise Drop(Reason.IMAGE_TOO_LARGE, f"{width} × {height} pixels, at most {limits.pixels:,}")
    if min(width, height) < limits.side:
        raise Drop(Reason.IMAGE_TOO_SMALL, f"{width} × {height} pixels, at least {limits.side} a side")
    if is_over_8_bits(image):
        raise Drop(Reason.IMAGE_TOO_DEEP, f"{expected} of Pillow's mode {image.mode}")
    decoded = _decode(image, data, expected)
    return SoundImage(expected, decoded.width, decoded.height, decoded)


def _format_of(data: bytes) -> str:
    for start, name in _STARTS.items():
        if data.startswith(start):
            return name
    for start, name in _FOREIGN.items():
        if data.lstrip().startswith(start):
            raise Drop(Reason.IMAGE_NOT_ALLOWED, name)
    if data[4:8] == b"ftyp":
        raise Drop(Reason.IMAGE_NOT_ALLOWED, "an HEIF or AVIF image, or a video")
    raise Drop(
        Reason.IMAGE_UNREADABLE, f"begins with {data[:8].hex(' ')}, which is no image format known here"
    )


def _open(data: bytes, expected: str) -> Image.Image:
    try:
        return Image.open(io.BytesIO(data), formats=(expected,))
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise Drop(Reason.IMAGE_TOO_LARGE, str(error)) from error
    except MemoryError:
        raise
    except Exception as error:
        # plugins raise anything on hostile bytes: struct, Key-, Value-, SyntaxError, …
        raise _failure(error, data, expected) from error


def _decode(image: Image.Image, data: bytes, expected: str) -> Image.Image:
    if not _WHOLE.get(expected, bool)(data):
        raise Drop(Reason.IMAGE_TRUNCATED, f"{len(data):,} bytes without the end of a {expected}")
    try:
        return decode_upright(image)
    except MemoryError:
        raise
    except Exception as error:  # as above
        raise _failure(error, data, expected) from error


def _failure(error: Exception, data: bytes, expected: str) -> Drop:
    whole = _WHOLE.get(expected)
    cut = not whole(data) if whole else "truncated" in str(error) or isinstance(error, EOFError)
    detail = (
        "no header that Pillow can read"
        if isinstance(error, UnidentifiedImageError)
        else one_line(f"{type(error).__name__}: {error}")
    )
    return Drop(Reason.IMAGE_TRUNCATED if cut else Reason.IMAGE_UNREADABLE, f"{expected}: {detail}")


def _jpeg_is_whole(data: bytes) -> bool:
    """Returns whether the markers lead from the first to the end-of-image marker with at least one scan between."""
    position, scans = 2, 0
    while (marker := _AFTER_SCAN.search(data, position)) is not None:
        code, position = data[marker.end() - 1], marker.end()
        if code == _JPEG_END:
            return scans > 0
        if code in _JPEG_ALONE:
            continue
        if position + 2 > len(data):
            return False
        position += int.from_bytes(data[position : position + 2], "big")
        scans += code == _JPEG_SCAN
    return False


def _png_is_whole(data: bytes) -> bool:
    """Returns whether the chunks lead to a whole `IEND`."""
    position = len(_PNG_SIGNATURE)
    while position + 12 <= len(data):
        length, kind = int.from_bytes(data[position : position + 4], "big"), data[position + 4 : position + 8]
        position += 12 + length
        if kind == b"IEND":
            return position <= len(data)
    return False


_WHOLE: Mapping[str, Callable[[bytes], bool]] = {"JPEG": _jpeg_is_whole, "PNG": _png_is_whole}
