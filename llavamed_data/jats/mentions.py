"""Which sentences mention which figure: by cross-reference, by number, and between the ends of a range.

Every `<xref>` to a figure is marked in the tree, so that one call in C gives a paragraph's text with the marks in
it; only paragraphs that hold a mark or a figure's name in plain text are looked at any further.
"""

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from importlib.resources import files
from operator import itemgetter
from typing import Any, NamedTuple

import yaml
from lxml import etree

from llavamed_data.jats.contents import Contents
from llavamed_data.jats.figures import FigureDraft, scope_of
from llavamed_data.jats.plaintext import BREAK, fold, simplify, text_of
from llavamed_data.jats.sentences import sentences_at

# Control characters that XML allows, that no encoding in use has and that keep Latin text one byte a character. What
# a document marks with them itself is what it could have said with an <xref>.
_OPEN, _BETWEEN, _CLOSE = "\x81", "\x8d", "\x8f"

_RUNNING_TEXT = frozenset(
    ["sec", "body", "abstract", "app", "ack"]
)  # a <p> right in these needs no further look
_NOT_RUNNING_TEXT = (
    "p", "caption", "fn", "table-wrap", "table-wrap-foot", "td", "th", "ref-list", "license", "permissions",
    "author-notes", "bio", "supplementary-material", "front-stub", "notes-group", "funding-group", "custom-meta-group",
)  # fmt: skip

_RULES: dict[str, Any] = yaml.safe_load(files(__package__).joinpath("mentions.yaml").read_text("utf-8"))
_FAMILIES: dict[str, dict[str, Any]] = _RULES["families"]
_FAMILY_OF = {word: family for family, entry in _FAMILIES.items() for word in entry["words"]}
_SERIES = [(re.compile(rf"\b{rule['before']}\s?$", re.I), rule["series"]) for rule in _RULES["series"]]
_FOREIGN_BEFORE = re.compile("(?:" + "|".join(_RULES["foreign"]["before"]) + ")$")
_FOREIGN_AFTER = re.compile("|".join(_RULES["foreign"]["after"]))
_LONGEST_BEFORE = 48

_WORDS = "|".join(sorted(_FAMILY_OF, key=len, reverse=True))
_LABEL = re.compile(rf"\b({_WORDS})\b\.?\s?(?=[A-Z]{{0,2}}[.-]?\d)", re.I)
_PANEL = r"\s?\(?[A-Za-z](?![A-Za-z])\)?"
_ITEM = re.compile(
    rf"""\(?(?P<letters>[A-Z]{{0,2}})[.-]?(?P<number>\d{{1,3}}(?:\.\d{{1,2}}(?!\d))?)(?!\d)
         (?:{_PANEL}(?:\s?(?:[-–—,/&]|and|to)\s?{_PANEL})*)?
         (?:\s?[-–—]+\s?figure\ssupplements?\s(?P<supplement>\d+)[A-Z]?(?:[-–,][A-Z])*)?""",
    re.VERBOSE,
)
_JOINT = re.compile(
    rf"\s?(?:(?P<range>[-–—−‐‑~]|to\b|through\b)|(?:[,;](?:\s?(?:and|or|&))?|and\b|or\b|&|/))\s?"
    rf"(?:(?P<word>{_WORDS})\b\.?\s?)?",
    re.I,
)
_SEVERAL_NUMBERS = re.compile(r"\d\D+\d")
_MORE_NUMBERS = re.compile(
    rf"(?:{_PANEL})?\s?(?:(?:[-–—−‐‑~]|to\b|through\b)\s?(?:\d|$)|(?:[,;&/]|and\b|or\b)\s?(?:(?:and|or)\s)?\d)"
)
_ODD_SPACES = ("\n", "\xa0", "\t", "\u2009", "  ")
# "(Fig. 5)", "Fig. 4, S2 Table": a reference that stands alone, in a list or table, is no sentence.
_REFERENCE_WORDS = frozenset([*_FAMILY_OF, "table", "tables", "and", "to"])
_LONGEST_BARE = 40
_WORD = re.compile(r"[^\W\d_]{2,}")
_CLOSING = ("", ")", ".", ",", ";", "]")
_LONGEST_RANGE = 40


class _Number(NamedTuple):
    """A figure's number: `("", "3")`, `("A", "1")` of Figure A1, `("", "3/1")` of Figure 3—figure supplement 1."""

    letters: str
    digits: str


class _Named(NamedTuple):
    """Where in a text a number is named; a number within a range stands, without length, at the dash."""

    start: int
    end: int
    number: _Number


class _Hit(NamedTuple):
    offset: int
    figures: Sequence[FigureDraft]


_offset = itemgetter(0)


class _Span(NamedTuple):
    """Where a cross-reference stands in a text.

    Attributes:
        start: offset of its first character.
        end: offset after its last.
        figures: what it refers to.
        several: it holds several numbers, of which it may refer to the first alone.
    """

    start: int
    end: int
    figures: Sequence[FigureDraft]
    several: bool


_Key = tuple[str, _Number]  # ("supplementary figure", 3)


