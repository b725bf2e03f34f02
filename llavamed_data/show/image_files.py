"""Handles image bytes of a dataset with care, whatever they are: their type, a safe file name, a small picture."""

import io
import re
from pathlib import Path

import xxhash
from PIL import Image

from llavamed_data.dataset.reader import Row
from llavamed_data.io.images import decode_upright
from llavamed_data.validation.images import FORMATS, MAX_PIXELS

_TYPES = {
    b"\xff\xd8": (".jpg", "image/jpeg"),
    b"\x89PNG": (".png", "image/png"),
    b"GIF8": (".gif", "image/gif"),
    b"RIFF": (".webp", "image/webp"),
    b"BM": (".bmp", "image/bmp"),
    b"II*\x00": (".tif", "image/tiff"),
    b"MM\x00*": (".tif", "image/tiff"),
}
"""First bytes → suffix and media type; any other file is shown and named as plain bytes."""

_UNSAFE = re.compile(r"[^A-Za-z0-9_-]+")
_RESERVED = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d)", re.IGNORECASE)
"""Names of devices on Windows, which no file can have."""

_MOST_CHARACTERS = 80


def image_type(data: bytes) -> tuple[str, str]:
    """Suffix and media type by the first bytes, never by a name that came with them."""
    return next(
        (kind for start, kind in _TYPES.items() if data.startswith(start)),
        (".bin", "application/octet-stream"),
    )


def thumbnail(data: object, width: int, height: int) -> Image.Image | None:
    """The image in RGB, upright, within `width` × `height` pixels and never enlarged; None where it does not decode.

    An image with more pixels than `load_dataset` opens counts as one that does not decode.
    """
    if not isinstance(data, bytes) or not data:
        return None
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                return None
            longest = 2 * max(width, height)  # of either side: the image may be turned by 90 degrees
            image.draft("RGB", (longest, longest))
            small = decode_upright(image).convert("RGB")
            small.thumbnail((width, height))
    except Exception:  # Pillow's decoders raise anything on hostile bytes
        return None
    return small


def thumbnail_jpeg(data: object, longest: int) -> bytes | None:
    """The image as a JPEG of at most `longest` pixels a side; None where it does not decode."""
    small = thumbnail(data, longest, longest)
    if small is None:
        return None
    file = io.BytesIO()
    small.save(file, "JPEG", quality=82)
    return file.getvalue()


def write_image(image: Row, row: Row, folder: Path, names: "ImageFileNames") -> Path:
    """Writes an image of a row into a folder, under a name of its own, and returns its path."""
    name, _ = names.name(image["bytes"], image.get("path"), row.get("id"))
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.unlink(missing_ok=True)  # it may be a link to a file elsewhere
    path.write_bytes(image["bytes"])
    return path


class ImageFileNames:
    """Gives each image file of a folder a name of its own: letters, digits, `_` and `-`, one suffix, no path.

    The same bytes under the same name are one file; other bytes get a digest behind the name. Names that differ only in
    case count as the same, as they do on some disks.
    """

    def __init__(self) -> None:
        self._given: dict[str, tuple[str, bytes]] = {}

    def name(self, data: bytes, *proposals: str | None) -> tuple[str, bool]:
        """A name after the first proposal that has safe characters, and whether it is given for the first time."""
        suffix, _ = image_type(data)
        stem = next(filter(None, map(_safe_stem, proposals)), "image")
        digest = xxhash.xxh3_128_digest(data)
        for name in (stem + suffix, f"{stem}-{digest.hex()}{suffix}"):
            given = self._given.get(name.lower())
            if given is None:
                self._given[name.lower()] = name, digest
                return name, True
            if given[1] == digest:
                return given[0], False
        raise AssertionError("a name with its digest belongs to other bytes")


def _safe_stem(proposal: str | None) -> str:
    last = (proposal or "").replace("\\", "/").rsplit("/", 1)[-1]
    stem, dot, suffix = last.rpartition(".")
    safe = _UNSAFE.sub("_", stem if dot and len(suffix) <= 5 else last).strip("_-")[:_MOST_CHARACTERS]
    return f"image_{safe}" if _RESERVED.fullmatch(safe) else safe
