"""The images that users keep beside the released files, by name."""

import os
from collections.abc import Iterator
from pathlib import Path

from llavamed_data.errors import UsageError
from llavamed_data.reasons import Drop, Reason
from llavamed_data.sources.released.packed import PackedTable

_SUFFIXES = (".jpg", ".jpeg", ".png", ".gif", ".tif", ".tiff", ".bmp", ".webp")

_LONGEST_NAME = 255  # bytes, on every common file system


class ImageFolder:
    """Images by file name, in a folder or any folder below it. Names come from rows and are not trusted.

    Args:
        folder: a local folder.
        max_bytes: a larger file is dropped unread.

    Raises:
        UsageError: there is no such folder.
    """

    def __init__(self, folder: str | os.PathLike[str], *, max_bytes: int = 100 << 20) -> None:
        self._root = Path(folder)
        self._max_bytes = max_bytes
        self._below: PackedTable | None = None
        if not self._root.is_dir():
            raise UsageError(f"there is no folder of images {folder}")

    def read(self, image: str) -> bytes | Drop:
        """The bytes of the file of that name; else of one whose suffix differs in case or kind.

        Args:
            image: `<pair_id>.jpg`.

        Returns:
            The bytes, which may be none at all, or the drop: no such file, one that cannot be read, or a link
            that leads out of the folder.
        """
        if not _is_plain(image):
            return Drop(Reason.IMAGE_MISSING, f"{image[:40]!a} is not a plain name")
        path = self._find(image)
        if path is None:
            return Drop(Reason.IMAGE_MISSING, image)
        if not path.resolve().is_relative_to(self._root.resolve()):
            return Drop(Reason.IMAGE_MISSING, f"{image}: a link that leads out of the folder")
        return self._bytes(path, image)

    def _bytes(self, path: Path, image: str) -> bytes | Drop:
        try:
            with path.open("rb") as file:
                content = file.read(self._max_bytes + 1)
        except OSError as error:
            return Drop(Reason.IMAGE_UNREADABLE, f"{image}: {error.strerror}")
        if len(content) > self._max_bytes:
            return Drop(Reason.IMAGE_TOO_LARGE, f"{image}: more than {self._max_bytes:,} bytes")
        return content

    def _find(self, image: str) -> Path | None:
        direct = self._root / image
        if direct.is_file():
            return direct
        if self._below is None:
            self._below = PackedTable(self._files())
        # an exact name wins, then a JPEG under another suffix, then what comes first by name
        found = sorted(self._below.texts(_stem(image)), key=lambda path: _nearness(image, path))
        return self._root / found[0] if found else None

    def _files(self) -> Iterator[tuple[str, str]]:
        for folder, folders, names in os.walk(self._root):
            folders.sort()
            below = Path(folder).relative_to(self._root)
            for name in sorted(names):
                if Path(name).suffix.lower() in _SUFFIXES and (Path(folder) / name).is_file():
                    yield _stem(name), str(below / name)


def _is_plain(name: str) -> bool:
    try:
        length = len(name.encode())
    except UnicodeEncodeError:
        return False
    return name not in ("", ".", "..") and not set(name) & set("/\\\0") and length <= _LONGEST_NAME


def _stem(name: str) -> str:
    path = Path(name)
    return path.stem if path.suffix.lower() in _SUFFIXES else name


def _nearness(image: str, found: str) -> tuple[bool, int, str]:
    path = Path(found)
    return path.name != image, _SUFFIXES.index(path.suffix.lower()), found
