"""A table of very many short texts, which needs little more memory than their characters, or is read from a file."""

import hashlib
from array import array
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Self

import numpy as np

from llavamed_data.io.atomic import atomic_path


class PackedTable:
    """Read-only texts by key, several a key allowed: 24 bytes an entry beside the texts.

    Args:
        entries: key and text; a key contains no NUL.
    """

    def __init__(self, entries: Iterable[tuple[str, str]]) -> None:
        hashes, ends = array("Q"), array("q", [0])
        packed = bytearray()
        for key, text in entries:
            hashes.append(_hash(key))
            packed += _bytes(key) + b"\0" + _bytes(text)
            ends.append(len(packed))
        unsorted = np.array(hashes, np.uint64)
        self._order: Any = np.argsort(unsorted, kind="stable").astype(np.int64)
        self._hashes: Any = unsorted[self._order]
        self._ends: Any = np.array(ends, np.int64)
        self._packed: Any = np.frombuffer(packed, np.uint8)

    def write(self, path: Path) -> None:
        """Writes the table to a file."""
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            for part in (np.array([len(self)]), self._hashes, self._order, self._ends, self._packed):
                file.write(part.data)

    @classmethod
    def open(cls, path: Path) -> Self:
        """Opens a file that `write` has written; its content is read from the disk as it is needed."""
        content = np.memmap(path, np.uint8, "r")
        count = int(content[:8].view(np.int64)[0])
        table = cls.__new__(cls)
        bounds = [8, 8 + 8 * count, 8 + 16 * count, 16 + 24 * count]
        table._hashes = content[bounds[0] : bounds[1]].view(np.uint64)
        table._order = content[bounds[1] : bounds[2]].view(np.int64)
        table._ends = content[bounds[2] : bounds[3]].view(np.int64)
        table._packed = content[bounds[3] :]
        return table

    def __len__(self) -> int:
        return len(self._hashes)

    def __iter__(self) -> Iterator[tuple[str, str]]:
        """Yields every entry in the order in which it was given."""
        return map(self._entry, range(len(self)))

    def texts(self, key: str) -> Iterator[str]:
        """Yields the texts of `key` in the order in which they were given."""
        wanted = np.uint64(_hash(key))
        at = int(np.searchsorted(self._hashes, wanted))
        while at < len(self) and self._hashes[at] == wanted:
            found, text = self._entry(int(self._order[at]))
            if found == key:  # two keys may have the same hash
                yield text
            at += 1

    def _entry(self, index: int) -> tuple[str, str]:
        start, stop = int(self._ends[index]), int(self._ends[index + 1])
        key, _, text = self._packed[start:stop].tobytes().partition(b"\0")
        return key.decode("utf-8", "surrogateescape"), text.decode("utf-8", "surrogateescape")


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _hash(key: str) -> int:
    return int.from_bytes(hashlib.blake2b(_bytes(key), digest_size=8).digest())
