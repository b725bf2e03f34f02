"""Bare JATS files, without any image, of one article or of many."""

import itertools
import os
from collections.abc import AsyncIterator, Iterator, Sequence

from llavamed_data.io.regular_files import open_file
from llavamed_data.reasons import Drop, Reason
from llavamed_data.sources.article import MAX_XML_BYTES, SourceArticle
from llavamed_data.sources.article_sets import ArticleSet
from llavamed_data.sources.folders import FolderSource


class JatsFiles(FolderSource):
    """The `.xml` and `.nxml` files in a folder and all folders below it, or one such file.

    A file may hold many articles: sets of efetch and pubget, harvests by OAI-PMH.
    """

    name = "jats"
    suffixes = (".xml", ".nxml")

    def images_version(self) -> str:
        """Constant, because there are no images."""
        return "none"

    async def images(self, locators: Sequence[str]) -> AsyncIterator[tuple[str, bytes | Drop]]:
        """Yields every locator as missing."""
        for locator in dict.fromkeys(locators):
            yield locator, Drop(Reason.IMAGE_MISSING, "bare JATS files come without images")

    def _handles_of(self, file: str) -> Iterator[str]:
        try:
            several = ArticleSet.open(self._locate(file))
            offsets = several.offsets() if several else iter(())
            first_two = list(itertools.islice(offsets, 2))
            if len(first_two) < 2:
                yield file
                return
            yield from (f"{file}#{offset}" for offset in itertools.chain(first_two, offsets))
        except OSError:  # dropped with this reason when it is read
            yield file

    def _article(self, handle: str) -> SourceArticle:
        path, offset = self._locate(handle), handle.partition("#")[2]
        try:
            if offset:
                several = ArticleSet.open(path)
                if several is None:
                    raise Drop(Reason.NO_XML, "the file has changed since its articles were listed")
                return SourceArticle(handle, several.read(int(offset), max_bytes=MAX_XML_BYTES))
            with open_file(path) as file:
                size = os.fstat(file.fileno()).st_size  # read() sets aside as many bytes as it may read
                xml = file.read(min(size, MAX_XML_BYTES) + 1)
        except OSError as error:
            raise Drop(Reason.NO_XML, error.strerror or type(error).__name__) from error
        if len(xml) > MAX_XML_BYTES:
            raise Drop(Reason.XML_TOO_LARGE, f"more than {MAX_XML_BYTES} bytes")
        return SourceArticle(handle, xml)
