"""What an article holds that is worth a second look, found in one walk over its tree."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from lxml import etree

from llavamed_data.jats.document import replace_entities
from llavamed_data.jats.plaintext import COMPOSITE

_FRONT = ("title-group", "abstract", "trans-abstract", "permissions")


@dataclass(slots=True)
class Contents:
    """Elements of an article in document order.

    Attributes:
        article: the `<article>` itself.
        figures: every `<fig>`.
        xrefs: every `<xref>`, of any type.
        paragraphs: every `<p>`, those of captions, tables and notes included.
        composite: the paragraphs and titles whose bare text is not what a reader reads: blocks or formulae within.
    """

    article: etree._Element
    figures: list[etree._Element] = field(default_factory=list)
    xrefs: list[etree._Element] = field(default_factory=list)
    paragraphs: list[etree._Element] = field(default_factory=list)
    composite: set[etree._Element] = field(default_factory=set)


def survey(article: etree._Element) -> Contents:
    """Finds the contents of `article`; entity references in it are replaced by their text."""
    contents = Contents(article)
    composing: list[etree._Element] = []
    references: list[Any] = []
    lists: dict[Any, list[Any]] = dict.fromkeys(COMPOSITE, composing)
    lists |= {
        "fig": contents.figures,
        "xref": contents.xrefs,
        "p": contents.paragraphs,
        etree.Entity: references,
    }
    append = {tag: found.append for tag, found in lists.items()}
    for region in _regions(article):
        for element in region.iter(*append):
            append[element.tag](element)
    replace_entities(references)
    for element in composing:
        contents.composite.update(element.iterancestors("p", "title", "article-title"))
    for figure in contents.figures:
        contents.composite.update(figure.iterancestors("p"))
    return contents


def _regions(article: etree._Element) -> Iterator[etree._Element]:
    """All of the article but the front matter that holds no figure and no running text, as authors do not."""
    for part in article:
        if part.tag == "front":
            for meta in part.iterchildren("article-meta"):
                yield from meta.iterchildren(*_FRONT)
        else:
            yield part
