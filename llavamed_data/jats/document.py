"""Reads the bytes of a JATS file, which may be hostile or broken, into the tree of its article.

No DTD, no file and no address is ever opened, and no declared entity is expanded by the parser. What stands for a
character is put in by name, because many articles use the names that the JATS DTD declares (`&nbsp;`, `&alpha;`).
"""

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html.entities import html5
from typing import Any

from ahocorasick_rs import BytesAhoCorasick
from lxml import etree

from llavamed_data.errors import one_line
from llavamed_data.jats.characters import character_of
from llavamed_data.jats.plaintext import BLOCKS_AND_FORMULAE
from llavamed_data.reasons import Drop, Reason

MAX_XML_BYTES = 64 * 2**20
"""Above this an article is dropped unread; the longest in PMC are some tens of MB."""

SUB_ARTICLES = ("sub-article", "response")
"""Elements that hold an article of their own, with its own numbers of figures."""

# libxml2's own bounds stay on (huge_tree): 256 levels, 10 MB a text node, and the entity amplification guard.
_PARSER = etree.XMLParser(
    resolve_entities=False,
    load_dtd=False,
    no_network=True,
    huge_tree=False,
    remove_comments=True,
    remove_pis=True,
)
_REFERENCES_START, _REFERENCES_END = b"<ref-list", b"</ref-list>"
_TABLE_START, _TABLE_END, _EMPTY_TABLE = b"<table", b"</table>", b"<table/>"
_FIGURE_OR_MARKUP_END = (b"<fig", b"-->", b"]]>", b"?>")
# An automaton of a single word finds it eight times as fast as bytes.find.
_FINDERS = {
    word: BytesAhoCorasick([word]) for word in (_REFERENCES_START, _TABLE_START, *_FIGURE_OR_MARKUP_END)
}
_PIECE, _MOST_TABLES = 2**20, 10_000
"""Bytes searched at a time, and tables looked at: a file that repeats a word without end takes little of all."""

_AFTER_NAME = (b" ", b"\t", b"\r", b"\n", b">")

_MOST_REPAIRS = 3
_NAMESPACES_OF_THE_DTD = {
    "xlink": "http://www.w3.org/1999/xlink",
    "mml": "http://www.w3.org/1998/Math/MathML",
    "ali": "http://www.niso.org/schemas/ali/1.0/",
    "xsi": "http://www.w3.org/2001/XMLSchema-instance",
    "oasis": "http://www.niso.org/standards/z39-96/ns/oasis-exchange/table",
    "xi": "http://www.w3.org/2001/XInclude",
    "tp": "http://www.plazi.org/taxpub",
}
"""Prefixes that the JATS DTD declares by fixed attributes, so that documents may leave them out."""

_UNDECLARED_PREFIX = re.compile(r"Namespace prefix (\S+) .*is not defined")
_ARTICLE_OR_COMMENT = re.compile(rb"<!--.*?-->|(<(?:[\w.-]+:)?article(?=[\s/>]))", re.DOTALL)

_ENTITY = re.compile(rb"&([A-Za-z][A-Za-z0-9.]*);")
_DECLARATION = re.compile(rb"<!ENTITY\s+([A-Za-z][A-Za-z0-9.]*)\s")
_PREDEFINED = frozenset([b"amp", b"lt", b"gt", b"quot", b"apos"])
_LONGEST_DECLARED_TEXT, _MARKUP = 32, frozenset("&<%")

_FRONT_REGIONS = frozenset(["title-group", "abstract", "trans-abstract", "permissions"])
_NO_PLACE_OF_FIGURES = ("table-wrap", "caption", "disp-formula", "inline-formula", "supplementary-material")
_PARAGRAPHS_AND_TITLES = frozenset(["p", "title", "article-title"])


