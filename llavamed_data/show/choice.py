"""Which rows of a dataset answer to a word and a domain."""

from dataclasses import dataclass
from functools import lru_cache

from llavamed_data.dataset.messages import turns_of
from llavamed_data.dataset.reader import Dataset, Row

COLUMNS = ("id", "domain", "caption", "messages", "license", "pmcid", "figure_label", "inline_mentions")
"""What is looked at, and what a page shows: all but the images."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What somebody looks for.

    Attributes:
        words: stand, all of them, in the id, the caption, a mention or a turn; upper and lower case are one.
        domain: of the row; "" for any.
    """

    words: str = ""
    domain: str = ""

    def fits(self, row: Row) -> bool:
        """Whether a row with the columns `COLUMNS` is wanted."""
        if self.domain and row.get("domain") != self.domain:
            return False
        sought = self.words.lower().split()
        if not sought:
            return True
        said = (text for _, text in turns_of(row.get("messages")))
        held = (row.get("id"), row.get("caption"), *(row.get("inline_mentions") or ()), *said)
        text = "\n".join(each for each in held if isinstance(each, str)).lower()
        return all(word in text for word in sought)


class Finder:
    """Finds rows, and remembers the last few answers."""

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset
        self.find = lru_cache(maxsize=32)(self._find)
        """Numbers of the rows that are wanted, in order."""

    def domains(self) -> dict[str, int]:
        """Domain → rows, in alphabetical order."""
        counts: dict[str, int] = {}
        for row in self._dataset.rows(["domain"]):
            if isinstance(row.get("domain"), str):
                counts[row["domain"]] = counts.get(row["domain"], 0) + 1
        return dict(sorted(counts.items()))

    def _find(self, wanted: Wanted) -> range | list[int]:
        if wanted == Wanted():
            return range(len(self._dataset))
        columns = COLUMNS if wanted.words.split() else ("domain",)
        return [number for number, row in enumerate(self._dataset.rows(columns)) if wanted.fits(row)]
