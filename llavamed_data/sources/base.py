"""What a source of articles offers to the stations."""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from llavamed_data.reasons import Drop


@dataclass(frozen=True, slots=True)
class SourceArticle:
    """One article as its source holds it, before its XML is parsed.

    Attributes:
        handle: the source's own name of it (`PMC9000001.1`, `PMC2467486.tar.gz`, `journal.pbio.0020188.xml`).
        xml: the JATS document.
        media: file name → image locator, for every file that could be a figure's image. A locator is a string
            that `ArticleSource.images` of the same source understands; `?md5=<hex>` at its end is verified.
        pmcid: `PMC` and digits, where the source itself knows it; else it is taken from the XML.
        pmid: digits, likewise.
        license: Creative Commons code as PMC writes it (`CC BY`, `CC BY-NC`, `CC0`), likewise.
        incomplete: the source broke off before its end: an image not in `media` may have been there. The locator
            `<handle>#<href>` (`media.missing_locator`) stands for it, and fetching it tells so.
    """

    handle: str
    xml: bytes
    media: Mapping[str, str] = field(default_factory=dict)
    pmcid: str | None = None
    pmid: str | None = None
    license: str | None = None
    incomplete: bool = False


@runtime_checkable
class TellsChanges(Protocol):
    """A source that knows, without reading them, which articles have changed."""

    def etags(self) -> Iterator[tuple[str, str]]:
        """`handles`, by the number of the PMCID, each with a text that changes when anything of the article does."""


class ArticleSource(Protocol):
    """Where articles and their images come from. Instances are picklable: workers get their own copy."""

    @property
    def name(self) -> str:
        """How provenance and cards name it, without any path: `sample`, `pmc-cloud`, `packages`, `jats`."""

    @property
    def date(self) -> str | None:
        """ISO date of the inventory or copy, where the source states one."""

    def fingerprint(self) -> str:
        """Hex digest that changes when anything the source holds changes."""

    def images_version(self) -> str:
        """A short name that changes when the bytes behind an unchanged locator may have changed."""

    def handles(self) -> Iterator[str]:
        """Every article's handle, each once, in a stable order.

        Raises:
            UsageError: the source cannot be opened or holds nothing of its kind.
        """

    def read(self, handles: Sequence[str]) -> Iterator[SourceArticle | tuple[str, Drop]]:
        """The articles of `handles`, in that order; a drop stands with its handle in place of its article."""

    def images(self, locators: Sequence[str]) -> AsyncIterator[tuple[str, bytes | Drop]]:
        """The bytes of each locator, or why they cannot be had, each locator once, in any order."""
