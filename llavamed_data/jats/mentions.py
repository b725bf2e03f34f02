"""Which sentences mention which figure: by cross-reference, by number, and between the ends of a range.

Every `<xref>` to a figure is marked in the tree, so that one call in C gives a paragraph's text with the marks in
it; only paragraphs that hold a mark or a figure's name in plain text are looked at any further.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from importlib.resources import files
from typing import Any, NamedTuple

import yaml
from lxml import etree

from llavamed_data.jats.contents import Contents
from llavamed_data.jats.figures import FigureDraft, scope_of
from llavamed_data.jats.plaintext import BREAK, fold, simplify, text_of
from llavamed_data.jats.sentences import sentences_at

# Noncharacters: no text has a use for them. One that a document holds all the same reads as a mark at worst, and
# what a document marks itself is what it could have said with an <xref>.
_OPEN, _BETWEEN, _CLOSE = "\ufdd0", "\ufdd1", "\ufdd3"

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
_CLOSING = ("", ")", ".", ",", ";", "]")
_LONGEST_RANGE = 40


class _Number(NamedTuple):
    """How a figure is numbered: `("supplementary figure", "S", "3")`."""

    series: str
    letters: str
    number: str


class _Named(NamedTuple):
    """Where in a text a number is named; a number within a range stands, without length, at the dash."""

    start: int
    end: int
    number: _Number


class _Hit(NamedTuple):
    offset: int
    figures: Sequence[FigureDraft]


class _Span(NamedTuple):
    start: int
    end: int
    figures: Sequence[FigureDraft]


class _Names:
    """Every way by which the paragraphs of one article can name its figures."""

    def __init__(self, drafts: Iterable[FigureDraft]) -> None:
        self.by_id: dict[str, list[FigureDraft]] = defaultdict(list)
        self.by_number: dict[etree._Element, dict[_Number, list[FigureDraft]]] = defaultdict(
            lambda: defaultdict(list)
        )
        families: set[str] = set()
        for draft in drafts:
            for name in {draft.stated_id, draft.figure_id, *draft.group_ids}:
                self.by_id[name].append(draft)
            for label in draft.number_labels:
                for number in _numbers_of_label(label):
                    self.by_number[draft.scope][number].append(draft)
                    families.add(number.series.rsplit(" ", 1)[-1])
        self.needles, self.word = _finder(frozenset(families))

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
def _finder(families: frozenset[str]) -> tuple[tuple[str, ...], re.Pattern[str] | None]:
    """What a text must contain to name a figure of `families`, and the pattern of their words up to the number."""
    if not families:
        return (), None
    stems = sorted(_FAMILIES[family]["stem"] for family in families)
    needles = tuple(spelling for stem in stems for spelling in (stem, stem.capitalize(), stem.upper()))
    words = sorted(
        (word for family in families for word in _FAMILIES[family]["words"]), key=len, reverse=True
    )
    starts = "".join(sorted({case for word in words for case in (word[0], word[0].upper())}))
    # The plain set of first letters lets the engine skip ahead; a word boundary there would not.
    return needles, re.compile(
        rf"[{starts}](?<!\w.)(?i:(?<={'|'.join(starts)})(?:{'|'.join(w[1:] for w in words)}))\b\.?,?\s?(?=\(?[A-Z]{{0,2}}[.-]?\d)"
    )


def _numbers_of_label(label: str) -> Iterator[_Number]:
    """The numbers a label stands for: one as a rule, several for "Figures 2–4"."""
    word = _LABEL.search(label)
    if word is not None:
        series = _series(label, word.start(), _FAMILY_OF[word[1].lower()])
        for named in _numbers(label, word.end(), series, plural=True):
            yield named.number


def _series(text: str, start: int, family: str) -> str:
    before = text[max(0, start - _LONGEST_BEFORE) : start]
    if before[-1:] in " -–—.:(,;":
        for pattern, series in _SERIES:
            if pattern.search(before):
                return f"{series} {family}"
    return family


def _numbers(text: str, start: int, series: str, *, plural: bool) -> Iterator[_Named]:
    """The figure numbers of one mention from `start` on: "2A–C, 3 and 5–7" → 2, 3, 5, 6, 7."""
    item = _ITEM.match(text, start)
    while item is not None:
        number = _number(item, series)
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
            for between in _between(number, _number(following, series)):
                yield _Named(joint.start(), joint.start(), between)
        item = following


def _number(item: re.Match[str], series: str) -> _Number:
    number = f"{item['number']}/{item['supplement']}" if item["supplement"] else item["number"]
    return _Number(series, item["letters"], number)


def _between(first: _Number, last: _Number) -> Iterator[_Number]:
    if (
        first.letters == (last.letters or first.letters)
        and first.number.isdecimal()
        and last.number.isdecimal()
    ):
        low, high = int(first.number), int(last.number)
        if high - low <= _LONGEST_RANGE:
            for number in range(low + 1, high):
                yield _Number(first.series, first.letters, str(number))


def add_mentions(contents: Contents, drafts: Sequence[FigureDraft]) -> None:
    """Adds to each draft the sentences of the running text that mention it. Changes the tree."""
    if not drafts:
        return
    names = _Names(drafts)
    rids = _mark(contents.xrefs, names)
    for paragraph in contents.paragraphs:
        text = text_of(paragraph)
        if not (_OPEN in text or names.in_plain(text)) or not _is_running_text(paragraph):
            continue
        if paragraph in contents.composite:
            simplify(paragraph)
            text = text_of(paragraph)
        scope = scope_of(paragraph, contents.article)
        for block in text.split(BREAK):
            _add_block(fold(block), scope, names, rids)


def _mark(xrefs: Iterable[etree._Element], names: _Names) -> list[str]:
    """Marks where each cross-reference to a figure begins and ends; a mark's number is the place of its ids."""
    rids: list[str] = []
    known = names.by_id
    for xref in xrefs:
        rid = xref.get("rid", "")
        if rid in known or (" " in rid and not known.keys().isdisjoint(rid.split())):
            xref.text = f"{_OPEN}{len(rids)}{_BETWEEN}{xref.text or ''}"
            xref.tail = _CLOSE + (xref.tail or "")
            rids.append(rid)
    return rids