@dataclass(slots=True)
class ArticleTree:
    """The tree of one article and what one walk through it finds.

    Attributes:
        article: the `<article>` element.
        meta: its `<article-meta>`, if any.
        regions: the parts of it that may hold figures and running text, in document order.
        figures: every `<fig>` of the regions, in document order.
        with_blocks: the paragraphs and titles that hold blocks or formulae, so that a reader reads other than their
            bare text.
        has_sub_articles: whether some of the figures and paragraphs belong to a sub-article or a response.
    """

    article: etree._Element
    meta: etree._Element | None
    regions: list[etree._Element]
    figures: list[etree._Element]
    with_blocks: set[etree._Element]
    has_sub_articles: bool

    def iter(self, tag: str) -> Iterator[etree._Element]:
        """Returns each `tag` of the regions. Keep few of them: thousands alive at once cost more than another walk."""
        return itertools.chain.from_iterable(region.iter(tag) for region in self.regions)

    def scope_of(self, element: etree._Element) -> etree._Element:
        """Returns the innermost sub-article or response that holds `element`, or else the article."""
        if not self.has_sub_articles:
            return self.article
        return next(element.iterancestors(*SUB_ARTICLES), self.article)


def read_document(xml: bytes) -> ArticleTree:
    """Reads a JATS document of one article, bare or wrapped (OAI record, PMC article set).

    Its tags come without namespace, MathML and other foreign elements keep theirs. Comments and processing
    instructions are gone, and entity references are replaced by their text.

    Raises:
        Drop: MALFORMED_XML, SEVERAL_ARTICLES, or XML_TOO_LARGE above `MAX_XML_BYTES`.
    """
    if len(xml) > MAX_XML_BYTES:
        raise Drop(Reason.XML_TOO_LARGE, f"{len(xml)} bytes, {MAX_XML_BYTES} allowed")
    xml = xml.lstrip()
    root = _parse_without_references_and_tables(xml)
    if root is None:
        root = _parse(xml)
    return _article_tree(root if root.tag == "article" else _wrapped_article(root))


def _wrapped_article(root: etree._Element) -> etree._Element:
    """Returns the only article below `root`, whose tags are then without namespace."""
    articles = [article for article in root.iter("{*}article") if not _is_within_article(article)]
    if not articles:
        raise Drop(Reason.MALFORMED_XML, f"no <article>, the root is <{etree.QName(root).localname}>")
    if len(articles) > 1:
        raise Drop(Reason.SEVERAL_ARTICLES, f"{len(articles)} articles: give each by itself")
    (article,) = articles
    namespace = etree.QName(article).namespace
    if namespace is not None:
        for element in article.iter(f"{{{namespace}}}*"):
            element.tag = etree.QName(element).localname
    return article


def _is_within_article(element: etree._Element) -> bool:
    return next(element.iterancestors("{*}article"), None) is not None


def _parse_without_references_and_tables(xml: bytes) -> etree._Element | None:
    """Parses the document without its last reference list and the rows of its tables.

    Both are no place for figures or running text, and take half of the time to parse.

    Returns:
        None where there is neither, or where what is left is not well-formed (a list within the list, a tag in a
        comment): the whole then has to be parsed.
    """
    cuts = [(*span, _EMPTY_TABLE) for span in _tables(xml)]
    end = xml.rfind(_REFERENCES_END)
    starts = itertools.takewhile(lambda start: start < end, _find_all(_REFERENCES_START, xml))
    start = max(starts, default=-1)
    if start >= 0:
        end += len(_REFERENCES_END)
        cuts = [cut for cut in cuts if cut[1] <= start or cut[0] >= end]
        cuts.append((start, end, b""))
    if not cuts:
        return None
    kept: list[bytes | memoryview] = []
    view, position = memoryview(xml), 0
    for start, end, instead in sorted(cuts):
        kept += (view[position:start], instead)
        position = end
    kept.append(view[position:])
    try:
        return etree.fromstring(b"".join(kept), _PARSER)
    except (etree.XMLSyntaxError, ValueError):
        return None


