"""The two binary forms of the Xet protocol, as far as a server must read them.

A xorb is a run of chunks, each compressed for itself behind a header of 8 bytes. A shard lists files as runs of chunks
of xorbs, with the files' SHA-256.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa

_CHUNK = struct.Struct("<B3sB3s")
_ENTRY = 48
_HEADER = 48
_FLAG_RANGE_HASHES = 1 << 31
_FLAG_SHA256 = 1 << 30
_BOOKEND = b"\xff" * 32
_PLAIN, _LZ4, _GROUPED_LZ4 = range(3)


@dataclass(frozen=True)
class Chunk:
    """Where a chunk lies in its xorb: header and data from `start` to `stop`, and its size when unpacked."""

    start: int
    stop: int
    scheme: int
    size: int


@dataclass(frozen=True)
class Term:
    """Chunks `first` to `last` (exclusive) of a xorb: `size` bytes of a file."""

    xorb: str
    first: int
    last: int
    size: int


@dataclass(frozen=True)
class File:
    """A file by its Xet hash, its SHA-256 and the terms that make it up."""

    xet_hash: str
    sha256: str
    terms: tuple[Term, ...]

    @property
    def size(self) -> int:
        return sum(term.size for term in self.terms)


def chunks_of(xorb: bytes) -> list[Chunk]:
    """The chunks of a xorb; the optional footer, which begins with XETBLOB, is left out."""
    chunks = []
    start = 0
    while start < len(xorb) and not xorb.startswith(b"XETBLOB", start):
        version, packed, scheme, unpacked = _CHUNK.unpack_from(xorb, start)
        if version:
            raise ValueError(f"chunk of version {version}")
        stop = start + _CHUNK.size + int.from_bytes(packed, "little")
        chunks.append(Chunk(start, stop, scheme, int.from_bytes(unpacked, "little")))
        start = stop
    if not chunks or chunks[-1].stop > len(xorb):
        raise ValueError("a xorb without chunks, or cut short")
    return chunks


def unpack(chunk: Chunk, packed: bytes) -> bytes:
    """The bytes of a chunk; `packed` is what lies between `start` and `stop`."""
    data = packed[_CHUNK.size :]
    if chunk.scheme == _PLAIN:
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


def files_of(shard: bytes) -> Iterator[File]:
    """The files that an uploaded shard lists."""
    place = _HEADER
    while shard[place : place + 32] != _BOOKEND:
        xet_hash = _hex(shard[place : place + 32])
        flags, entries = struct.unpack_from("<II", shard, place + 32)
        place += _ENTRY
        terms = []
        for _ in range(entries):
            size, first, last = struct.unpack_from("<III", shard, place + 36)
            terms.append(Term(_hex(shard[place : place + 32]), first, last, size))
            place += _ENTRY
        if flags & _FLAG_RANGE_HASHES:
            place += entries * _ENTRY
        if not flags & _FLAG_SHA256:
            raise ValueError("a file without SHA-256")
        yield File(xet_hash, _hex(shard[place : place + 32]), tuple(terms))
        place += _ENTRY


def _hex(digest: bytes) -> str:
    """A hash as Xet writes it: four little-endian numbers of 8 bytes."""
    return "".join(f"{number:016x}" for number in struct.unpack("<4Q", digest))
