"""Superscripts and subscripts in plain text: 10⁶, H₂O and Apoe⁻/⁻, but 1st and Vmax.

Numbers and signs are written with the characters of Unicode, or after `^` where it has none; letters stay as they
are. Citations of the literature that are set as superscripts are left out.
"""

import re
from functools import lru_cache

from lxml import etree

_MINUS = "-−–‐‑‒—"
"""Every character that publishers set for a minus sign."""

_SIGN = "+" + re.escape(_MINUS)

_SUPERSCRIPT = str.maketrans("0123456789+=()nm" + _MINUS, "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁼⁽⁾ⁿᵐ" + "⁻" * len(_MINUS))
_SUBSCRIPT = str.maketrans("0123456789+=()" + _MINUS, "₀₁₂₃₄₅₆₇₈₉₊₌₍₎" + "₋" * len(_MINUS))
_TO_MINUS = str.maketrans(_MINUS, "−" * len(_MINUS))
_IN_SUPERSCRIPT = re.compile(rf"[0-9{_SIGN}=()nm]+|[0-9]*[{_SIGN}](?:/[0-9]*[{_SIGN}])+")
_IN_SUBSCRIPT = re.compile(rf"[0-9{_SIGN}=()]+(?:,\s?[0-9{_SIGN}=()]+)*")
_NUMBER_OR_SIGN = re.compile(rf"[{_SIGN}=]?\d|[{_SIGN}=]|\(\d")
_OPERATOR = re.compile(rf"(?<=.)[{_SIGN}=/*×·\s]")
_AFTER_SIGN = re.compile(rf"(?<=[{_SIGN}])\s+(?=\d)")

_ONLY_CITATIONS = re.compile(r"[\s\d,;–—\-−()\[\].a-h]*")
_NUMBERS = r"\d{1,3}(?:\s?[,;–-]\s?\d{1,3})*"
_CITED = re.compile(rf"{_NUMBERS},?|\[{_NUMBERS}\]|\({_NUMBERS}\)")
_STOP_BEFORE = re.compile(r"(?<!\b[cmk]m)(?<!\bm)[.,;:?!][\"”’»)]?$")
_TIMES_TEN_BEFORE = re.compile(r"[×xX·]\s?10$")
_WORD_BEFORE = re.compile(r"[^\W\d_]{3}[\"”’»)]?$")
_NAMED_BEFORE = re.compile(r"(?:\b(?:in|of|by|from|see|to|with|cf\.?)\s|\b[Rr]ef(?:s|erences?)?\.?\s?)$")
_LONGEST_BEFORE = 16
_SEPARATOR = re.compile(r"\s*[,;–—-]\s*|\s*")
_OPENING, _CLOSING = ("[", "("), ("]", ")", "],", "),")


@lru_cache(maxsize=1024)
def superscript(text: str, *, in_formula: bool = False) -> str:
    """Returns how a superscript reads: "6" → "⁶", "−1" → "⁻¹", "0.5" → "^0.5", "th" → "th".

    Args:
        text: what is set as a superscript, without spaces around it.
        in_formula: whether letters are powers too: "n" → "ⁿ", "kt" → "^kt".
    """
    text = _AFTER_SIGN.sub("", text)
    if _IN_SUPERSCRIPT.fullmatch(text) and (in_formula or not text.isalpha()):
        return text.translate(_SUPERSCRIPT)
    if _NUMBER_OR_SIGN.match(text) or (in_formula and text[:1].isalnum()):
        text = text.translate(_TO_MINUS)
        return f"^({text})" if _OPERATOR.search(text) else f"^{text}"
    return text


@lru_cache(maxsize=1024)
def subscript(text: str, *, before: str = "") -> str:
    """Returns how a subscript reads: "2" → "₂", "max" → "max", "i+1" → "_(i+1)".

    Args:
        text: what is set as a subscript, without spaces around it.
        before: what stands before it: after a digit, a number that Unicode cannot write follows `_`.
    """
    if _IN_SUBSCRIPT.fullmatch(text):
        return text.translate(_SUBSCRIPT)
    if any(sign in text[1:] for sign in "+−="):
        return f"_({text})"
    return f"_{text}" if _NUMBER_OR_SIGN.match(text) and before[-1:].isdigit() else text


