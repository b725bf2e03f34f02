"""Bare JATS files, without any image."""

import hashlib
import os
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from urllib.parse import quote, unquote

from llavamed_data.errors import UsageError
from llavamed_data.reasons import Drop, Reason
from llavamed_data.sources.base import SourceArticle

SUFFIXES = (".xml", ".nxml")
MAX_XML_BYTES = 64 * 2**20


class JatsFiles:
    """A folder of `.xml` and `.nxml` files, searched through all its folders, or one such file.

    Args:
        path: folder or file.

    Raises:
        UsageError: `path` does not exist or cannot be read.
    """

    name = "jats"
    date = None

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.files = FolderFiles(path, SUFFIXES)

    def fingerprint(self) -> str:
        """Hex digest of the names, sizes and times of the files."""
        return self.files.fingerprint()

    def images_version(self) -> str:
        """There are no images, so there is one version."""
        return "none"

    def handles(self) -> Iterator[str]:
        """The path of each file below the folder, sorted.

        Raises:
            UsageError: there is no such file.
        """
        handles = sorted(self.files)
        if not handles:
            raise UsageError(f"no .xml or .nxml file in {self.files.path}: give the folder that holds them")
        yield from handles

    def read(self, handles: Sequence[str]) -> Iterator[SourceArticle | tuple[str, Drop]]:
        """The articles of `handles`, in that order."""
        for handle in handles:
            try:
                yield SourceArticle(handle, self._xml(handle))
            except Drop as drop:
                yield handle, drop

    async def images(self, locators: Sequence[str]) -> AsyncIterator[tuple[str, bytes | Drop]]:
        """Every locator is missing: bare files come without images."""
        for locator in dict.fromkeys(locators):
            yield locator, Drop(Reason.IMAGE_MISSING, "bare JATS files come without images")

    def _xml(self, handle: str) -> bytes:
        try:
            with self.files.locate(handle).open("rb") as file:
                xml = file.read(MAX_XML_BYTES + 1)
        except OSError as error:
            raise Drop(Reason.NO_XML, error.strerror or type(error).__name__) from error
        if len(xml) > MAX_XML_BYTES:
            raise Drop(Reason.XML_TOO_LARGE, f"more than {MAX_XML_BYTES} bytes")
        return xml


class FolderFiles:
    """The files below a folder whose names end alike, each by a handle: its path, percent-encoded to one line.

    Args:
        path: the folder, or one file.
        suffixes: endings, lower-case; either case counts.

    Raises:
        UsageError: `path` does not exist.
    """

    def __init__(self, path: str | os.PathLike[str], suffixes: tuple[str, ...]) -> None:
        self.path = Path(path).expanduser()
        self.suffixes = suffixes
        if not self.path.exists():
            raise UsageError(f"{self.path} does not exist: check the path")

    def __iter__(self) -> Iterator[str]:
        if self.path.is_file():
            yield _handle(self.path.name)
            return
        for folder, _, names in os.walk(self.path, onerror=self._unreadable):
            below = Path(folder).relative_to(self.path)
            for name in names:
                named = name.lower().endswith(self.suffixes) and not name.startswith(".")
                if named and (Path(folder) / name).is_file():
                    yield _handle((below / name).as_posix())

    def locate(self, handle: str) -> Path:
        """The file of a handle."""
        folder = self.path.parent if self.path.is_file() else self.path
        return folder / unquote(handle, errors="surrogateescape")

    def fingerprint(self) -> str:
        """Hex digest of handles, sizes and times of change."""
        digest = hashlib.sha256()
        for handle in sorted(self):
            state = self.locate(handle).stat()
            digest.update(f"{handle}\0{state.st_size}\0{state.st_mtime_ns}\n".encode())
        return digest.hexdigest()

    def _unreadable(self, error: OSError) -> None:
        raise UsageError(f"{error.filename} cannot be read: {error.strerror}") from error


def _handle(name: str) -> str:
    return quote(name, safe="/ !$&'()*+,;=:@~[]{}^|", errors="surrogateescape")
