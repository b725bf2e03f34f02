"""What an article holds that is worth a second look, and where to look for it."""

from collections.abc import Iterator
from dataclasses import dataclass
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
        regions: the parts of it that may hold figures and running text.
        figures: every `<fig>`.
        composite: the paragraphs and titles whose bare text is not what a reader reads: blocks or formulae within.
    """

    article: etree._Element
    regions: list[etree._Element]
    figures: list[etree._Element]
    composite: set[etree._Element]

    def every(self, tag: str) -> Iterator[etree._Element]:
        """Each `tag` of the regions. Keep few of them: thousands alive at once cost more than to walk again."""
        for region in self.regions:
            yield from region.iter(tag)


def survey(article: etree._Element) -> Contents:
    """Finds the contents of `article`; entity references in it are replaced by their text."""
    contents = Contents(article, list(_regions(article)), figures=[], composite=set())
    references: list[Any] = []
    for element in article.iter(*COMPOSITE, etree.Entity):
        if isinstance(element.tag, str):
            contents.composite.update(element.iterancestors("p", "title", "article-title"))
        else:
            references.append(element)
    replace_entities(references)
    for figure in contents.every("fig"):
        contents.figures.append(figure)
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
