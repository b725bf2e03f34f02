"""The bytes of one file, read in a single pass: gzip undone, hashed, and refused if they cannot be the file meant."""

import codecs
import gzip
import hashlib
import io
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from llavamed_data.errors import LlavaMedError, UsageError
from llavamed_data.io.regular_files import NotAFileError
from llavamed_data.sources.locations import CHUNK_BYTES, READ_ERRORS, FileLocation, first_line

_HEAD_BYTES = 4096
_LFS_POINTER = re.compile(
    rb"version https://git-lfs\.github\.com/spec/v1\s"
    rb".*?oid sha256:(?P<oid>[0-9a-f]{64})\s+size (?P<size>\d+)",
    re.S,
)
_MARKUP = re.compile(rb"\s*<(!doctype|html|head|body|\?xml|!--)", re.I)


class Content:
    """One open file. Gzip is undone; sizes and hashes are of what is inside.

    Attributes:
        location: of the file; messages name it.
        head: the first bytes of the text, a few thousand.
        start: the byte at which the text begins: after the byte order mark, if there is one.
        size: bytes read so far.
    """

    def __init__(self, location: FileLocation, file: io.BufferedReader) -> None:
        self.location = location
        self.size = 0
        self._hash = hashlib.sha256()
        self._file: io.BufferedReader | gzip.GzipFile = file
        with self._explaining():
            if file.peek(2)[:2] == b"\x1f\x8b":
                self._file = gzip.GzipFile(fileobj=file)
            self._first = self._file.read(_HEAD_BYTES)
        self._refuse_foreign(self._first)
        self.start = len(codecs.BOM_UTF8) if self._first.startswith(codecs.BOM_UTF8) else 0
        self.head = self._first[self.start :]

    @property
    def sha256(self) -> str:
        """Hex digest of what has been read so far."""
        return self._hash.hexdigest()

    def chunks(self) -> Iterator[bytes]:
        """Yields the text's bytes from its start, once.

        Raises:
            LlavaMedError: reading fails midway.
        """
        self._count(self._first)
        yield self.head
        while True:
            with self._explaining():
                piece = self._file.read(CHUNK_BYTES)
            if not piece:
                return
            self._count(piece)
            yield piece

    def _count(self, piece: bytes) -> None:
        self._hash.update(piece)
        self.size += len(piece)

    @contextmanager
    def _explaining(self) -> Iterator[None]:
        try:
            yield
        except READ_ERRORS as error:
            problem = f"reading {self.location} broke off after {self.size:,} bytes: {first_line(error)}"
            raise LlavaMedError(f"{problem}; fetch the file again") from error

    def _refuse_foreign(self, head: bytes) -> None:
        if not head:
            raise LlavaMedError(f"{self.location} is empty; fetch the file again")
        if pointer := _LFS_POINTER.match(head):
            raise LlavaMedError(
                f"{self.location} is a Git LFS pointer, not the file: run `git lfs pull` in its clone to fetch"
                f" the {int(pointer['size']):,} bytes with sha256 {pointer['oid'].decode()}"
            )
        if _MARKUP.match(head):
            raise LlavaMedError(f"{self.location} is a web page, not JSON; download the file itself")
        if head[:2] in (b"\xff\xfe", b"\xfe\xff") or b"\0" in head:
            raise LlavaMedError(f"{self.location} is not UTF-8 text; fetch the file again")


@contextmanager
def open_content(path: str) -> Iterator[Content]:
    """Opens a file for one pass.

    Args:
        path: a local path, `https://…` or `hf://datasets/ORG/NAME/PATH`.

    Raises:
        UsageError: there is no such file, or the address is of a kind that cannot be read.
        LlavaMedError: it cannot be read, or is not what was released: a Git LFS pointer, a web page, empty.
    """
    location = FileLocation(path)
    with ExitStack() as stack:
        try:
            raw = stack.enter_context(location.open())
        except FileNotFoundError as error:
            raise UsageError(f"there is no file {location}") from error
        except NotAFileError as error:
            raise UsageError(f"{location} cannot be read: {error.strerror}; name the file") from error
        except READ_ERRORS as error:
            raise LlavaMedError(f"cannot open {location}: {first_line(error)}") from error
        yield Content(location, raw)