def _tables(xml: bytes) -> Iterator[tuple[int, int]]:
    """Yields where each `<table>` that holds no figure begins and ends.

    A table in which a comment, CDATA section or processing instruction ends is passed over: its start tag may be in
    that.
    """
    end = 0
    for start in itertools.islice(_find_all(_TABLE_START, xml), _MOST_TABLES):
        after = start + len(_TABLE_START)
        if start < end or xml[after : after + 1] not in _AFTER_NAME:  # as in <table-wrap>
            continue
        end = xml.find(_TABLE_END, after)
        if end < 0:
            return
        end += len(_TABLE_END)
        table = xml[start:end]
        opened = table.find(b">")
        if table[opened - 1 : opened] == b"/":
            continue
        if all(next(_find_all(word, table), None) is None for word in _FIGURE_OR_MARKUP_END):
            yield start, end


def _find_all(word: bytes, xml: bytes) -> Iterator[int]:
    """Yields where `word`, one of `_FINDERS`, begins in `xml`."""
    for offset in range(0, len(xml), _PIECE):
        piece = xml[offset : offset + _PIECE + len(word) - 1]
        for _, start, _ in _FINDERS[word].find_matches_as_indexes(piece):
            yield offset + start


def _parse(xml: bytes) -> etree._Element:
    for _ in range(_MOST_REPAIRS):
        try:
            return etree.fromstring(xml, _PARSER)
        except (etree.XMLSyntaxError, ValueError) as error:
            fault = error
        repaired = xml
        if "not defined" in str(fault) and "Entity" in str(
            fault
        ):  # no DOCTYPE: each name is an error of its own
            repaired = _with_character_references(xml)
        elif isinstance(fault, etree.XMLSyntaxError) and _UNDECLARED_PREFIX.match(str(fault)):
            repaired = _with_namespaces_of_the_dtd(xml, fault)
        if repaired == xml:
            break
        xml = repaired
    raise Drop(Reason.MALFORMED_XML, one_line(fault)) from fault


def _with_character_references(xml: bytes) -> bytes:
    """Returns `xml` with numbers in place of the names of characters, and without names that nobody declares."""
    declared = _PREDEFINED.union(_DECLARATION.findall(xml))

    def replace(match: re.Match[bytes]) -> bytes:
        name = match[1]
        if name in declared:
            return match[0]
        return b"".join(b"&#%d;" % ord(character) for character in character_of(name.decode()))

    return _ENTITY.sub(replace, xml)


def _with_namespaces_of_the_dtd(xml: bytes, fault: etree.XMLSyntaxError) -> bytes:
    """Returns `xml` with the namespaces on its `<article>` that it leaves to the JATS DTD to declare."""
    start = next((match.end() for match in _ARTICLE_OR_COMMENT.finditer(xml) if match[1]), None)
    if start is None:
        return xml
    tag = xml[start : xml.find(b">", start)]
    named = (
        _UNDECLARED_PREFIX.match(entry.message) for entry in fault.error_log
    )  # with those of earlier files
    prefixes = {match[1] for match in named if match} & _NAMESPACES_OF_THE_DTD.keys()
    declared = "".join(
        f' xmlns:{prefix}="{_NAMESPACES_OF_THE_DTD[prefix]}"'
        for prefix in sorted(prefixes)
        if f"xmlns:{prefix}".encode() not in tag
    )
    return xml[:start] + declared.encode() + xml[start:]


def _article_tree(article: etree._Element) -> ArticleTree:
    """Finds what `ArticleTree` holds, and replaces the entity references of the article by their text."""
    meta: etree._Element | None = None
    regions: list[etree._Element] = []
    for part in article:
        if part.tag == "front":
            for meta in part.iterchildren("article-meta"):
                regions += [child for child in meta if child.tag in _FRONT_REGIONS]
        else:
            regions.append(part)
    tree = ArticleTree(article, meta, regions, [], set(), has_sub_articles=False)
    tree.figures.extend(_figures_below(regions))
    blocks: list[etree._Element] = [*tree.figures]
    references: list[Any] = []
    for element in article.iter(*SUB_ARTICLES, *BLOCKS_AND_FORMULAE, etree.Entity):
        tag = element.tag
        if tag in SUB_ARTICLES:
            tree.has_sub_articles = True
        elif isinstance(tag, str):
            blocks.append(element)
        else:
            references.append(element)
    for element in blocks:
        ancestor = element.getparent()
        while ancestor is not None and ancestor not in tree.with_blocks:
            if ancestor.tag in _PARAGRAPHS_AND_TITLES:
                tree.with_blocks.add(ancestor)
            ancestor = ancestor.getparent()
    _replace_entities(references)
    return tree


