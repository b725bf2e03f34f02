"""A gzipped tar archive that is not trusted, read as a stream within bounds; nothing is ever unpacked to disk."""

import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO, Self

from llavamed_data.io.regular_files import open_file
from llavamed_data.reasons import Drop, Reason
from llavamed_data.sources.article import MAX_XML_BYTES

_ALLOWED = (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.DIRTYPE)
_NAME_HEADERS = (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME)
_KINDS = {
    tarfile.LNKTYPE: "a hard link",
    tarfile.SYMTYPE: "a symbolic link",
    tarfile.GNUTYPE_LONGLINK: "a link",
    tarfile.CHRTYPE: "a device",
    tarfile.BLKTYPE: "a device",
    tarfile.FIFOTYPE: "a named pipe",
}
_CHUNK = 64 * 1024


@dataclass(frozen=True, slots=True)
class ArchiveLimits:
    """Bounds on one archive; an honest package stays far below them.

    Attributes:
        members: files and folders.
        total_bytes: of everything unpacked.
        ratio: unpacked to packed bytes, tested once `free_bytes` are unpacked. Text packs about 5 times, an
            uncompressed scan of a blank page 100 times, zeros 1,030 times.
        free_bytes: unpacked bytes that may have any ratio.
        name_bytes: of a header that only names the next member.
        xml_bytes: of an article's XML.
        image_bytes: of one image.
    """

    members: int = 20_000
    total_bytes: int = 8 * 2**30
    ratio: int = 200
    free_bytes: int = 16 * 2**20
    name_bytes: int = 64 * 1024
    xml_bytes: int = MAX_XML_BYTES
    image_bytes: int = 256 * 2**20


class ArchiveMember:
    """A file inside the archive; it can be read until the iteration goes on."""

    def __init__(self, tar: tarfile.TarFile, header: tarfile.TarInfo) -> None:
        self.name = header.name
        self._tar = tar
        self._header = header

    def read(self, limit: int, too_large: Reason) -> bytes:
        """Returns its bytes.

        Raises:
            Drop: `too_large` if it has more than `limit` bytes; ARCHIVE_TRUNCATED if it is cut off.
        """
        if self._header.size > limit:
            raise Drop(too_large, f"{self._header.size} bytes, more than {limit}")
        try:
            file = self._tar.extractfile(self._header)
            return file.read() if file else b""
        except tarfile.TarError as error:
            raise Drop(Reason.ARCHIVE_TRUNCATED, "the archive ends inside it") from error


class Archive:
    """The files of an archive, in its order: `for member in Archive(path, limits)`.

    Attributes:
        broken: after the iteration, what ended it before the archive's end; empty if the archive is complete.

    Raises (while iterated):
        Drop: ARCHIVE_HOSTILE for what no honest archive holds, ARCHIVE_UNREADABLE if this is no archive.
    """

    def __init__(self, path: Path, limits: ArchiveLimits) -> None:
        self.path = path
        self.limits = limits
        self.broken = ""

    def __iter__(self) -> Iterator[ArchiveMember]:
        count = 0
        try:
            with open_file(self.path) as packed:
                stream = _GunzipStream(packed, self.limits)
                for member in self._members(stream):
                    count += 1
                    yield member
                stream.read_to_end()
        except _BrokenOffError as error:
            if not count:
                raise Drop(Reason.ARCHIVE_UNREADABLE, str(error)) from error
            self.broken = str(error)
        except OSError as error:
            raise Drop(Reason.ARCHIVE_UNREADABLE, error.strerror or type(error).__name__) from error

    def _members(self, stream: "_GunzipStream") -> Iterator[ArchiveMember]:
        try:
            with tarfile.open(fileobj=stream, mode="r|", tarinfo=_header_within(self.limits)) as tar:  # type: ignore[call-overload]  # only read() is needed
                for count, header in enumerate(tar, 1):
                    if count > self.limits.members:
                        raise Drop(Reason.ARCHIVE_HOSTILE, f"more than {self.limits.members} members")
                    _refuse_false_header(header, self.limits)
                    if header.isfile():
                        yield ArchiveMember(tar, header)
        except (tarfile.TarError, _BrokenOffError) as error:
            raise _BrokenOffError(stream.broken or str(error)) from error
        except RecursionError as error:
            raise Drop(Reason.ARCHIVE_HOSTILE, "headers nested without end") from error


