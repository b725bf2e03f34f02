"""The images beside rows: files of a folder, of the folders below it, or of ZIP archives in them, found by name.

Names come from rows and are not trusted. Finding them needs an index of all files. It is made once, in a file that
every task opens (`indexed`), because listing a folder again in every task takes longer than reading the images.
"""

import copy
import hashlib
import os
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Any, Self

from llavamed_data.errors import UsageError
from llavamed_data.io.regular_files import open_file, require_file
from llavamed_data.reasons import Drop, Reason
from llavamed_data.sources.folders import digest_of_files, files_below, is_built, is_not_hidden
from llavamed_data.sources.packed_table import PackedTable

SUFFIXES = (".jpg", ".jpeg", ".png", ".gif", ".tif", ".tiff", ".bmp", ".webp")
"""Suffixes of image files, in lower case, the preferred first."""

MAX_BYTES = 100 << 20
"""A larger image is dropped unread."""

_LONGEST_NAME = 255  # bytes, on every common file system


class NamedImages(ABC):
    """Images by name, found through an index of places.

    A place is the path of a file relative to the root; a member of a ZIP archive adds NUL and its name in the archive.
    """

    def __init__(self, root: Path, within: Path, max_bytes: int) -> None:
        self._root = root
        self._within = within.resolve()
        self._max_bytes = max_bytes
        self._index_file: Path | None = None
        self._index: PackedTable | None = None
        self._archives: dict[Path, zipfile.ZipFile] = {}

    @abstractmethod
    def read(self, name: str) -> bytes | Drop:
        """Returns the bytes of the image of that name, or why they cannot be had."""

    def version(self) -> str:
        """Hex digest that changes when a file does, and that no other folder has."""
        described = f"{self._root.absolute()} {digest_of_files(self._files())}"
        return hashlib.sha256(described.encode("utf-8", "surrogateescape")).hexdigest()

    def indexed(self, path: Path) -> Self:
        """Returns the same images with their index in a file, so that tasks to which they are sent need not list them.

        Args:
            path: the file; it is made, with missing folders, unless it exists.
        """
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            PackedTable(self._entries()).write(path)
        same = copy.copy(self)
        same._index_file = path
        return same

    def __getstate__(self) -> dict[str, Any]:
        """What a copy keeps, here or in another process: neither an index in memory nor open archives."""
        return {**self.__dict__, "_index": None, "_archives": {}}

    def _places(self, name: str) -> Iterator[str]:
        """Yields the places of images with this name, whatever their suffix."""
        if self._index is None:
            self._index = (
                PackedTable.open(self._index_file) if self._index_file else PackedTable(self._entries())
            )
        return self._index.texts(_without_suffix(name))

    @abstractmethod
    def _files(self) -> Iterator[tuple[str, os.DirEntry[str] | Path]]:
        """Yields every file that may be read, with its path relative to the root."""

    @abstractmethod
    def _entries(self) -> Iterator[tuple[str, str]]:
        """Yields a name, by which an image may be asked for, without suffix, and the image's place."""

    def _read(self, name: str, place: str) -> bytes | Drop:
        file, _, member = place.partition("\0")
        path = self._root / file if file else self._root
        if not path.resolve().is_relative_to(self._within):
            return Drop(Reason.IMAGE_MISSING, f"{name}: a link that leads out of the folder")
        try:
            with self._member(path, member) if member else open_file(path) as image:
                content = image.read(self._max_bytes + 1)
        # RuntimeError: a member with a password, or in a compression that zipfile does not know
        except (OSError, zipfile.BadZipFile, RuntimeError, EOFError) as error:
            return Drop(Reason.IMAGE_UNREADABLE, f"{name}: {getattr(error, 'strerror', None) or error}")
        if len(content) > self._max_bytes:
            return Drop(Reason.IMAGE_TOO_LARGE, f"{name}: more than {self._max_bytes:,} bytes")
        return content

    def _member(self, archive: Path, member: str) -> IO[bytes]:
        if archive not in self._archives:
            require_file(archive)
            self._archives[archive] = zipfile.ZipFile(archive)
        return self._archives[archive].open(member)


