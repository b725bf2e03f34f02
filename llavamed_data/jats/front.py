"""Reads what the front matter says about the article as a whole: identifiers, title, year and licence."""

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass

from lxml import etree

from llavamed_data.jats.document import ArticleTree
from llavamed_data.jats.plaintext import XLINK_HREF, normalise_spaces, plain_text, text_of

_NOT_PUBLICATION = frozenset(["pmc-release", "nihms-submitted", "received", "accepted", "retracted"])

_PMCID = re.compile(r"(?:PMC)?(\d+)", re.I)
_DEED = re.compile(
    r"creativecommons\.org/(?:licenses/(by(?:-nc)?(?:-nd|-sa)?)\b|publicdomain/(zero)\b)", re.I
)
_CODE = re.compile(r"\b(?:CC[ -]?(BY(?:[ -]NC)?(?:[ -](?:ND|SA))?)\b|CC[ -]?(0)\b|(CC-?Zero)\b)", re.I)
_NAME = re.compile(
    r"Creative Commons,?\s+(?:(?P<by>Attribution)(?P<more>(?:[\s,–-]+(?:and\s+)?(?:Non-?\s?Commercial|No\s?-?Deriv\w*"
    r"|Share\s?-?Alike))*)|(?P<zero>(?:CC0|Zero|Public Domain)))",
    re.I,
)

_DATA = re.compile(r"\bdata(?:sets?|bases?)?\b", re.I)


@dataclass(slots=True)
class FrontMatter:
    """The fields of `Article` that `<front>` states."""

    pmcid: str | None = None
    pmid: str | None = None
    doi: str | None = None
    title: str = ""
    license: str | None = None
    year: int | None = None


def read_front_matter(tree: ArticleTree) -> FrontMatter:
    """Reads the front matter; what it does not state is left at the default."""
    front = FrontMatter()
    if tree.meta is None:
        return front
    years: list[int] = []
    for child in tree.meta:
        match child.tag:
            case "article-id":
                _read_id(child, front)
            case "title-group":
                title = next(child.iterchildren("article-title"), None)
                front.title = (
                    "" if title is None else plain_text(title, with_blocks=title in tree.with_blocks)
                )
            case "pub-date":
                years += _year(child)
            case "permissions" | "copyright-statement" | "license":
                front.license = front.license or read_license(child)
    front.year = min(years, default=None)
    return front


def _read_id(element: etree._Element, front: FrontMatter) -> None:
    value = (element.text or "").strip()
    kind = element.get("pub-id-type")
    if kind in ("pmc", "pmcid"):
        digits = _PMCID.match(value)
        front.pmcid = f"PMC{digits[1]}" if digits else front.pmcid
    elif kind == "pmid":
        front.pmid = value if value.isdecimal() else front.pmid
    elif kind == "doi":
        front.doi = value or None


def _year(pub_date: etree._Element) -> Iterator[int]:
    year = "".join(child.text or "" for child in pub_date.iterchildren("year")).strip()
    if year.isdecimal() and not _NOT_PUBLICATION & {pub_date.get("pub-type"), pub_date.get("date-type")}:
        yield int(year)


def read_license(permissions: etree._Element) -> str | None:
    """Returns the Creative Commons code as PMC writes it (`CC BY-NC-SA`), or None where none is stated.

    The licence's own address counts first, then addresses in its text, its type, and its wording; within each,
    what comes first. CC0 in a text that speaks of data is the waiver that some publishers add for the data alone
    ("CC0 applies to the data"): it says nothing of the article, whose rights may all be reserved.
    """
    text = normalise_spaces(text_of(permissions))
    licenses = [(element, normalise_spaces(text_of(element))) for element in permissions.iter("license")]
    stated = [(element.get(XLINK_HREF, ""), own_text) for element, own_text in licenses]
    stated += [
        (normalise_spaces(text_of(ref)), "")
        for ref in permissions.iter("{http://www.niso.org/schemas/ali/1.0/}license_ref")
    ]
    stated += [
        (link.get(XLINK_HREF, ""), text) for link in permissions.iter("ext-link", "uri", "related-object")
    ]
    codes = [_codes_of_deeds(address, beside) for address, beside in stated]
    codes += [_codes_of_wording(element.get("license-type", ""), own_text) for element, own_text in licenses]
    codes.append(_codes_of_wording(text, text))
    return next((code for _, code in itertools.chain(*codes)), None)


def _codes_of_deeds(text: str, beside: str) -> list[tuple[int, str]]:
    """The codes of the deeds whose addresses are in `text`, each with its place; no CC0 if `beside` speaks of data."""
    found = [(deed.start(), "CC0" if deed[2] else f"CC {deed[1].upper()}") for deed in _DEED.finditer(text)]
    return _of_article(found, beside)


def _codes_of_wording(text: str, beside: str) -> list[tuple[int, str]]:
    """The codes that a text states in whatever way, each with its place, in order; no CC0 as above."""
    found = [
        (code.start(), f"CC {code[1].upper().replace(' ', '-')}" if code[1] else "CC0")
        for code in _CODE.finditer(text)
    ]
    found += [(name.start(), _code_of_name(name)) for name in _NAME.finditer(text)]
    return sorted([*_codes_of_deeds(text, beside), *_of_article(found, beside)])


def _of_article(codes: list[tuple[int, str]], beside: str) -> list[tuple[int, str]]:
    return [each for each in codes if each[1] != "CC0" or not _DATA.search(beside)]


def _code_of_name(name: re.Match[str]) -> str:
    if name["zero"]:
        return "CC0"
    more = "".join(filter(str.isalpha, name["more"].lower()))
    parts = ["BY"] + [
        code for word, code in (("noncomm", "NC"), ("noderiv", "ND"), ("share", "SA")) if word in more
    ]
    return f"CC {'-'.join(parts)}"
