"""The bytes of one file, read in a single pass: gzip undone, hashed, and refused if they cannot be the file meant."""

import gzip
import hashlib
import io
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Protocol

from llavamed_data.errors import LlavaMedError, UsageError
from llavamed_data.sources.locations import CHUNK_BYTES, READ_ERRORS, FileLocation, first_line

_HEAD_BYTES = 4096
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_LFS_POINTER = re.compile(
    rb"version https://git-lfs\.github\.com/spec/v1\s"
    rb".*?oid sha256:(?P<oid>[0-9a-f]{64})\s+size (?P<size>\d+)",
    re.S,
)
_MARKUP = re.compile(rb"\s*<(!doctype|html|head|body|\?xml|!--)", re.I)


class Readable(Protocol):
    """What `Content` needs of an open file."""

    def read(self, size: int, /) -> bytes:
        """Returns at most `size` bytes; none at the end."""


class Content:
    """One open file. Gzip is undone; sizes and hashes are of what is inside.

    Attributes:
        location: of the file; messages name it.
    """

    def __init__(self, location: FileLocation, raw: Readable) -> None:
        self.location = location
        self._hash = hashlib.sha256()
        self._size = 0
        self._raw: Readable = raw
        head = self._read(raw, _HEAD_BYTES)
        if head[:2] == b"\x1f\x8b":
            self._raw = gzip.GzipFile(fileobj=io.BufferedReader(_Rejoined(head, raw), CHUNK_BYTES))
            head = self._read(self._raw, _HEAD_BYTES)
        self._refuse_foreign(head)
        self._first = head
        self._has_mark = head.startswith(_BYTE_ORDER_MARK)

    @property
    def start(self) -> int:
        """The byte at which the text begins: after the byte order mark, if there is one."""
        return len(_BYTE_ORDER_MARK) if self._has_mark else 0

    @property
    def head(self) -> bytes:
        """The first bytes of the text, a few thousand."""
        return self._first[self.start :]

    @property
    def sha256(self) -> str:
        """Hex digest of what has been read so far."""
        return self._hash.hexdigest()

    @property
    def size(self) -> int:
        """Bytes read so far."""
        return self._size

    def chunks(self) -> Iterator[bytes]:
        """Yields the text's bytes from its start, once.

        Raises:
            LlavaMedError: reading fails midway.
        """
        self._count(self._first)
        yield self.head
        while piece := self._read(self._raw, CHUNK_BYTES):
            self._count(piece)
            yield piece

    def _count(self, piece: bytes) -> None:
        self._hash.update(piece)
        self._size += len(piece)

    def _read(self, raw: Readable, size: int) -> bytes:
        try:
            return raw.read(size)
        except READ_ERRORS as error:
            problem = f"reading {self.location} broke off after {self._size:,} bytes: {first_line(error)}"
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


class _Rejoined(io.RawIOBase):
    """A stream whose first bytes have been read already."""

    def __init__(self, head: bytes, rest: Readable) -> None:
        self._head = head
        self._rest = rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        piece = self._head[: len(buffer)] or self._rest.read(len(buffer))
        self._head = self._head[len(buffer) :]
        buffer[: len(piece)] = piece
        return len(piece)


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
        except IsADirectoryError as error:
            raise UsageError(f"{location} is a folder; name the file in it") from error
        except READ_ERRORS as error:
            raise LlavaMedError(f"cannot open {location}: {first_line(error)}") from error
        yield Content(location, raw)