def write_scripts(block: etree._Element) -> bool:
    """Writes the `<sup>` and `<sub>` elements below `block` as they read, and takes citations out.

    Returns:
        Whether there are any.
    """
    if not len(block):
        return False
    elements = list(block.iterdescendants("sup", "sub"))
    for element in elements:
        text = "".join(element.itertext()) if len(element) else element.text or ""
        bare = text.strip()
        if element.tag == "sub":
            if not bare.isalpha():
                _set_text(
                    element, text, subscript(bare, before="" if bare.isdecimal() else _text_before(element))
                )
        elif bare and _is_citation(element, bare):
            _take_out(element, bare)
        elif not bare.isalpha():
            if not _refers(element, "fig"):
                _set_text(element, text, superscript(bare))
        elif bare == "n" and _text_before(element)[-1:].isdigit():
            _set_text(element, text, superscript(bare, in_formula=True))
    return bool(elements)


def _set_text(element: etree._Element, text: str, written: str) -> None:
    """Gives an element the text `written` in place of its `text`, but for the spaces at the end."""
    bare = text.strip()
    if written != bare:
        del element[:]
        element.text = text.lstrip().replace(bare, written, 1)


def _refers(element: etree._Element, kind: str) -> bool:
    return len(element) > 0 and any(xref.get("ref-type") == kind for xref in element.iter("xref"))


def _text_before(element: etree._Element) -> str:
    """Returns the end of the text right before an element, as far as it stands in one piece."""
    previous = element.getprevious()
    if previous is not None:
        return (previous.tail or "".join(previous.itertext()))[-_LONGEST_BEFORE:]
    parent = element.getparent()
    if parent is None:
        return ""
    return (parent.text or ("" if parent.tag in ("p", "title") else _text_before(parent)))[-_LONGEST_BEFORE:]


def _is_citation(element: etree._Element, text: str) -> bool:
    """Returns whether a superscript is a reference to the literature, by its markup or by what stands before it."""
    parent = element.getparent()
    before = _text_before(element)
    if _TIMES_TEN_BEFORE.search(before):  # some powers are tagged as citations
        return False
    if parent is not None and parent.tag == "xref":
        return parent.get("ref-type") == "bibr" and _ONLY_CITATIONS.fullmatch(text) is not None
    if _refers(element, "bibr"):
        return _ONLY_CITATIONS.fullmatch(text) is not None
    if not _CITED.fullmatch(text) or (element.tail or "")[:1].isalnum():  # "¹³C" is an isotope
        return False
    return _STOP_BEFORE.search(before) is not None or (
        not text.isdecimal() and _WORD_BEFORE.search(before) is not None
    )


def _take_out(element: etree._Element, text: str) -> None:
    """Empties a citation, with what parts it from the next; where the sentence names it, it stays in brackets."""
    before = _text_before(element)
    if _NAMED_BEFORE.search(before):
        del element[:]
        element.text = f"{'' if before[-1:].isspace() else ' '}[{text.strip('[]() ')}]"
        return
    parent = element.getparent()
    is_held = (
        parent is not None
        and parent.tag == "xref"
        and len(parent) == 1
        and not parent.text
        and not element.tail
    )
    cited = parent if is_held and parent is not None else element
    element.clear(keep_tail=True)
    previous, following = cited.getprevious(), cited.getnext()
    if previous is not None and previous.tag == "sup" and previous.text in _OPENING and not previous.tail:
        previous.text = ""
    if following is not None and following.tag in ("sup", "xref") and _SEPARATOR.fullmatch(cited.tail or ""):
        if following.tag == "sup" and not len(following):
            between = (following.text or "").strip()
            if between in _CLOSING or (
                between and _SEPARATOR.fullmatch(between) and _is_cited(following.getnext())
            ):
                following.text = ""
        elif _is_cited(following):
            cited.tail = ""
    after = cited.tail or ""
    if after[:1] in (".", ",", ";", ":", ")") and before[-1:].isspace():
        _strip_before(cited)
    elif after[:1].isalpha() and before[-1:].isalnum():
        cited.tail = f" {after}"


def _is_cited(element: etree._Element | None) -> bool:
    """Returns whether an element is a citation in a superscript by its markup."""
    if element is None:
        return False
    if element.tag == "sup":
        return _refers(element, "bibr")
    return element.tag == "xref" and element.get("ref-type") == "bibr" and element.find("sup") is not None


def _strip_before(element: etree._Element) -> None:
    """Takes away the space at the end of the text right before an element."""
    previous, parent = element.getprevious(), element.getparent()
    if previous is not None and previous.tail:
        previous.tail = previous.tail.rstrip()
    elif previous is None and parent is not None and parent.text:
        parent.text = parent.text.rstrip()
