"""The bytes of one file, wherever it lies: a path, an `https://` address, or `hf://datasets/ORG/NAME/PATH`."""

import gzip
import hashlib
import io
import posixpath
import re
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import IO, Any, Protocol
from urllib.parse import unquote, urlsplit

import obstore
from huggingface_hub import HfFileSystem
from huggingface_hub.errors import HfHubHTTPError
from obstore.exceptions import BaseError as ObstoreError
from obstore.store import HTTPStore

from llavamed_data.errors import LlavaMedError, UsageError

CHUNK = 1 << 20
_HEAD = 4096
_LOOPBACK = {"127.0.0.1", "::1", "localhost"}
_RETRIES = {"max_retries": 4, "retry_timeout": timedelta(seconds=60)}
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_LFS_POINTER = re.compile(
    rb"version https://git-lfs\.github\.com/spec/v1\s"
    rb".*?oid sha256:(?P<oid>[0-9a-f]{64})\s+size (?P<size>\d+)",
    re.S,
)
_MARKUP = re.compile(rb"\s*<(!doctype|html|head|body|\?xml|!--)", re.I)
# the bases of HfHubHTTPError: OSError, and the error of whichever HTTP client the Hub library uses
_READ_ERRORS: tuple[type[Exception], ...] = (EOFError, zlib.error, ObstoreError, *HfHubHTTPError.__bases__)


def is_remote(location: str) -> bool:
    """Whether `location` is an address and not a path."""
    return "://" in location


def shown(location: str) -> str:
    """`location` as messages show it: without a query, which may hold a signature, and without a password."""
    if not is_remote(location):
        return location
    parts = urlsplit(location)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def below(folder: str, path: str) -> str:
    """The location of `path` in `folder`; an address keeps its query."""
    if not is_remote(folder):
        return str(Path(folder) / path)
    parts = urlsplit(folder)
    return parts._replace(path=f"{parts.path.rstrip('/')}/{path}").geturl()


def folder_of(file: str) -> str:
    """The location of the folder that holds `file`; an address keeps its query."""
    if not is_remote(file):
        return str(Path(file).parent)
    parts = urlsplit(file)
    return parts._replace(path=posixpath.dirname(parts.path)).geturl()


def exists(location: str) -> bool:
    """Whether a file is there.

    Raises:
        LlavaMedError: the server cannot be asked.
        UsageError: the address is of a kind that cannot be read.
    """
    if not is_remote(location):
        return Path(location).is_file()
    try:
        if location.startswith("hf://"):
            return bool(HfFileSystem().info(_hf_path(location))["type"] == "file")
        obstore.head(*_http_object(location))
    except FileNotFoundError:
        return False
    except _READ_ERRORS as error:
        raise LlavaMedError(f"cannot look for {shown(location)}: {_one_line(error)}") from error
    return True