class ImageFolder(NamedImages):
    """Images of released rows by file name, in a folder or any folder below it.

    Args:
        folder: a local folder.
        max_bytes: a larger file is dropped unread.

    Raises:
        UsageError: there is no such folder.
    """

    def __init__(self, folder: str | os.PathLike[str], *, max_bytes: int = MAX_BYTES) -> None:
        if not Path(folder).is_dir():
            raise UsageError(f"there is no folder of images {folder}")
        super().__init__(Path(folder), Path(folder), max_bytes)

    def read(self, name: str) -> bytes | Drop:
        """Returns the bytes of the file of that name, or of one whose suffix differs in case or kind.

        Args:
            name: `<pair_id>.jpg`.

        Returns:
            The bytes, possibly none; or the drop: no such file, one that cannot be read, or a link that leads out of
            the folder.
        """
        if not _is_plain(name):
            return Drop(Reason.IMAGE_MISSING, f"{name[:40]!a} is not a plain name")
        if (self._root / name).is_file():
            return self._read(name, name)

        # an exact name wins, then a JPEG with another suffix, then the first by path
        def preference(place: str) -> tuple[bool, int, str]:
            path = PurePosixPath(place)
            return path.name != name, SUFFIXES.index(path.suffix.lower()), place

        found = min(self._places(name), key=preference, default=None)
        return Drop(Reason.IMAGE_MISSING, name) if found is None else self._read(name, found)

    def _files(self) -> Iterator[tuple[str, os.DirEntry[str] | Path]]:
        return files_below(self._root, skip_unreadable=True)

    def _entries(self) -> Iterator[tuple[str, str]]:
        for path, entry in self._files():
            if PurePosixPath(entry.name).suffix.lower() in SUFFIXES:
                yield _without_suffix(entry.name), path


class BenchmarkImages(NamedImages):
    """Images of a benchmark by name in a folder, the folders below it and the ZIP archives in any; or in one archive.

    `synpic1.jpg` is any file of that name, `xmlab0/source.jpg` one whose path ends so, `train_0422` one of that name
    before its suffix. Of several, a file with exactly the same suffix is preferred, then a file to an archive's member,
    then the one in the fewest folders.

    Args:
        root: a folder or a ZIP archive.
        within: where links may lead; `root` itself by default.

    Raises:
        UsageError: there is no such folder or archive.
    """

    def __init__(self, root: Path, *, within: Path | None = None) -> None:
        if not root.is_dir() and not (root.is_file() and zipfile.is_zipfile(root)):
            raise UsageError(f"{root} is neither a folder of images nor a ZIP archive")
        super().__init__(root, within or root, MAX_BYTES)

    def read(self, name: str) -> bytes | Drop:
        """Returns the bytes of the image of that name, or why it cannot be had."""

        def preference(place: str) -> tuple[bool, bool, int, str, str]:
            file, _, member = place.partition("\0")
            path = PurePosixPath(member or file)
            other_suffix = path.name != name.rpartition("/")[2]
            return other_suffix, bool(member), len(path.parts), str(path), place

        found = min(self._places(name), key=preference, default=None)
        return Drop(Reason.IMAGE_MISSING, name) if found is None else self._read(name, found)

    def _entries(self) -> Iterator[tuple[str, str]]:
        for path, place in self._images():
            for start in range(len(path.parts)):
                yield _without_suffix("/".join(path.parts[start:])), place

    def _images(self) -> Iterator[tuple[PurePosixPath, str]]:
        if not self._root.is_dir():
            yield from _members("", self._root)
            return
        for path, entry in self._files():
            if not path.lower().endswith(".zip"):
                yield PurePosixPath(path), path
            elif zipfile.is_zipfile(entry):
                yield from _members(path, Path(entry))

    def _files(self) -> Iterator[tuple[str, os.DirEntry[str] | Path]]:
        if not self._root.is_dir():
            yield self._root.name, self._root
            return
        for path, entry in files_below(self._root, enter=self._is_entered, skip_unreadable=True):
            if PurePosixPath(path).suffix.lower() in (*SUFFIXES, ".zip"):
                yield path, entry

    def _is_entered(self, path: str) -> bool:
        return is_not_hidden(path) and not is_built(self._root / path)


def _members(archive: str, path: Path) -> Iterator[tuple[PurePosixPath, str]]:
    with zipfile.ZipFile(path) as opened:
        for name in opened.namelist():
            inner = PurePosixPath(name)
            hidden = any(part.startswith((".", "__MACOSX")) for part in inner.parts)
            if inner.suffix.lower() in SUFFIXES and not hidden:
                yield inner, f"{archive}\0{name}"


def _without_suffix(name: str) -> str:
    suffix = PurePosixPath(name).suffix
    return name[: -len(suffix)] if suffix.lower() in SUFFIXES else name


def _is_plain(name: str) -> bool:
    try:
        length = len(name.encode())
    except UnicodeEncodeError:
        return False
    return name not in ("", ".", "..") and not set(name) & set("/\\\0") and length <= _LONGEST_NAME
