"""Names of image files that are safe anywhere, whatever a dataset calls them."""

import re

import xxhash

_UNSAFE = re.compile(r"[^A-Za-z0-9_-]+")
_LONGEST = 80
_RESERVED = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d)", re.IGNORECASE)

_SUFFIXES = {
    b"\xff\xd8": (".jpg", "image/jpeg"),
    b"\x89PNG": (".png", "image/png"),
    b"GIF8": (".gif", "image/gif"),
    b"RIFF": (".webp", "image/webp"),
    b"BM": (".bmp", "image/bmp"),
    b"II*\x00": (".tif", "image/tiff"),
    b"MM\x00*": (".tif", "image/tiff"),
}
"""First bytes → suffix and media type; what is none of these is shown and named as plain bytes."""


def kind_of_image(data: bytes) -> tuple[str, str]:
    """Suffix and media type by what the bytes are, never by what somebody calls them."""
    return next(
        (kind for start, kind in _SUFFIXES.items() if data.startswith(start)),
        (".bin", "application/octet-stream"),
    )


class FileNames:
    """Gives image files names of their own: letters, digits, `_` and `-`, one suffix, no path.

    The same bytes under the same name are one file; other bytes get a digest behind the name. Names that differ only in
    case count as the same, as they do on some disks.
    """

    def __init__(self) -> None:
        self._taken: dict[str, tuple[str, bytes]] = {}

    def name(self, data: bytes, *wishes: str | None) -> tuple[str, bool]:
        """A name after the first of `wishes` that leaves something to call a file by, and whether it is new."""
        suffix, _ = kind_of_image(data)
        stem = next(filter(None, map(_stem, wishes)), "image")
        digest = xxhash.xxh3_128_digest(data)
        for name in (stem + suffix, f"{stem}-{digest.hex()}{suffix}"):
            there = self._taken.get(name.lower())
            if there is None:
                self._taken[name.lower()] = name, digest
                return name, True
            if there[1] == digest:
                return there[0], False
        raise AssertionError("a name with its digest belongs to other bytes")


def _stem(wish: str | None) -> str:
    last = (wish or "").replace("\\", "/").rsplit("/", 1)[-1]
    stem, dot, suffix = last.rpartition(".")
    plain = _UNSAFE.sub("_", stem if dot and len(suffix) <= 5 else last).strip("_-")[:_LONGEST]
    return f"image_{plain}" if _RESERVED.fullmatch(plain) else plain
