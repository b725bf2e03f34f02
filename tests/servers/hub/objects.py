"""The bytes that a Hub holds: small files, LFS objects and Xet xorbs, each under its own hash and once.

A xorb is a run of chunks, each compressed for itself behind a header of 8 bytes. A Xet shard lists files as runs of
chunks of xorbs, with the files' SHA-256.
"""

import hashlib
import json
import os
import struct
import threading
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from pathlib import Path

import pyarrow as pa

_CHUNK = struct.Struct("<B3sB3s")
_ENTRY = 48
_HEADER = 48
_FLAG_RANGE_HASHES = 1 << 31
_FLAG_SHA256 = 1 << 30
_BOOKEND = b"\xff" * 32
_UNCOMPRESSED, _LZ4, _GROUPED_LZ4 = range(3)


@dataclass(frozen=True)
class XorbChunk:
    """Where a chunk lies in its xorb: header and data from `start` to `stop`, and its size when unpacked."""

    start: int
    stop: int
    scheme: int
    size: int


@dataclass(frozen=True)
class XetTerm:
    """Chunks `first` to `last` (exclusive) of a xorb: `size` bytes of a file."""

    xorb: str
    first: int
    last: int
    size: int


@dataclass(frozen=True)
class XetFile:
    """A file by its Xet hash, its SHA-256 and the terms that make it up."""

    xet_hash: str
    sha256: str
    terms: tuple[XetTerm, ...]

    @property
    def size(self) -> int:
        return sum(term.size for term in self.terms)


def chunks_of(xorb: bytes) -> list[XorbChunk]:
    """The chunks of a xorb; the optional footer, which begins with XETBLOB, is left out."""
    chunks = []
    start = 0
    while start < len(xorb) and not xorb.startswith(b"XETBLOB", start):
        version, packed, scheme, unpacked = _CHUNK.unpack_from(xorb, start)
        if version:
            raise ValueError(f"chunk of version {version}")
        stop = start + _CHUNK.size + int.from_bytes(packed, "little")
        chunks.append(XorbChunk(start, stop, scheme, int.from_bytes(unpacked, "little")))
        start = stop
    if not chunks or chunks[-1].stop > len(xorb):
        raise ValueError("a xorb without chunks, or cut short")
    return chunks


def unpack(chunk: XorbChunk, packed: bytes) -> bytes:
    """The bytes of a chunk; `packed` is what lies between `start` and `stop`."""
    data = packed[_CHUNK.size :]
    if chunk.scheme == _UNCOMPRESSED:
        return data
    data = pa.decompress(data, decompressed_size=chunk.size, codec="lz4", asbytes=True)
    return _ungrouped(data) if chunk.scheme == _GROUPED_LZ4 else data


def _ungrouped(data: bytes) -> bytes:
    """Bytes that lie grouped by their position modulo 4, back in order."""
    whole = bytearray(len(data))
    start = 0
    for position in range(4):
        count = (len(data) + 3 - position) // 4
        whole[position::4] = data[start : start + count]
        start += count
    return bytes(whole)


def files_of(shard: bytes) -> Iterator[XetFile]:
    """The files that an uploaded shard lists."""
    place = _HEADER
    while shard[place : place + 32] != _BOOKEND:
        xet_hash = _hex(shard[place : place + 32])
        flags, entries = struct.unpack_from("<II", shard, place + 32)
        place += _ENTRY
        terms = []
        for _ in range(entries):
            size, first, last = struct.unpack_from("<III", shard, place + 36)
            terms.append(XetTerm(_hex(shard[place : place + 32]), first, last, size))
            place += _ENTRY
        if flags & _FLAG_RANGE_HASHES:
            place += entries * _ENTRY
        if not flags & _FLAG_SHA256:
            raise ValueError("a file without SHA-256")
        yield XetFile(xet_hash, _hex(shard[place : place + 32]), tuple(terms))
        place += _ENTRY


def _hex(digest: bytes) -> str:
    """A hash as Xet writes it: four little-endian numbers of 8 bytes."""
    return "".join(f"{number:016x}" for number in struct.unpack("<4Q", digest))


def write_atomically(path: Path, data: bytes) -> None:
    """Writes a file that appears whole or not at all, whenever the server is killed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{threading.get_ident()}")
    with partial.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    partial.rename(path)


def blob_oid(data: bytes) -> str:
    """The name that git gives to a file."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def pointer(sha256: str, size: int) -> bytes:
    """What git holds in place of an LFS object."""
    return f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n".encode()