def _figures_below(regions: Sequence[etree._Element]) -> list[etree._Element]:
    """Returns every `<fig>`, after each graphic with a caption of its own that stands in none was put into one.

    A group that holds graphics but no figure is made a figure.
    """
    figures, captioned = [], []
    for region in regions:
        for element in region.iter("fig", "fig-group", "caption"):
            parent = element.getparent()
            if element.tag == "fig-group" and _holds_bare_graphics(element):
                element.tag = "fig"
            if element.tag == "fig":
                figures.append(element)
            elif element.tag == "caption" and parent is not None and parent.tag == "graphic":
                captioned.append(parent)
    captioned = [graphic for graphic in captioned if not _is_further_alternative(graphic)]
    if not captioned:
        return figures
    _make_figures_of(captioned)
    return [figure for region in regions for figure in region.iter("fig")]


def _holds_bare_graphics(group: etree._Element) -> bool:
    return group.find("graphic") is not None and next(group.iterdescendants("fig"), None) is None


def _is_further_alternative(graphic: etree._Element) -> bool:
    """Returns whether a graphic shows what another one before it in the same `<alternatives>` shows."""
    parent = graphic.getparent()
    return (
        parent is not None
        and parent.tag == "alternatives"
        and next(graphic.itersiblings("graphic", preceding=True), None) is not None
    )


def _make_figures_of(captioned: Sequence[etree._Element]) -> None:
    """Puts graphics into figures of their own, but for one in a figure that is the caption of all of that."""
    in_figures: dict[etree._Element, list[etree._Element]] = {}
    for graphic in captioned:
        holder = next(graphic.iterancestors("fig", *_NO_PLACE_OF_FIGURES), None)
        if holder is None:
            _put_into_figure(graphic)
        elif holder.tag == "fig":
            in_figures.setdefault(holder, []).append(graphic)
    for figure, own in in_figures.items():
        if len(own) > 1 and all(
            graphic in own or _is_further_alternative(graphic) for graphic in figure.iter("graphic")
        ):
            figure.tag = "fig-group"
            for graphic in own:
                _put_into_figure(graphic)


def _put_into_figure(graphic: etree._Element) -> None:
    """Puts a graphic into a `<fig>` that takes over its id, its label and its caption."""
    parent = graphic.getparent()
    if parent is None:
        return
    if parent.tag == "alternatives":
        alternatives, grandparent = parent, parent.getparent()
        if grandparent is None:
            return
        shown, parent = alternatives, grandparent
    else:
        shown = graphic
    figure = etree.Element("fig", {"id": graphic.get("id", "")} if graphic.get("id") else None)
    figure.tail, shown.tail = shown.tail, None
    parent.replace(shown, figure)
    figure.extend([*graphic.iterchildren("label", "caption"), shown])


def _replace_entities(references: list[Any]) -> None:
    """Replaces unexpanded entity references by their text, or by nothing where they stand for no plain text."""
    declared: dict[str, str] | None = None
    for reference in references:
        if declared is None:
            declared = _declared_texts(reference.getroottree().docinfo.internalDTD)
        parent = reference.getparent()
        if parent is None:
            continue
        name = reference.name
        text = html5.get(f"{name};") or declared.get(name) or character_of(name)
        before = reference.getprevious()
        if before is None:
            parent.text = (parent.text or "") + text + (reference.tail or "")
        else:
            before.tail = (before.tail or "") + text + (reference.tail or "")
        reference.tail = None
        parent.remove(reference)


def _declared_texts(dtd: etree.DTD | None) -> dict[str, str]:
    """Returns the entities of the document's own declarations that stand for a few characters and no other entity."""
    if dtd is None:
        return {}
    entities = [(entity.name, entity.content) for entity in dtd.iterentities()]
    return {
        name: text
        for name, text in entities
        if name and text and len(text) <= _LONGEST_DECLARED_TEXT and _MARKUP.isdisjoint(text)
    }
