"""Files that hold many JATS articles: article sets of efetch and pubget, harvests by OAI-PMH, or any other wrapper.

A set may be of any size, so it is never held in memory: its articles are found by their tags, piece by piece, and each
is read by itself, as a document with the DOCTYPE and the namespaces of its file.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO
from xml.parsers import expat
from xml.sax.saxutils import quoteattr

from llavamed_data.io.regular_files import open_file
from llavamed_data.reasons import Drop, Reason

_TOKEN = re.compile(rb"<!--|<!\[CDATA\[|<\?|<(?P<closing>/?)(?:[A-Za-z_][\w.-]{0,63}:)?article(?=[\s/>])")
_PASSED_OVER = {b"<!--": b"-->", b"<![CDATA[": b"]]>", b"<?": b"?>"}
_PIECE, _PIECE_OF_ARTICLE, _FIRST_PIECE = 2**20, 2**17, 2**12
_LONGEST_HEAD, _LONGEST_TAG_NAME = 2**20, 80
_ARTICLE_ROOT = re.compile(rb"(?:\xef\xbb\xbf)?\s*(?:<\?xml[^>]*>\s*)?(?:<!DOCTYPE[^\[>]*>\s*)?<article[\s>]")


class ArticleSet:
    """A file whose root is not an article, so that it may hold any number of them.

    Args:
        path: the file.

    Attributes:
        before_root: what stands before the start tag of the root: XML declaration and DOCTYPE.
        namespaces: prefix, "" for none, → namespace, as declared around the first article.
    """

    def __init__(self, path: Path, before_root: bytes, namespaces: dict[str, str]) -> None:
        self.path = path
        self.before_root = before_root
        self.namespaces = namespaces

    @classmethod
    def open(cls, path: Path) -> "ArticleSet | None":
        """Reads the beginning of a file.

        Returns:
            None where the root is an article, or where no root can be found.

        Raises:
            OSError: the file cannot be read.
        """
        head = _Head()
        with open_file(path) as file:
            piece = file.read(_FIRST_PIECE)
            if _ARTICLE_ROOT.match(piece):
                return None
            size = 0
            while piece and size < _LONGEST_HEAD and head.goes_on_after(piece):
                size += len(piece)
                piece = file.read(_PIECE)
            if head.root is None or head.root.rpartition(":")[2] == "article":
                return None
            file.seek(0)
            return cls(path, file.read(head.root_offset), head.namespaces)

    def offsets(self) -> Iterator[int]:
        """Yields where each article begins, in bytes."""
        with self.path.open("rb") as file:
            file.seek(len(self.before_root))
            yield from (offset for offset, closing in _article_tags(file, _PIECE) if not closing)

    def read(self, offset: int, *, max_bytes: int) -> bytes:
        """Reads the article that begins at `offset` as a document of its own.

        Raises:
            Drop: XML_TOO_LARGE, if it is longer than `max_bytes`.
            OSError: the file cannot be read.
        """
        with self.path.open("rb") as file:
            file.seek(offset)
            tags = _article_tags(file, _PIECE_OF_ARTICLE)
            next(tags, None)
            end, closing = next(tags, (None, False))
            file.seek(offset)
            if end is None:
                article = file.read(max_bytes + 1)
            else:
                article = file.read(min(end - offset, max_bytes + 1))
                article += file.read(_LONGEST_TAG_NAME).partition(b">")[0] + b">" if closing else b""
        if len(article) > max_bytes:
            raise Drop(Reason.XML_TOO_LARGE, f"more than {max_bytes} bytes")
        declared = "".join(
            f" xmlns{prefix and ':'}{prefix}={quoteattr(namespace)}"
            for prefix, namespace in self.namespaces.items()
        )
        return b"%s<set%s>%s</set>" % (
            self.before_root,
            declared.encode("ascii", "xmlcharrefreplace"),
            article,
        )


class _Head:
    """Reads the start tags down to the first article.

    Attributes:
        root: the name of the root, once it is known.
        root_offset: where its start tag begins, in bytes.
        namespaces: see `ArticleSet`.
    """

    def __init__(self) -> None:
        self.root: str | None = None
        self.root_offset = 0
        self.namespaces: dict[str, str] = {}
        self._article_found = False
        self._parser = expat.ParserCreate()
        self._parser.StartElementHandler = self._start

    def goes_on_after(self, piece: bytes) -> bool:
        """Reads a piece of the file; returns whether the first article is still to come."""
        try:
            self._parser.Parse(piece)
        except expat.ExpatError:  # what is wrong there is told when the article is parsed
            return False
        return not self._article_found

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        if self._article_found:
            return
        if self.root is None:
            self.root, self.root_offset = name, self._parser.CurrentByteIndex
        if name.rpartition(":")[2] == "article":
            self._article_found = True
            return
        for attribute, value in attributes.items():
            if attribute == "xmlns" or attribute.startswith("xmlns:"):
                self.namespaces.setdefault(attribute[6:], value)


def _article_tags(file: BinaryIO, piece_bytes: int) -> Iterator[tuple[int, bool]]:
    """Yields where each tag of an article begins from the current position on, and whether it is an end tag.

    What looks like a tag in a comment, CDATA section or processing instruction is none.
    """
    offset, kept, until = file.tell(), b"", b""
    while piece := file.read(piece_bytes):
        buffer = kept + piece
        place = 0
        while True:
            if until:
                end = buffer.find(until, place)
                if end < 0:
                    place = max(place, len(buffer) - len(until) + 1)
                    break
                place, until = end + len(until), b""
            token = _TOKEN.search(buffer, place)
            if token is None:
                begun = buffer.rfind(b"<", max(place, len(buffer) - _LONGEST_TAG_NAME))
                place = begun if begun >= 0 else len(buffer)
                break
            place = token.end()
            until = _PASSED_OVER.get(token[0], b"")
            if not until:
                yield offset + token.start(), bool(token["closing"])
        offset += place
        kept = buffer[place:]
