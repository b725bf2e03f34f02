"""Reads a JATS document into an `Article`: its figures with their captions and mentions (section 3)."""

from dataclasses import dataclass

from llavamed_data.jats.document import read_document
from llavamed_data.jats.figures import read_figures
from llavamed_data.jats.front import read_front_matter
from llavamed_data.jats.mentions import add_mentions


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure with its caption and the sentences that mention it, the "inline mentions" of the paper.

    Attributes:
        figure_id: `fig/@id`; where that is absent or repeated, one made from the file name of the first graphic,
            or else `fig-<n>`. Unique in the article.
        label: "Figure 3" as written, without the punctuation at its end; "" if there is none. Within a group a bare
            panel mark follows the group's label: "Figure 3 (a)".
        caption: title and paragraphs on one line of plain text; its group's where it has none; "" if there is none.
        graphics: `xlink:href` of each distinct graphic, in order; of alternatives the one for the web.
        shares_caption: whether the caption speaks of other images too: of further graphics of the figure, or of the
            other figures of the group whose caption it is.
        inline_mentions: the sentences of the running text that mention it, each once, in reading order. Captions,
            tables, footnotes and headings are not running text.
    """

    figure_id: str
    label: str
    caption: str
    graphics: tuple[str, ...]
    shares_caption: bool
    inline_mentions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Article:
    """What one JATS document states of itself, and its figures.

    Attributes:
        pmcid: "PMC123", or None as for each field below that is not stated.
        pmid: digits.
        doi: without any resolver's address.
        title: one line of plain text, "" if there is none.
        license: Creative Commons code as PMC writes it: "CC BY-NC-SA", "CC0".
        year: of first publication.
        figures: in reading order: the body's, the floats group's, the back matter's, those of sub-articles.
    """

    pmcid: str | None
    pmid: str | None
    doi: str | None
    title: str
    license: str | None
    year: int | None
    figures: tuple[Figure, ...]


def parse_article(xml: bytes) -> Article:
    """Reads one JATS document of any version, bare or wrapped, in any declared encoding.

    Raises:
        Drop: MALFORMED_XML (not well-formed, or no `<article>` in it), SEVERAL_ARTICLES, XML_TOO_LARGE (above
            `document.MAX_XML_BYTES`).
    """
    tree = read_document(xml)
    front = read_front_matter(tree)
    drafts = read_figures(tree)
    add_mentions(tree, drafts)
    figures = (
        Figure(
            draft.figure_id,
            draft.label,
            draft.caption,
            draft.graphics,
            draft.shares_caption,
            tuple(draft.mentions),
        )
        for draft in drafts
    )
    return Article(
        front.pmcid, front.pmid, front.doi, front.title, front.license, front.year, figures=tuple(figures)
    )