class Objects:
    """A folder of objects."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for name in ("blobs", "lfs", "xorbs", "xet", "incoming"):
            (root / name).mkdir(parents=True, exist_ok=True)

    def put_blob(self, data: bytes) -> str:
        oid = blob_oid(data)
        if not (self.root / "blobs" / oid).exists():
            write_atomically(self.root / "blobs" / oid, data)
        return oid

    def blob(self, oid: str) -> bytes:
        return (self.root / "blobs" / oid).read_bytes()

    def incoming(self, name: str) -> Path:
        """A file to write an upload into, before its hash is known to be right."""
        return self.root / "incoming" / f"{name}.{threading.get_ident()}"

    def keep_lfs(self, sha256: str, incoming: Path) -> bool:
        """Takes an uploaded object in, if its bytes are what it is called."""
        with incoming.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != sha256:
            incoming.unlink()
            return False
        incoming.rename(self.root / "lfs" / sha256)
        return True

    def size_of(self, sha256: str) -> int | None:
        """Bytes of a large object, however it came; None if there is none."""
        path = self.root / "lfs" / sha256
        if path.exists():
            return path.stat().st_size
        file = self.xet_file(sha256)
        return file.size if file else None

    def put_xorb(self, name: str, data: bytes) -> bool:
        """Takes a xorb in; False if it was there."""
        chunks_of(data)
        path = self.root / "xorbs" / name
        if path.exists():
            return False
        write_atomically(path, data)
        return True

    def put_shard(self, shard: bytes) -> None:
        """Takes in the files that a shard lists, if their xorbs are there and give the stated bytes."""
        for file in files_of(shard):
            digest = hashlib.sha256()
            for part in self._from_xorbs(file, 0, file.size):
                digest.update(part)
            if digest.hexdigest() != file.sha256:
                raise ValueError(f"the file {file.xet_hash} does not have the SHA-256 {file.sha256}")
            terms = [[term.xorb, term.first, term.last, term.size] for term in file.terms]
            stated = json.dumps({"xet": file.xet_hash, "sha256": file.sha256, "terms": terms})
            write_atomically(self.root / "xet" / file.sha256, stated.encode())
            write_atomically(self.root / "xet" / f"{file.xet_hash}.name", file.sha256.encode())

    def xet_file(self, sha256: str) -> XetFile | None:
        path = self.root / "xet" / sha256
        if not path.exists():
            return None
        stated = json.loads(path.read_text())
        return XetFile(stated["xet"], stated["sha256"], tuple(XetTerm(*term) for term in stated["terms"]))

    def xet_file_by_hash(self, xet_hash: str) -> XetFile | None:
        path = self.root / "xet" / f"{xet_hash}.name"
        return self.xet_file(path.read_text()) if path.exists() else None

    def xorb(self, name: str) -> Path:
        return self.root / "xorbs" / name

    def span(self, xorb: str, first: int, last: int) -> tuple[int, int]:
        """First and last byte (inclusive) of chunks of a xorb."""
        chunks = self._chunks(xorb)
        return chunks[first].start, chunks[last - 1].stop - 1

    def large(self, sha256: str, start: int, stop: int) -> Iterator[bytes]:
        """The bytes `start` to `stop` of a large object."""
        file = self.xet_file(sha256)
        if file:
            yield from self._from_xorbs(file, start, stop)
            return
        with (self.root / "lfs" / sha256).open("rb") as held:
            held.seek(start)
            while start < stop and (part := held.read(min(1 << 20, stop - start))):
                yield part
                start += len(part)

    def _from_xorbs(self, file: XetFile, start: int, stop: int) -> Iterator[bytes]:
        place = 0
        for term in file.terms:
            if place < stop and place + term.size > start:
                yield from self._from_term(term, max(start - place, 0), min(stop - place, term.size))
            place += term.size

    def _from_term(self, term: XetTerm, start: int, stop: int) -> Iterator[bytes]:
        chunks = self._chunks(term.xorb)[term.first : term.last]
        ends = list(accumulate(chunk.size for chunk in chunks))
        with self.xorb(term.xorb).open("rb") as xorb:
            for index in range(bisect_right(ends, start), len(chunks)):
                place = ends[index] - chunks[index].size
                if place >= stop:
                    break
                xorb.seek(chunks[index].start)
                data = unpack(chunks[index], xorb.read(chunks[index].stop - chunks[index].start))
                yield data[max(start - place, 0) : stop - place]

    @lru_cache(maxsize=256)  # noqa: B019  (lives as long as the server)
    def _chunks(self, xorb: str) -> tuple[XorbChunk, ...]:
        return tuple(chunks_of(self.xorb(xorb).read_bytes()))
