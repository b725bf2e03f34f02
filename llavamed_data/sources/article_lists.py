"""Which articles to read: a list of PMCIDs, from a file or from what a search finds."""

import hashlib
import itertools
import re
from array import array
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from llavamed_data.errors import UsageError

_PMCID = re.compile(r"(?:PMC)?(\d{1,15})(?:\.\d{1,9})?", re.ASCII | re.IGNORECASE)
_NAMED = re.compile(r"(?:.*/)?PMC(\d{1,15})(?!\d)")
_BATCH = 10_000


class ArticleList:
    """A set of articles by the numbers of their PMCIDs: 8 bytes an article.

    Args:
        numbers: in any order, repeated or not.
    """

    def __init__(self, numbers: Iterable[int]) -> None:
        self._numbers = np.unique(np.frombuffer(array("q", numbers), np.int64))
        self._found = np.zeros(len(self._numbers), bool)

    def __len__(self) -> int:
        return len(self._numbers)

    def __iter__(self) -> Iterator[str]:
        """The PMCIDs, by number."""
        return (f"PMC{number}" for number in self._numbers.tolist())

    def digest(self) -> str:
        """Hex digest of what is on the list, whatever its order and spelling."""
        return hashlib.sha256(self._numbers.astype("<i8").tobytes()).hexdigest()

    def choose(self, handles: Iterable[str]) -> Iterator[str]:
        """Those of `handles` that name an article of the list, in their order; the whole of `handles` is read.

        Raises:
            UsageError: no handle at all names a PMCID, so nobody can tell which are meant.
        """
        named = False
        left = iter(handles)
        while batch := list(itertools.islice(left, _BATCH)):
            numbers = np.fromiter(map(number_of, batch), np.int64, len(batch))
            named = named or bool((numbers >= 0).any())
            places = np.searchsorted(self._numbers, numbers)
            places[places == len(self)] = 0
            hits = self._numbers[places] == numbers if len(self) else np.zeros(len(batch), bool)
            self._found[places[hits]] = True
            yield from itertools.compress(batch, hits.tolist())
        if not named:
            raise UsageError(
                "the source does not name its articles by PMCID, so none can be chosen: leave --pmcids and --query out"
            )

    def missing(self) -> Iterator[str]:
        """The PMCIDs that `choose` met no handle for."""
        return (f"PMC{number}" for number in self._numbers[~self._found].tolist())


def read_article_list(path: Path) -> ArticleList:
    """Reads a file of one PMCID a line: `PMC7236913`, `7236913` or `PMC7236913.1`.

    A version says nothing, for the newest is read. `#` begins a comment, empty lines do not count.

    Raises:
        UsageError: the file cannot be read, a line is something else (its number is told), or there is none.
    """
    try:
        with path.open(encoding="utf-8-sig") as lines:
            listed = ArticleList(_numbers(path, lines))
    except OSError as error:
        raise UsageError(f"the list of articles {path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"the list of articles {path} is not text: give one PMCID a line") from error
    if not len(listed):
        raise UsageError(f"the list of articles {path} is empty: give one PMCID a line")
    return listed


def _numbers(path: Path, lines: Iterable[str]) -> Iterator[int]:
    for number, line in enumerate(lines, start=1):
        text = line.partition("#")[0].strip()
        if not text:
            continue
        found = _PMCID.fullmatch(text)
        if not found:
            raise UsageError(f"{path}, line {number}: {text[:40]!a} is no PMCID, such as PMC7236913")
        yield int(found.group(1))


def number_of(handle: str) -> int:
    """The number of the PMCID that a handle begins with; -1 where it names none."""
    found = _NAMED.match(handle)
    return int(found.group(1)) if found else -1
