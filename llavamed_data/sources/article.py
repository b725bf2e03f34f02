"""An article as a source holds it, and what every source of articles offers."""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Protocol, Self, runtime_checkable
from urllib.parse import unquote

from llavamed_data.console.progress import FetchCounts
from llavamed_data.reasons import Drop

IMAGE_SUFFIXES = (
    ".jpg", ".jpeg", ".png", ".gif", ".tif", ".tiff", ".webp", ".bmp", ".jp2", ".svg", ".eps",
)  # fmt: skip
"""Suffixes of image files, the preferred first: PMC keeps the full figure as .jpg and a thumbnail as .gif."""

MAX_XML_BYTES = 64 * 2**20
"""An article with a longer document is dropped unread."""


@dataclass(frozen=True, slots=True)
class SourceArticle:
    """One article as its source holds it, before its XML is parsed.

    Attributes:
        handle: the source's own name of it (`PMC9000001.1`, `PMC2467486.tar.gz`, `journal.pbio.0020188.xml`,
            `articleset.xml#20481` for the article that begins at this byte of a set).
        xml: the JATS document.
        media: file name → image locator, for every file that could be a figure's image. A locator is a string
            that `ArticleSource.images` of the same source understands; `?md5=<hex>` at its end is verified.
        pmcid: `PMC` and digits, if the source itself knows it; otherwise it is taken from the XML.
        pmid: digits, likewise.
        license: Creative Commons code as PMC writes it (`CC BY`, `CC BY-NC`, `CC0`), likewise; empty if the source
            states that there is none, whatever the XML seems to say.
        incomplete: the archive ends early, so that an image which `media` lacks may have been cut off. The locator
            `<handle>#<href>` stands for such an image; `ArticleSource.images` drops it as ARCHIVE_TRUNCATED.
    """

    handle: str
    xml: bytes
    media: Mapping[str, str] = field(default_factory=dict)
    pmcid: str | None = None
    pmid: str | None = None
    license: str | None = None
    incomplete: bool = False


class ArticleSource(Protocol):
    """Where articles and their images come from. Instances are picklable: each worker process gets a copy."""

    @property
    def name(self) -> str:
        """The name in provenance and cards, without any path: `sample`, `pmc-cloud`, `packages`, `jats`."""

    @property
    def identity(self) -> str:
        """Differs between any two sources: the kind, the absolute path or address, and the licences asked for."""

    @property
    def date(self) -> str | None:
        """ISO date of the inventory or copy, if the source states one."""

    def fingerprint(self) -> str:
        """Hex digest that changes when anything that the source holds changes."""

    def images_version(self) -> str:
        """A short name that changes when the bytes behind an unchanged locator may have changed."""

    def handles(self) -> Iterator[str]:
        """Yields every article's handle once, in a stable order.

        Raises:
            UsageError: the source cannot be opened or holds nothing of its kind.
        """

    def read(self, handles: Sequence[str]) -> Iterator[SourceArticle | tuple[str, Drop]]:
        """Yields the articles of `handles` in that order; for a dropped one, its handle and the drop."""

    def images(self, locators: Sequence[str]) -> AsyncIterator[tuple[str, bytes | Drop]]:
        """Yields each locator once, with its bytes or the reason why it has none, in any order."""


@runtime_checkable
class HasETags(Protocol):
    """A source that knows, without reading them, which articles have changed."""

    def etags(self) -> Iterator[tuple[str, str]]:
        """Yields the `handles` in order, each with a text that changes when anything of the article does."""


@runtime_checkable
class ReportsFetches(Protocol):
    """A source that can report the counts of its requests while it works."""

    def reporting_to(self, on_counts: Callable[[FetchCounts], None]) -> Self:
        """Returns the same source, which calls `on_counts` after every object and every repeated request."""


def is_image_name(name: str) -> bool:
    """Whether `name` has the suffix of an image, in upper or lower case."""
    return PurePosixPath(name).suffix.lower() in IMAGE_SUFFIXES


def resolve_graphic(href: str, media: Mapping[str, str]) -> str | None:
    """The locator of the file that a JATS `<graphic xlink:href>` shows, or None if the article has no such file.

    An href often lacks its suffix, names the publisher's .tif where PMC stores a .jpg, differs in case, or contains
    a folder or `%20`. Of several files with the same stem, the first suffix of `IMAGE_SUFFIXES` wins, so a thumbnail
    never replaces the full figure.

    Args:
        href: as the XML has it.
        media: file name → locator.

    >>> resolve_graphic("Figs/a%20b.TIF", {"a b.gif": "1", "A b.jpg": "2"})
    '2'
    """
    if not media:
        return None
    for spelling in (href, unquote(href)):
        stem = _stem(spelling.replace("\\", "/").rstrip("/").rpartition("/")[2])
        found = [name for name in media if stem and is_image_name(name) and _stem(name) == stem]
        if found:
            return media[min(found, key=_preference)]
    return None


def without_lone_thumbnails(media: Mapping[str, str]) -> dict[str, str]:
    """Drops .gif thumbnails without a full-size version: in a truncated archive that version was still to come."""
    full_size = {_stem(name) for name in media if not name.lower().endswith(".gif")}
    return {name: locator for name, locator in media.items() if _stem(name) in full_size}


def _stem(name: str) -> str:
    return (name[: -len(PurePosixPath(name).suffix)] if is_image_name(name) else name).casefold()


def _preference(name: str) -> tuple[int, str]:
    return IMAGE_SUFFIXES.index(PurePosixPath(name).suffix.lower()), name
