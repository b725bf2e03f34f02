"""Finds the rows of a dataset that hold given words or are of a given domain."""

from collections import Counter
from dataclasses import dataclass
from functools import lru_cache

from llavamed_data.dataset.messages import turns_of
from llavamed_data.dataset.reader import Dataset, Row

TEXT_COLUMNS = ("id", "domain", "caption", "messages", "license", "pmcid", "figure_label", "inline_mentions")
"""The columns that are searched and shown: all but the images."""


@dataclass(frozen=True, slots=True)
class RowFilter:
    """Which rows are looked for.

    Attributes:
        words: all of them stand in the id, the caption, a mention or a turn of the row, in upper or lower case.
        domain: of the row; "" for any.
    """

    words: str = ""
    domain: str = ""

    def matches(self, row: Row) -> bool:
        """Whether a row with the columns `TEXT_COLUMNS` is looked for."""
        if self.domain and row.get("domain") != self.domain:
            return False
        words = self.words.lower().split()
        if not words:
            return True
        turns = (text for _, text in turns_of(row.get("messages")))
        texts = (row.get("id"), row.get("caption"), *(row.get("inline_mentions") or ()), *turns)
        whole = "\n".join(text for text in texts if isinstance(text, str)).lower()
        return all(word in whole for word in words)


class RowSearch:
    """Searches one dataset, and remembers the last few results."""

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset
        self.find = lru_cache(maxsize=32)(self._find)
        """Takes a `RowFilter` and returns the numbers of the rows that it matches, in order."""

    def domains(self) -> dict[str, int]:
        """Domain → rows, in alphabetical order."""
        domains = (row.get("domain") for row in self._dataset.rows(["domain"]))
        return dict(sorted(Counter(domain for domain in domains if isinstance(domain, str)).items()))

    def _find(self, wanted: RowFilter) -> range | list[int]:
        if wanted == RowFilter():
            return range(len(self._dataset))
        columns = TEXT_COLUMNS if wanted.words.split() else ("domain",)
        return [number for number, row in enumerate(self._dataset.rows(columns)) if wanted.matches(row)]