class Readable(Protocol):
    """What `Content` needs of an open file."""

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes; none at the end."""


class Content:
    """One file, open for a single pass. Gzip is undone, sizes and hashes are of what is inside.

    Attributes:
        name: how messages name the file.
    """

    def __init__(self, name: str, raw: Readable) -> None:
        self.name = name
        self._hash = hashlib.sha256()
        self._size = 0
        self._raw: Readable = raw
        head = self._read(raw, _HEAD)
        if head[:2] == b"\x1f\x8b":
            self._raw = gzip.GzipFile(fileobj=io.BufferedReader(_Rejoined(head, raw), CHUNK))
            head = self._read(self._raw, _HEAD)
        self._refuse_foreign(head)
        self._first = head
        self._has_mark = head.startswith(_BYTE_ORDER_MARK)

    @property
    def start(self) -> int:
        """Byte at which the text begins: after the byte order mark, where there is one."""
        return len(_BYTE_ORDER_MARK) if self._has_mark else 0

    @property
    def head(self) -> bytes:
        """The first bytes of the text, a few thousand."""
        return self._first[self.start :]

    @property
    def sha256(self) -> str:
        """Hex digest of what was read so far."""
        return self._hash.hexdigest()

    @property
    def size(self) -> int:
        """Bytes read so far."""
        return self._size

    def chunks(self) -> Iterator[bytes]:
        """The text's bytes from its start, once.

        Raises:
            LlavaMedError: reading fails midway.
        """
        self._count(self._first)
        yield self.head
        while piece := self._read(self._raw, CHUNK):
            self._count(piece)
            yield piece

    def _count(self, piece: bytes) -> None:
        self._hash.update(piece)
        self._size += len(piece)

    def _read(self, raw: Readable, size: int) -> bytes:
        try:
            return raw.read(size)
        except _READ_ERRORS as error:
            what = f"reading {self.name} broke off after {self._size:,} bytes: {_one_line(error)}"
            raise LlavaMedError(f"{what}; fetch the file again") from error

    def _refuse_foreign(self, head: bytes) -> None:
        if not head:
            raise LlavaMedError(f"{self.name} is empty; fetch the file again")
        if pointer := _LFS_POINTER.match(head):
            raise LlavaMedError(
                f"{self.name} is a Git LFS pointer, not the file: run `git lfs pull` in its clone to fetch"
                f" the {int(pointer['size']):,} bytes with sha256 {pointer['oid'].decode()}"
            )
        if _MARKUP.match(head):
            raise LlavaMedError(f"{self.name} is a web page, not JSON; download the file itself")
        if head[:2] in (b"\xff\xfe", b"\xfe\xff") or b"\0" in head:
            raise LlavaMedError(f"{self.name} is not UTF-8 text; fetch the file again")


class _Rejoined(io.RawIOBase):
    """A stream whose first bytes were read already."""

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


class _HttpBytes(io.RawIOBase):
    """The body of one answer; obstore itself resumes a broken transfer where the server gives an ETag."""

    def __init__(self, location: str) -> None:
        self._pieces = iter(obstore.get(*_http_object(location)).stream(min_chunk_size=CHUNK))
        self._held = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._held:
            self._held = memoryview(next(self._pieces, b""))
        size = min(len(buffer), len(self._held))
        buffer[:size] = self._held[:size]
        self._held = self._held[size:]
        return size


@contextmanager
def open_content(location: str) -> Iterator[Content]:
    """Open the file at `location` for one pass.

    Raises:
        UsageError: there is no such file, or the address is of a kind that cannot be read.
        LlavaMedError: it cannot be read, or is not what was released: a Git LFS pointer, a web page, empty.
    """
    name = shown(location)
    with ExitStack() as stack:
        try:
            raw = stack.enter_context(_open_raw(location))
        except FileNotFoundError as error:
            raise UsageError(f"there is no file {name}") from error
        except IsADirectoryError as error:
            raise UsageError(f"{name} is a folder; name the file in it") from error
        except _READ_ERRORS as error:
            raise LlavaMedError(f"cannot open {name}: {_one_line(error)}") from error
        yield Content(name, raw)


def _open_raw(location: str) -> IO[bytes]:
    if not is_remote(location):
        return Path(location).open("rb")
    if location.startswith("hf://"):
        # block_size=0: one streamed request, resumed by the library, in place of many ranges
        return HfFileSystem().open(_hf_path(location), "rb", block_size=0)  # type: ignore[no-any-return]
    return io.BufferedReader(_HttpBytes(location), CHUNK)


def _hf_path(location: str) -> str:
    path = location.removeprefix("hf://")
    if not re.fullmatch(r"datasets/[\w.-]+/[\w.-]+(@[^/]+)?(/.+)?", path):
        raise UsageError(f"{location} is not of the form hf://datasets/ORG/NAME/PATH")
    return path


def _http_object(location: str) -> tuple[HTTPStore, str]:
    parts = urlsplit(location)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _LOOPBACK):
        raise UsageError(f"cannot read {shown(location)}: give a path, https://… or hf://datasets/…")
    folder, name = posixpath.split(parts.path)
    if not name:
        raise UsageError(f"{shown(location)} names no file")
    store = HTTPStore(
        parts._replace(path=folder, fragment="").geturl(),
        client_options={"allow_http": parts.scheme == "http"},
        retry_config=_RETRIES,  # type: ignore[arg-type]
    )
    return store, unquote(name)


def _one_line(error: BaseException) -> str:
    """What went wrong, without the dump of nested errors that storage libraries append."""
    return str(error).strip().partition("\n")[0] or type(error).__name__
