"""Which articles of a source a run reads: all, those of a list, or those that a search finds."""

from dataclasses import dataclass
from pathlib import Path

from llavamed_data.errors import UsageError
from llavamed_data.io.atomic import atomic_path
from llavamed_data.sources.article_lists import ArticleList, read_article_list
from llavamed_data.sources.eutils import Eutils

FOUND = "found.txt"
"""What the search found, in the source's folder: a rerun reads the same articles, `update` searches again."""


@dataclass(frozen=True, slots=True)
class Choice:
    """How the user names articles.

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
    def name(self) -> str:
        """Tells two choices apart by where they come from, not by what they hold; empty for all articles."""
        if self.pmcids is not None:
            return f"pmcids {self.pmcids.absolute()}"
        return f"query {self.query}" if self.query is not None else ""

    def articles(self, folder: Path, *, search_again: bool = False) -> ArticleList | None:
        """The articles named; None for all.

        Args:
            folder: of the source, where a search keeps what it found.
            search_again: do not use what is kept there.

        Raises:
            UsageError: the list or the search is wrong.
            LlavaMedError: NCBI cannot be reached.
        """
        if self.pmcids is not None:
            return read_article_list(self.pmcids)
        if self.query is None:
            return None
        kept = folder / FOUND
        if search_again or not kept.exists():
            found = Eutils().search(self.query)
            folder.mkdir(parents=True, exist_ok=True)
            with atomic_path(kept) as aside, aside.open("w", encoding="utf-8") as lines:
                lines.writelines(f"{pmcid}\n" for pmcid in found)
        return read_article_list(kept)

    def note(self, articles: ArticleList | None) -> list[str]:
        """What a card says of it."""
        if articles is None:
            return []
        by = f"that PMC found for the search `{_plain(self.query)}`" if self.query else "of a given list"
        return [f"Drawn only from the {len(articles):,} articles {by}."]


def _plain(text: str) -> str:
    return " ".join(text.split()).replace("`", "'")