def _is_running_text(paragraph: etree._Element) -> bool:
    """Outermost paragraphs only: what stands within one is read with it."""
    parent = paragraph.getparent()
    return parent is not None and (
        parent.tag in _RUNNING_TEXT or next(paragraph.iterancestors(*_NOT_RUNNING_TEXT), None) is None
    )


def _add_block(marked: str, scope: etree._Element, names: _Names, rids: Sequence[str]) -> None:
    """Adds the sentences of one block of text, whose cross-references are marked."""
    before, *pieces = marked.split(_OPEN)
    text, spans, by_number = before, [], names.in_plain(before)
    for piece in pieces:
        index, _, rest = piece.partition(_BETWEEN)
        inside, _, after = rest.partition(_CLOSE)
        spans.append(_Span(len(text), len(text) + len(inside), names.of_xref(rids[int(index)], scope)))
        text = f"{text}{inside}{after}"
        by_number = by_number or _goes_on(inside, after) or names.in_plain(after)
    hits = [_Hit(span.start, span.figures) for span in spans]
    if by_number:
        hits += _numbered(text, spans, names.word, names.by_number.get(scope, {}))
        hits.sort(key=lambda hit: hit.offset)
    if hits:
        for hit, sentence in zip(hits, sentences_at(text, [hit.offset for hit in hits]), strict=True):
            for draft in hit.figures:
                draft.mentions[sentence] = None


def _goes_on(inside: str, after: str) -> bool:
    """Whether a cross-reference may be part of a list or range whose other numbers have none of their own."""
    return _SEVERAL_NUMBERS.search(inside) is not None or _MORE_NUMBERS.match(after) is not None


def _numbered(
    text: str,
    spans: Sequence[_Span],
    word: re.Pattern[str] | None,
    by_number: Mapping[_Number, list[FigureDraft]],
) -> Iterator[_Hit]:
    """Mentions by number; a number that an `<xref>` holds is left to that `<xref>`."""
    if word is None or not by_number:
        return
    for match in word.finditer(text):
        name = re.sub(r"[^a-z]", "", match[0].lower())
        series = _series(text, match.start(), _FAMILY_OF[name])
        tagged = _holding(spans, match.end())
        if not tagged and _FOREIGN_BEFORE.search(
            text[max(0, match.start() - _LONGEST_BEFORE) : match.start()]
        ):
            continue
        for named in _numbers(text, match.end(), series, plural=name.endswith("s")):
            figures = by_number.get(named.number)
            if not figures or (named.start < named.end and _holding(spans, named.start)):
                continue
            if tagged or not _FOREIGN_AFTER.match(text, named.end):
                yield _Hit(named.start, figures)


def _holding(spans: Sequence[_Span], offset: int) -> bool:
    return any(start <= offset < end for start, end, _ in spans)
