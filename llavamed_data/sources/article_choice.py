"""Which articles of a source a run reads: all, those of a list of PMCIDs, or those that a search of PMC finds."""

import hashlib
import itertools
import re
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from llavamed_data.errors import UsageError
from llavamed_data.io.atomic import atomic_path
from llavamed_data.io.regular_files import require_settings_file
from llavamed_data.sources.eutils import Eutils

SEARCH_RESULT = "found.txt"
"""What the search found, in the folder of the source: a rerun reads the same articles, `update` searches again."""

_COUNTED = "# articles that PMC counts: "
_PMCID = re.compile(r"(?:PMC)?(\d{1,15})(?:\.\d{1,9})?", re.ASCII | re.IGNORECASE)
_PMCID_IN_HANDLE = re.compile(r"(?!.*#)(?:.*/)?PMC(\d{1,15})(?!\d)")
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
        """Yields the PMCIDs by number."""
        return (f"PMC{number}" for number in self._numbers.tolist())

    def digest(self) -> str:
        """Hex digest of which articles are on the list, whatever their order and spelling."""
        return hashlib.sha256(self._numbers.astype("<i8").tobytes()).hexdigest()

    def choose(self, handles: Iterable[str]) -> Iterator[str]:
        """Yields those of `handles` that name an article of the list, in their order; all `handles` are read.

        Raises:
            UsageError: no handle at all names a PMCID, so that none can be chosen.
        """
        named = False
        left = iter(handles)
        while batch := list(itertools.islice(left, _BATCH)):
            numbers = np.fromiter(map(article_number, batch), np.int64, len(batch))
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
        """Yields the PMCIDs for which `choose` met no handle."""
        return (f"PMC{number}" for number in self._numbers[~self._found].tolist())


def article_number(handle: str) -> int:
    """The number of the PMCID that a handle begins with; -1 if it names none, or names a file of several articles."""
    found = _PMCID_IN_HANDLE.match(handle)
    return int(found.group(1)) if found else -1


def read_article_list(path: Path) -> ArticleList:
    """Reads a file of one PMCID a line: `PMC7236913`, `7236913` or `PMC7236913.1`.

    A version is ignored: the current one is read. `#` begins a comment, empty lines do not count.

    Raises:
        UsageError: the file cannot be read, holds no PMCID, or has a line that is none, which is named by number.
    """
    numbers = array("q")
    try:
        require_settings_file(path)
        with path.open(encoding="utf-8-sig") as lines:
            for place, line in enumerate(lines, start=1):
                text = line.partition("#")[0].strip()
                if found := _PMCID.fullmatch(text):
                    numbers.append(int(found.group(1)))
                elif text:
                    raise UsageError(f"{path}, line {place}: {text[:40]!a} is no PMCID, such as PMC7236913")
    except OSError as error:
        raise UsageError(f"the list of articles {path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"the list of articles {path} is not text: give one PMCID a line") from error
    if not numbers:
        raise UsageError(f"the list of articles {path} is empty: give one PMCID a line")
    return ArticleList(numbers)


@dataclass(frozen=True, slots=True)
class ArticleChoice:
    """How the user names the articles to read: by a list, by a search, or not at all for all articles.

    Attributes:
        pmcids: a file of PMCIDs.
        query: a search of PMC.

    Raises:
        UsageError: both are given.
    """

    pmcids: Path | None = None
    query: str | None = None

    def __post_init__(self) -> None:
        if self.pmcids is not None and self.query is not None:
            raise UsageError("--pmcids and --query both name articles: give one of them")

    @property
    def identity(self) -> str:
        """Differs between two files or searches, whatever articles they name; empty for all articles."""
        if self.pmcids is not None:
            return f"pmcids {self.pmcids.absolute()}"
        return f"query {self.query}" if self.query is not None else ""

    def articles(self, folder: Path, *, search_again: bool = False) -> ArticleList | None:
        """The articles named; None for all.

        Args:
            folder: of the source in the work folder, where the result of a search is kept.
            search_again: do not use the result that is kept there.

        Raises:
            UsageError: the list or the search is wrong.
            LlavaMedError: NCBI cannot be reached.
        """
        if self.pmcids is not None:
            return read_article_list(self.pmcids)
        if self.query is None:
            return None
        kept = folder / SEARCH_RESULT
        if search_again or not kept.exists():
            found = Eutils().search(self.query)
            folder.mkdir(parents=True, exist_ok=True)
            with atomic_path(kept) as temporary, temporary.open("w", encoding="utf-8") as lines:
                lines.write(f"{_COUNTED}{found.counted}\n")
                lines.writelines(f"{pmcid}\n" for pmcid in ArticleList(found))
        return read_article_list(kept)

    def shortage(self, articles: ArticleList | None, folder: Path) -> list[str]:
        """The sentence, in a list, that PMC counts more articles than it gives; the list is empty if it does not."""
        if articles is None or self.query is None:
            return []
        with (folder / SEARCH_RESULT).open(encoding="utf-8") as lines:
            stated = re.fullmatch(rf"{_COUNTED}(\d+)", lines.readline().strip())
        counted = int(stated.group(1)) if stated else 0
        if counted <= len(articles):
            return []
        return [
            f"PMC counts {counted:,} articles for the search and gives {len(articles):,}: "
            f"{counted - len(articles):,} could not be reached"
        ]

    def note(self, articles: ArticleList | None) -> list[str]:
        """The sentence about the choice for the card, in a list; the list is empty for all articles."""
        if articles is None:
            return []
        query = " ".join(self.query.split()).replace("`", "'") if self.query else ""
        by = f"that PMC found for the search `{query}`" if query else "of a given list"
        return [f"Drawn only from the {len(articles):,} articles {by}."]
