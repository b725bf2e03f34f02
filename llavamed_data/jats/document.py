"""From hostile bytes to the one `<article>` element that the rest of the package reads.

No DTD, no file and no address is ever opened, and no declared entity is expanded by the parser. What stands for a
character is put in by name, because many articles use the names that the JATS DTD declares (`&nbsp;`, `&alpha;`).
"""

import re
from collections.abc import Iterable
from html.entities import html5
from typing import Any

from lxml import etree

from llavamed_data.reasons import Drop, Reason

MAX_XML_BYTES = 64 * 2**20
"""Above this an article is dropped unread; the longest in PMC are some tens of MB."""

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
_ENTITY = re.compile(rb"&([A-Za-z][A-Za-z0-9]*);")
_DECLARATION = re.compile(rb"<!ENTITY\s+([A-Za-z][A-Za-z0-9]*)\s")
_PREDEFINED = frozenset([b"amp", b"lt", b"gt", b"quot", b"apos"])
_LONGEST_DECLARED_TEXT, _MARKUP = 32, frozenset("&<%")


def read_article(xml: bytes) -> etree._Element:
    """The `<article>` of a JATS document, bare or wrapped (OAI record, PMC article set), its tags without namespace.

    MathML and other foreign elements keep theirs. Comments and processing instructions are gone.

    Raises:
        Drop: MALFORMED_XML, or XML_TOO_LARGE above `MAX_XML_BYTES`.
    """
    if len(xml) > MAX_XML_BYTES:
        raise Drop(Reason.XML_TOO_LARGE, f"{len(xml)} bytes, {MAX_XML_BYTES} allowed")
    xml = xml.lstrip()
    root = _parse_without_references(xml)
    if root is None:
        root = _parse(xml)
    if root.tag == "article":
        return root
    article = next(root.iter("{*}article"), None)
    if article is None:
        raise Drop(Reason.MALFORMED_XML, f"no <article>, the root is <{etree.QName(root).localname}>")
    _strip_namespace(article)
    return article


def _parse_without_references(xml: bytes) -> etree._Element | None:
    """The document without its (last) reference list: a third of its bytes as a rule, and no place for figures.

    Returns:
        None where there is none, or where what is left is not well-formed (a list within the list, a tag in a
        comment): the whole then has to be parsed.
    """
    end = xml.rfind(_REFERENCES_END)
    start = xml.rfind(_REFERENCES_START, 0, end) if end >= 0 else -1
    if start < 0:
        return None
    try:
        return etree.fromstring(xml[:start] + xml[end + len(_REFERENCES_END) :], _PARSER)
    except (etree.XMLSyntaxError, ValueError):
        return None


def _parse(xml: bytes) -> etree._Element:
    try:
        return etree.fromstring(xml, _PARSER)
    except (etree.XMLSyntaxError, ValueError) as error:
        fault = error
    if "not defined" in str(fault) and "Entity" in str(fault):  # no DOCTYPE: each name is an error of its own
        try:
            return etree.fromstring(_with_character_references(xml), _PARSER)
        except (etree.XMLSyntaxError, ValueError) as error:
            fault = error
    raise Drop(Reason.MALFORMED_XML, " ".join(str(fault).split())) from fault


def _with_character_references(xml: bytes) -> bytes:
    """`xml` with numbers in place of the names of characters, and without names that nobody declares."""
    declared = _PREDEFINED.union(_DECLARATION.findall(xml))

    def replace(match: re.Match[bytes]) -> bytes:
        name = match[1]
        if name in declared:
            return match[0]
        return b"".join(b"&#%d;" % ord(character) for character in html5.get(f"{name.decode()};", ""))

    return _ENTITY.sub(replace, xml)


def _strip_namespace(article: etree._Element) -> None:
    namespace = etree.QName(article).namespace
    if namespace is not None:
        for element in article.iter(f"{{{namespace}}}*"):
            element.tag = etree.QName(element).localname


def replace_entities(references: Iterable[Any]) -> None:
    """Puts text where the tree holds unexpanded entity references, and nothing where a reference has no plain text."""
    declared: dict[str, str] | None = None
    for reference in references:
        if declared is None:
            declared = _declared_texts(reference.getroottree().docinfo.internalDTD)
        parent = reference.getparent()
        if parent is None:
            continue
        text = html5.get(f"{reference.name};") or declared.get(reference.name, "")
        before = reference.getprevious()
        if before is None:
            parent.text = (parent.text or "") + text + (reference.tail or "")
        else:
            before.tail = (before.tail or "") + text + (reference.tail or "")
        reference.tail = None
        parent.remove(reference)


def _declared_texts(dtd: etree.DTD | None) -> dict[str, str]:
    """Entities of the document's own declarations that stand for a few characters and for no other entity."""
    if dtd is None:
        return {}
    entities = [(entity.name, entity.content) for entity in dtd.iterentities()]
    return {
        name: text
        for name, text in entities
        if name and text and len(text) <= _LONGEST_DECLARED_TEXT and _MARKUP.isdisjoint(text)
    }
