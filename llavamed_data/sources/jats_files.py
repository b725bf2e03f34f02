"""Bare JATS files, without any image."""

import os
from collections.abc import AsyncIterator, Sequence

from llavamed_data.reasons import Drop, Reason
from llavamed_data.sources.article import MAX_XML_BYTES, SourceArticle
from llavamed_data.sources.folders import FolderSource


class JatsFiles(FolderSource):
    """The `.xml` and `.nxml` files in a folder and all folders below it, or one such file."""

    name = "jats"
    suffixes = (".xml", ".nxml")

    def images_version(self) -> str:
        """Constant, because there are no images."""
        return "none"

    async def images(self, locators: Sequence[str]) -> AsyncIterator[tuple[str, bytes | Drop]]:
        """Yields every locator as missing."""
        for locator in dict.fromkeys(locators):
            yield locator, Drop(Reason.IMAGE_MISSING, "bare JATS files come without images")

    def _article(self, handle: str) -> SourceArticle:
        try:
            with self._locate(handle).open("rb") as file:
                size = os.fstat(file.fileno()).st_size  # read() sets aside as many bytes as it may read
                xml = file.read(min(size, MAX_XML_BYTES) + 1)
        except OSError as error:
            raise Drop(Reason.NO_XML, error.strerror or type(error).__name__) from error
        if len(xml) > MAX_XML_BYTES:
            raise Drop(Reason.XML_TOO_LARGE, f"more than {MAX_XML_BYTES} bytes")
        return SourceArticle(handle, xml)
