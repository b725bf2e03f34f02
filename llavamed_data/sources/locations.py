"""Where the files of a source lie: on disk, in a bucket, on a web server or on the Hub; which addresses are safe."""

import io
import os
import posixpath
import re
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, quote, unquote, urlsplit

import obstore
from huggingface_hub.errors import HfHubHTTPError
from obstore.exceptions import BaseError as ObstoreError
from obstore.store import HTTPStore, LocalStore, S3Store

from llavamed_data.errors import LlavaMedError, UsageError
from llavamed_data.io.regular_files import open_file

if TYPE_CHECKING:
    from obstore.store import ObjectStore

PMC_CLOUD = "s3://pmc-oa-opendata"
REGION = "us-east-1"

CHUNK_BYTES = 1 << 20
"""Bytes that are read from a file at a time."""

READ_ERRORS: tuple[type[Exception], ...] = (EOFError, zlib.error, ObstoreError, *HfHubHTTPError.__bases__)
"""What opening and reading a file may raise: OSError and the error of the Hub library's HTTP client among them."""

_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_CONNECT_TIMEOUT = timedelta(seconds=15)
_READ_TIMEOUT = timedelta(seconds=120)
_REQUEST_TIMEOUT = timedelta(hours=2)


def safe_address(url: str) -> str:
    """Returns `url` if it is encrypted or names this machine.

    Raises:
        UsageError: it names no host, or is plain `http` to another machine.
    """
    parts = urlsplit(url)
    if not parts.hostname:
        raise UsageError(f"{url} names no host: write https://HOST/PATH")
    if not _is_safe(parts):
        raise UsageError(f"{url} is not encrypted: use https:// (http:// is for this machine only)")
    return url


def _is_safe(parts: SplitResult) -> bool:
    return parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK)


@dataclass(frozen=True, slots=True)
class BucketLocation:
    """Where a bucket lies, in the layout of PMC's or not.

    Attributes:
        given: as the user wrote it.
        folder: of a local copy, otherwise None.
        address: URL of the bucket's root, to which keys are added; empty for a folder.
        prefix: of all keys inside the bucket.
    """

    given: str
    folder: Path | None = None
    address: str = ""
    prefix: str = ""

    @classmethod
    def of(cls, given: str | os.PathLike[str]) -> "BucketLocation":
        """Reads a path, `file:` URL, `s3://bucket/prefix` or `https://host/path`.

        `AWS_ENDPOINT_URL_S3` or `AWS_ENDPOINT_URL` names another S3 server. Requests are never signed.

        Raises:
            UsageError: there is no such folder; the URL lacks its bucket; plain `http` to another machine.
        """
        text = os.fspath(given)
        scheme, separator, rest = text.partition("://")
        if text.startswith("file:") or not separator:
            path = unquote(urlsplit(text).path) if text.startswith("file:") else text
            folder = Path(path).expanduser()
            if not folder.is_dir():
                raise UsageError(
                    f"{path} is {'not a folder' if folder.exists() else 'not there'}: check the path"
                )
            return cls(text, folder=folder)
        if scheme == "s3":
            bucket, _, prefix = rest.partition("/")
            if not bucket:
                raise UsageError(f"{text} names no bucket: write s3://BUCKET or s3://BUCKET/PREFIX")
            return cls(text, address=_bucket_address(bucket), prefix=prefix.strip("/"))
        if scheme in ("https", "http"):
            return cls(text, address=safe_address(text.rstrip("/")))
        raise UsageError(f"{text}: unknown kind of address {scheme}://: use a folder, s3:// or https://")

    @property
    def identity(self) -> str:
        """The absolute path of a folder, otherwise the address as given."""
        return str(self.folder.absolute()) if self.folder is not None else self.given.rstrip("/")

    def url(self, key: str = "") -> str:
        """The HTTP address of a key; empty for the root of a folder."""
        return "/".join(filter(None, (self.address, quote(self.prefix), quote(key))))

    def store(self, *, retry_seconds: float = 0) -> "ObjectStore":
        """Opens the bucket.

        Args:
            retry_seconds: for how long obstore repeats a failed request; 0 leaves each failure to the caller.
        """
        if self.folder is not None:
            return LocalStore(self.folder)
        return S3Store(
            "bucket-in-address",
            prefix=self.prefix or None,
            endpoint=self.address,
            aws_endpoint_url_s3=self.address,
            virtual_hosted_style_request=True,
            region=REGION,
            skip_signature=True,
            client_options={
                "allow_http": self.address.startswith("http://"),
                "connect_timeout": _CONNECT_TIMEOUT,
                "read_timeout": _READ_TIMEOUT,
                "timeout": _REQUEST_TIMEOUT,
                "user_agent": "llavamed-data",
            },
            retry_config={
                "max_retries": 1_000 if retry_seconds else 0,
                "retry_timeout": timedelta(seconds=retry_seconds),
            },
        )


def _bucket_address(bucket: str) -> str:
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    if endpoint:
        return safe_address(f"{endpoint.rstrip('/')}/{bucket}")
    if "." in bucket:  # a certificate for *.s3… does not cover a name with dots
        return f"https://s3.{REGION}.amazonaws.com/{bucket}"
    return f"https://{bucket}.s3.{REGION}.amazonaws.com"


