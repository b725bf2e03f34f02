"""Bare JATS files, without any image."""

import os
from collections.abc import AsyncIterator, Iterator, Sequence

from llavamed_data.errors import UsageError
from llavamed_data.reasons import Drop, Reason
from llavamed_data.sources.article import SourceArticle
from llavamed_data.sources.folders import FolderFiles

SUFFIXES = (".xml", ".nxml")
MAX_XML_BYTES = 64 * 2**20


class JatsFiles:
    """The `.xml` and `.nxml` files in a folder and all folders below it, or one such file.

    Args:
        path: folder or file.

    Raises:
        UsageError: `path` does not exist.
    """

    name = "jats"
    date = None

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.files = FolderFiles(path, SUFFIXES)

    @property
    def identity(self) -> str:
        """The kind and the absolute path."""
        return f"jats {self.files.identity}"

    def fingerprint(self) -> str:
        """Hex digest of the paths, sizes and times of change of the files."""
        return self.files.fingerprint()

    def images_version(self) -> str:
        """Constant, because there are no images."""
        return "none"

    def handles(self) -> Iterator[str]:
        """Yields the path of each file below the folder, sorted.

        Raises:
            UsageError: there is no such file, or a folder cannot be read.
        """
        handles = sorted(self.files)
        if not handles:
            raise UsageError(f"no .xml or .nxml file in {self.files.path}: give the folder that holds them")
        yield from handles

    def read(self, handles: Sequence[str]) -> Iterator[SourceArticle | tuple[str, Drop]]:
        """Yields the articles of `handles` in that order."""
        for handle in handles:
            try:
                yield SourceArticle(handle, self._xml(handle))
            except Drop as drop:
                yield handle, drop

    async def images(self, locators: Sequence[str]) -> AsyncIterator[tuple[str, bytes | Drop]]:
        """Yields every locator as missing."""
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