class _BrokenOffError(Exception):
    """The archive ends, or stops making sense, before its end mark."""


class _GunzipStream:
    """The content of a gzip file, read within `limits`.

    Python's own gzip reader discards what it has unpacked when the file breaks off; here all of it comes out.
    """

    def __init__(self, packed: IO[bytes], limits: ArchiveLimits) -> None:
        self.broken = ""
        self._packed = packed
        self._limits = limits
        self._inflate = zlib.decompressobj(wbits=31)
        self._pending = b""
        self._in = self._out = 0

    def read(self, size: int) -> bytes:
        parts, missing = [], size
        while missing and not self.broken and (part := self._some(missing)):
            parts.append(part)
            missing -= len(part)
        return b"".join(parts)

    def read_to_end(self) -> None:
        """Reads what follows the end mark, so that the checksum at the end of the file is verified."""
        while self.read(_CHUNK):
            pass
        if self.broken:
            raise _BrokenOffError(self.broken)

    def _some(self, most: int) -> bytes:
        while True:
            if self._inflate.eof and not self._next_stream():
                return b""
            if not self._pending and not self._refill():
                return b""
            try:
                part = self._inflate.decompress(self._pending, most)
            except zlib.error as error:
                self.broken = "not a gzip file" if not self._out else f"damaged: {error}"
                return b""
            self._pending = self._inflate.unconsumed_tail
            self._out += len(part)
            self._check_size()
            if part:
                return part

    def _next_stream(self) -> bool:
        """Goes on to the next gzip stream, if the file holds several; false at the end of the file."""
        rest = self._inflate.unused_data or self._chunk()
        if not rest.strip(b"\0"):
            return False
        self._inflate, self._pending = zlib.decompressobj(wbits=31), rest
        return True

    def _refill(self) -> bool:
        self._pending = self._chunk()
        if not self._pending:
            self.broken = "the file ends in the middle" if self._in else "the file is empty"
        return bool(self._pending)

    def _chunk(self) -> bytes:
        chunk = self._packed.read(_CHUNK)
        self._in += len(chunk)
        return chunk

    def _check_size(self) -> None:
        limits = self._limits
        if self._out > limits.total_bytes:
            raise Drop(Reason.ARCHIVE_HOSTILE, f"unpacks to more than {limits.total_bytes} bytes")
        if self._out > limits.free_bytes and self._out > limits.ratio * self._in:
            raise Drop(Reason.ARCHIVE_HOSTILE, f"unpacks to more than {limits.ratio} times its size")


def _header_within(limits: ArchiveLimits) -> type[tarfile.TarInfo]:
    """Makes a class of headers that refuses members of an unwanted kind or size before tarfile acts on them."""

    class Header(tarfile.TarInfo):
        @classmethod
        def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
            header = super().frombuf(buf, encoding, errors)
            if header.type not in _ALLOWED + _NAME_HEADERS:
                raise Drop(
                    Reason.ARCHIVE_HOSTILE, f"holds {_KINDS.get(header.type, 'an unknown kind of member')}"
                )
            if header.type in _NAME_HEADERS and not 0 <= header.size <= limits.name_bytes:
                raise Drop(Reason.ARCHIVE_HOSTILE, f"a name of {header.size} bytes")
            return header

        @classmethod
        def fromtarfile(cls, tarfile_: tarfile.TarFile) -> Self:
            try:
                return super().fromtarfile(tarfile_)
            except tarfile.HeaderError as error:
                # the end mark is a header error too, whose class tarfile does not publish
                if type(error).__name__ == "EOFHeaderError":
                    raise
                # tarfile takes a broken header for the end: what follows it would be lost silently
                raise _BrokenOffError(f"no end mark: {error}") from error

    return Header


def _refuse_false_header(header: tarfile.TarInfo, limits: ArchiveLimits) -> None:
    posix, windows = PurePosixPath(header.name), PureWindowsPath(header.name)
    if posix.is_absolute() or windows.drive or windows.root or ".." in (*posix.parts, *windows.parts):
        raise Drop(Reason.ARCHIVE_HOSTILE, "a path that leads out of the archive")
    # tarfile skips a member block by block, even beyond the end of the file: for 2**62 bytes it would never end
    if not 0 <= header.size <= limits.total_bytes or header.issparse():
        raise Drop(Reason.ARCHIVE_HOSTILE, "a member with a false size")