class _Names:
    """Every way by which the paragraphs of one article can name its figures."""

    def __init__(self, drafts: Iterable[FigureDraft]) -> None:
        self.by_id: dict[str, list[FigureDraft]] = {}
        self.by_key: dict[etree._Element, dict[_Key, list[FigureDraft]]] = {}
        families: set[str] = set()
        capitals = False
        for draft in drafts:
            for name in {draft.stated_id, draft.figure_id, *draft.group_ids}:
                self.by_id.setdefault(name, []).append(draft)
            keys = self.by_key.setdefault(draft.scope, {})
            for label in draft.number_labels:
                for key in _keys_of_label(label):
                    keys.setdefault(key, []).append(draft)
                    families.add(key[0].rsplit(" ", 1)[-1])
                capitals = capitals or label.isupper()
        self.needles, self.word = _finder(frozenset(families), capitals=capitals)

    def in_plain(self, text: str) -> bool:
        """Whether `text` may name a figure without a cross-reference."""
        for needle in self.needles:  # noqa: SIM110  (a generator takes three times as long)
            if needle in text:
                return True
        return False

    def of_xref(self, rids: str, scope: etree._Element) -> list[FigureDraft]:
        """Figures that the ids in `rids` name; where an id is repeated, those of the same (sub-)article."""
        found: list[FigureDraft] = []
        for rid in rids.split():
            named = self.by_id.get(rid, [])
            found += [draft for draft in named if draft.scope is scope] or named
        return found


@lru_cache(maxsize=64)
def _finder(families: frozenset[str], *, capitals: bool) -> tuple[tuple[str, ...], re.Pattern[str] | None]:
    """What a text must contain to name a figure of `families`, and the pattern of their words up to the number.

    Words all in capitals are looked for only where a label is written so.
    """
    if not families:
        return (), None
    needles, patterns = [], []
    for family in sorted(families):
        stem, words = _FAMILIES[family]["stem"], _FAMILIES[family]["words"]
        needles += [stem, stem.capitalize()] + [stem.upper()] * capitals
        # A plain set of first letters lets the engine skip ahead; a word boundary before it would not.
        rest = "|".join(word[1:] for word in sorted(words, key=len, reverse=True))
        patterns.append(rf"[{stem[0]}{stem[0].upper()}](?<!\w.)(?i:{rest})\b")
    return tuple(needles), re.compile(rf"(?:{'|'.join(patterns)})\.?,?\s?(?=\(?[A-Z]{{0,2}}[.-]?\d)")


@lru_cache(maxsize=4096)
def _keys_of_label(label: str) -> tuple[_Key, ...]:
    """What a label stands for: one number as a rule, several for "Figures 2–4"."""
    word = _LABEL.search(label)
    if word is None:
        return ()
    series = _series(label, word.start(), _FAMILY_OF[word[1].lower()])
    return tuple((series, named.number) for named in _numbers(label, word.end(), plural=True))


def _series(text: str, start: int, family: str) -> str:
    before = text[max(0, start - _LONGEST_BEFORE) : start]
    if before[-1:] in " -–—.:(,;":
        for pattern, series in _SERIES:
            if pattern.search(before):
                return f"{series} {family}"
    return family


def _numbers(text: str, start: int, *, plural: bool) -> Iterator[_Named]:
    """The figure numbers of one mention from `start` on: "2A–C, 3 and 5–7" → 2, 3, 5, 6, 7."""
    item = _ITEM.match(text, start)
    while item is not None:
        number = _number(item)
        yield _Named(item.start(), item.end(), number)
        joint = _JOINT.match(text, item.end())
        following = _ITEM.match(text, joint.end()) if joint else None
        if joint is None or following is None:
            return
        if joint["word"]:
            plural = True
        elif not (plural or joint["range"] or text[following.end() : following.end() + 1] in _CLOSING):
            return  # "Fig. 3, 12 patients"
        if joint["range"]:
            for between in _between(number, _number(following)):
                yield _Named(joint.start(), joint.start(), between)
        item = following


def _number(item: re.Match[str]) -> _Number:
    letters, digits, supplement = item.groups()
    return _Number(letters, f"{digits}/{supplement}" if supplement else digits)


def _between(first: _Number, last: _Number) -> Iterator[_Number]:
    if last.letters in ("", first.letters) and first.digits.isdecimal() and last.digits.isdecimal():
        low, high = int(first.digits), int(last.digits)
        if high - low <= _LONGEST_RANGE:
            for number in range(low + 1, high):
                yield _Number(first.letters, str(number))


def add_mentions(contents: Contents, drafts: Sequence[FigureDraft]) -> None:
    """Adds to each draft the sentences of the running text that mention it. Changes the tree."""
    if not drafts:
        return
    names = _Names(drafts)
    rids = _mark(contents.every("xref"), names)
    for paragraph, text in list(_paragraphs_with_mentions(contents, names)):  # before any of them is changed
        if paragraph in contents.composite:
            simplify(paragraph)
            text = text_of(paragraph)
        scope = scope_of(paragraph, contents.article)
        for block in text.split(BREAK):
            _add_block(_single_spaced(block), scope, names, rids)


