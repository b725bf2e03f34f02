"""A table of very many short texts that takes little more room than their characters."""

import hashlib
from array import array
from collections.abc import Iterable, Iterator

import numpy as np


class PackedTable:
    """Read-only texts by key, exact, several a key allowed: about 20 bytes an entry beside the texts.

    Args:
        entries: key and text; a key holds no NUL.
    """

    def __init__(self, entries: Iterable[tuple[str, str]]) -> None:
        hashes, starts = array("Q"), array("Q", [0])
        packed = bytearray()
        for key, text in entries:
            hashes.append(_hash(key))
            packed += _bytes(key) + b"\0" + _bytes(text)
            starts.append(len(packed))
        self._packed = bytes(packed)
        self._starts = np.frombuffer(starts, np.uint64) if len(hashes) else np.zeros(1, np.uint64)
        unsorted = np.frombuffer(hashes, np.uint64) if len(hashes) else np.zeros(0, np.uint64)
        self._order = np.argsort(unsorted, kind="stable").astype(np.uint32)
        self._hashes = unsorted[self._order]

    def __len__(self) -> int:
        return len(self._hashes)

    def __iter__(self) -> Iterator[tuple[str, str]]:
        """Every entry, in the order in which they came."""
        return map(self._entry, range(len(self)))

    def texts(self, key: str) -> Iterator[str]:
        """The texts under `key`, in the order in which they came."""
        wanted = np.uint64(_hash(key))
        at = int(np.searchsorted(self._hashes, wanted))
        while at < len(self) and self._hashes[at] == wanted:
            found, text = self._entry(int(self._order[at]))
            if found == key:
                yield text
            at += 1

    def _entry(self, index: int) -> tuple[str, str]:
        key, _, text = self._packed[int(self._starts[index]) : int(self._starts[index + 1])].partition(b"\0")
        return key.decode("utf-8", "surrogateescape"), text.decode("utf-8", "surrogateescape")


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _hash(key: str) -> int:
    return int.from_bytes(hashlib.blake2b(_bytes(key), digest_size=8).digest(), "big")