@dataclass(frozen=True, slots=True)
class FileLocation:
    """A file or folder: a local path, `https://…`, or `hf://datasets/ORG/NAME/PATH`.

    `str(location)` is for messages: without a query, which may hold a signature, and without a password.

    Attributes:
        given: as the user wrote it.
    """

    given: str

    @property
    def is_remote(self) -> bool:
        """Whether it is an address and not a path."""
        return "://" in self.given

    @property
    def identity(self) -> str:
        """The address as given, or the absolute path."""
        return self.given if self.is_remote else str(Path(self.given).absolute())

    @property
    def name(self) -> str:
        """The file name, without `.gz`."""
        return str(self).replace("\\", "/").rpartition("/")[2].removesuffix(".gz")

    @property
    def parent(self) -> "FileLocation":
        """The folder that holds it; an address keeps its query."""
        if not self.is_remote:
            return FileLocation(str(Path(self.given).parent))
        parts = urlsplit(self.given)
        return FileLocation(parts._replace(path=posixpath.dirname(parts.path)).geturl())

    def __truediv__(self, path: str) -> "FileLocation":
        """The location of `path` in this folder; an address keeps its query."""
        if not self.is_remote:
            return FileLocation(str(Path(self.given) / path))
        parts = urlsplit(self.given)
        return FileLocation(parts._replace(path=f"{parts.path.rstrip('/')}/{path}").geturl())

    def __str__(self) -> str:
        if not self.is_remote:
            return self.given
        parts = urlsplit(self.given)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"

    def version(self) -> list[str | int]:
        """Changes when a local file does. That of a remote file is its address, so it has to be read to tell.

        Raises:
            UsageError: there is no such local file.
        """
        if self.is_remote:
            return [self.identity]
        try:
            state = Path(self.given).stat()
        except OSError as error:
            raise UsageError(f"{self} cannot be read ({error.strerror}): check the path") from error
        return [self.identity, state.st_size, state.st_mtime_ns]

    def is_file(self) -> bool:
        """Whether a file is there.

        Raises:
            LlavaMedError: the server cannot be asked.
            UsageError: the address is of a kind that cannot be read.
        """
        if not self.is_remote:
            return Path(self.given).is_file()
        try:
            if self.given.startswith("hf://"):
                from huggingface_hub import HfFileSystem

                return bool(HfFileSystem().info(self._path_on_hub())["type"] == "file")
            obstore.head(*self._object_on_server())
        except FileNotFoundError:
            return False
        except READ_ERRORS as error:
            raise LlavaMedError(f"cannot look for {self}: {first_line(error)}") from error
        return True

    def open(self) -> io.BufferedReader:
        """Opens the file for one pass from its start; raises FileNotFoundError, NotAFileError and `READ_ERRORS`."""
        if not self.is_remote:
            return open_file(Path(self.given))
        if self.given.startswith("hf://"):
            from huggingface_hub import HfFileSystem

            # block_size=0: one streamed request, resumed by the library, in place of many ranges
            return io.BufferedReader(
                HfFileSystem().open(self._path_on_hub(), "rb", block_size=0), CHUNK_BYTES
            )
        # obstore itself resumes a broken transfer if the server gives an ETag
        return file_of_chunks(obstore.get(*self._object_on_server()).stream(min_chunk_size=CHUNK_BYTES))

    def _path_on_hub(self) -> str:
        path = self.given.removeprefix("hf://")
        if not re.fullmatch(r"datasets/[\w.-]+/[\w.-]+(@[^/]+)?(/.+)?", path):
            raise UsageError(f"{self} is not of the form hf://datasets/ORG/NAME/PATH")
        return path

    def _object_on_server(self) -> tuple[HTTPStore, str]:
        parts = urlsplit(self.given)
        if not _is_safe(parts):
            raise UsageError(f"cannot read {self}: give a path, https://… or hf://datasets/…")
        folder, name = posixpath.split(parts.path)
        if not name:
            raise UsageError(f"{self} names no file")
        store = HTTPStore(
            parts._replace(path=folder, fragment="").geturl(),
            client_options={"allow_http": parts.scheme == "http"},
            retry_config={"max_retries": 4, "retry_timeout": timedelta(seconds=60)},
        )
        return store, unquote(name)


def file_of_chunks(chunks: Iterable[bytes]) -> io.BufferedReader:
    """Chunks of bytes, such as those of a response, as a file that is read once from its start."""
    return io.BufferedReader(_Chunks(chunks), CHUNK_BYTES)


class _Chunks(io.RawIOBase):
    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._rest:
            self._rest = memoryview(next(self._chunks, b""))
        size = min(len(buffer), len(self._rest))
        buffer[:size] = self._rest[:size]
        self._rest = self._rest[size:]
        return size


def first_line(error: BaseException) -> str:
    """The first line of an error's text: storage libraries append a dump of nested errors."""
    return str(error).strip().partition("\n")[0] or type(error).__name__