def _paragraphs_with_mentions(contents: Contents, names: _Names) -> Iterator[tuple[etree._Element, str]]:
    """The paragraphs of the running text that may name a figure, each with its bare text."""
    for paragraph in contents.every("p"):
        text = text_of(paragraph)
        if (_OPEN in text or names.in_plain(text)) and _is_running_text(paragraph):
            yield paragraph, text


def _mark(xrefs: Iterable[etree._Element], names: _Names) -> list[str]:
    """Marks where each cross-reference to a figure begins and ends; a mark's number is the place of its ids."""
    rids: list[str] = []
    known = names.by_id
    for xref in xrefs:
        rid = xref.get("rid", "")
        if rid in known or (" " in rid and not known.keys().isdisjoint(rid.split())):
            if len(xref):
                xref.text = f"{_OPEN}{len(rids)}{_BETWEEN}{xref.text or ''}"
                xref.tail = _CLOSE + (xref.tail or "")
            else:
                xref.text = f"{_OPEN}{len(rids)}{_BETWEEN}{xref.text or ''}{_CLOSE}"
            rids.append(rid)
    return rids


def _is_running_text(paragraph: etree._Element) -> bool:
    """Outermost paragraphs only: what stands within one is read with it."""
    parent = paragraph.getparent()
    return parent is not None and (
        parent.tag in _RUNNING_TEXT or next(paragraph.iterancestors(*_NOT_RUNNING_TEXT), None) is None
    )


def _single_spaced(text: str) -> str:
    """`text` folded, but for spaces so rare that only the sentences in the end are searched for them."""
    for odd in _ODD_SPACES:  # most text has none, and to look costs a fraction of what folding costs
        if odd in text:
            return fold(text)
    return text


def _add_block(marked: str, scope: etree._Element, names: _Names, rids: Sequence[str]) -> None:
    """Adds the sentences of one block of text, whose cross-references are marked."""
    before, *pieces = marked.split(_OPEN)
    parts, length = [before], len(before)
    spans: list[_Span] = []
    by_number, goes_on = names.in_plain(before), False
    for piece in pieces:
        index, _, rest = piece.partition(_BETWEEN)
        inside, _, after = rest.partition(_CLOSE)
        several = _SEVERAL_NUMBERS.search(inside) is not None
        goes_on = goes_on or several or _MORE_NUMBERS.match(after) is not None
        by_number = by_number or names.in_plain(after)
        start, end = length + len(inside) - len(inside.lstrip()), length + len(inside)
        if index.isdecimal() and int(index) < len(rids):
            spans.append(_Span(start, end, names.of_xref(rids[int(index)], scope), several))
        parts += (inside, after)
        length = end + len(after)
    text = "".join(parts)
    hits = [_Hit(span.start, span.figures) for span in spans if span.figures]
    if by_number or goes_on:
        hits += _numbered(text, spans, names.word, names.by_key.get(scope, {}), tagged_too=goes_on)
        hits.sort(key=_offset)
    sentence = folded = ""
    for hit, found in zip(hits, sentences_at(text, map(_offset, hits)), strict=True):
        if found is not sentence:
            sentence, folded = found, fold(found)
        if len(folded) < _LONGEST_BARE and _REFERENCE_WORDS.issuperset(_WORD.findall(folded.lower())):
            continue
        for draft in hit.figures:
            draft.mentions[folded] = None


def _numbered(
    text: str,
    spans: Sequence[_Span],
    word: re.Pattern[str] | None,
    by_key: Mapping[_Key, list[FigureDraft]],
    *,
    tagged_too: bool,
) -> Iterator[_Hit]:
    """Mentions by number; a number that an `<xref>` holds alone is left to that `<xref>`.

    With `tagged_too` a mention that begins within an `<xref>` is read on, for the numbers that have none.
    """
    if word is None or not by_key:
        return
    for match in word.finditer(text):
        if not tagged_too and _at(spans, match.end()) is not None:
            continue
        name = match[0].rstrip(" .,").lower()
        numbers = list(_numbers(text, match.end(), plural=name.endswith("s")))
        untagged = [named for named in numbers if not _is_tagged(named, spans)]
        if not untagged:
            continue
        if len(untagged) == len(numbers) and _is_foreign(text, match.start(), numbers[-1].end):
            continue
        series = _series(text, match.start(), _FAMILY_OF[name])
        for named in untagged:
            if figures := by_key.get((series, named.number)):
                yield _Hit(named.start, figures)


def _is_foreign(text: str, start: int, end: int) -> bool:
    """Whether the words around a mention give the figure to another paper."""
    return (
        _FOREIGN_AFTER.match(text, end) is not None
        or _FOREIGN_BEFORE.search(text[max(0, start - _LONGEST_BEFORE) : start]) is not None
    )


def _is_tagged(named: _Named, spans: Sequence[_Span]) -> bool:
    span = _at(spans, named.start) if named.start < named.end else None
    return span is not None and not span.several


def _at(spans: Sequence[_Span], offset: int) -> _Span | None:
    """The cross-reference that `offset` is in."""
    following = bisect_right(spans, offset, key=_offset)
    return spans[following - 1] if following and offset < spans[following - 1].end else None
