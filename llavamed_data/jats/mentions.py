"""Which "sentences that mention the image" an article has (section 3): the inline mentions of each figure.

A sentence mentions a figure by a cross-reference, by its number, or between the ends of a range of numbers. Every
`<xref>` to a figure is marked in the tree, so that the text of a paragraph comes with the marks in it; only paragraphs
that hold a mark or the name of a figure in plain text are looked at any further.
"""

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import itemgetter
from typing import NamedTuple

from lxml import etree

from llavamed_data.jats.document import ArticleTree
from llavamed_data.jats.figure_names import (
    FAMILY_OF,
    FigureKey,
    FigureWords,
    NamedNumber,
    figure_words,
    has_more_numbers,
    is_foreign,
    is_tagged_foreign,
    keys_of_label,
    numbers_at,
    series_of,
)
from llavamed_data.jats.figures import FigureDraft
from llavamed_data.jats.plaintext import BREAK, normalise_spaces, simplify, text_of
from llavamed_data.jats.scripts import write_scripts
from llavamed_data.jats.sentences import sentences_at

# Control characters that XML allows, that no encoding in use has and that keep Latin text one byte a character. What
# a document marks with them itself is what it could have said with an <xref>.
_OPEN, _BETWEEN, _CLOSE = "\x81", "\x8d", "\x8f"

_RUNNING_TEXT = frozenset(["sec", "body", "abstract", "app", "ack"])
"""A paragraph right in one of these is running text; of others all ancestors are looked at."""

_NOT_RUNNING_TEXT = (
    "p", "caption", "fn", "table-wrap", "table-wrap-foot", "td", "th", "ref-list", "license", "permissions",
    "author-notes", "bio", "supplementary-material", "front-stub", "notes-group", "funding-group", "custom-meta-group",
)  # fmt: skip

_WITHIN_A_LIST = re.compile(r"[A-Za-z]?\s?(?:[,–-]|[,;]?\s?(?:and|or|&))?\s?")
_BEFORE_CITATION = ("in ", "of ", "from ", "by ", "see ", "cf. ", "f. ", "(")
_BEFORE_FIGURE = re.compile(r"[,:]\s?(?:text-)?[Ff]ig")
_AFTER_FIGURE = re.compile(r"\b[Ff]ig\w*\.?\s?\d+\w?,?\s(?:in|of|from|by)\s(?:[Rr]ef\.\s)?$")
_LONGEST_LINK = 12
# Each with a literal at its front, which the engine searches for at once.
_MAY_NAME_PAPER = re.compile(
    rf"""ig (?: (?<= \d,[ ][Ff]ig | \d:[ ]fig )
        | (?:ure)? s? \.? \s? (?:{_OPEN}\d+{_BETWEEN})? \d+\w{{0,3}} {_CLOSE}? ,?
          \s (?:in|of|from|by) \s (?:[Rr]ef\.\s)? \d )""",
    re.VERBOSE,
)
_MAY_NAME_PAPER_OF_TAGGED = re.compile(rf"{_OPEN}(?<=\d[,:] {_OPEN})")
_SEVERAL_NUMBERS = re.compile(r"\d\D+\d")
_NO_MORE_NUMBERS = (")", ".", "]", "")
"""What nearly always follows a number; no other can come then."""

_BARE_REFERENCE = frozenset([*FAMILY_OF, "table", "tables", "and", "to"])
"""Words of a reference that stands alone in a list or a table, "Fig. 4, S2 Table", which is no sentence."""

_LONGEST_BARE_REFERENCE = 40
_ODD_SPACES = ("\n", "\xa0", "\t", "\u2009", "  ")
_WORD = re.compile(r"[^\W\d_]{2,}")
_first = itemgetter(0)


class _CrossReference(NamedTuple):
    """Where a cross-reference stands in a text.

    Attributes:
        start: offset of its first character.
        end: offset after its last.
        figures: what it refers to.
        several: whether it holds several numbers, of which it may refer to the first alone.
    """

    start: int
    end: int
    figures: Sequence[FigureDraft]
    several: bool


class _FigureIndex:
    """Finds the figures of one article by their ids and by their numbers."""

    def __init__(self, drafts: Iterable[FigureDraft]) -> None:
        self.by_id: dict[str, list[FigureDraft]] = {}
        self.by_key: dict[etree._Element, dict[FigureKey, list[FigureDraft]]] = {}
        families: set[str] = set()
        capitals = False
        for draft in drafts:
            for name in {draft.stated_id, draft.figure_id, *draft.group_ids}:
                self.by_id.setdefault(name, []).append(draft)
            keys = self.by_key.setdefault(draft.scope, {})
            for label in draft.number_labels:
                for key in keys_of_label(label):
                    keys.setdefault(key, []).append(draft)
                    families.add(key[0].rsplit(" ", 1)[-1])
                capitals = capitals or label.isupper()
        self.words: FigureWords = figure_words(frozenset(families), capitals=capitals)
        """The words by which the labels call figures; those all in capitals only where a label is written so."""

    def of_ids(self, rids: str, scope: etree._Element) -> list[FigureDraft]:
        """Returns the figures that the ids in `rids` name; of a repeated id those of the same (sub-)article."""
        found: list[FigureDraft] = []
        for rid in rids.split():
            named = self.by_id.get(rid, [])
            found += [draft for draft in named if draft.scope is scope] or named
        return found


def add_mentions(tree: ArticleTree, drafts: Sequence[FigureDraft]) -> None:
    """Adds to each draft the sentences of the running text that mention it. Changes the tree."""
    if not drafts:
        return
    index = _FigureIndex(drafts)
    marked = _mark_cross_references(tree, index)
    for paragraph, text in list(_paragraphs_with_mentions(tree, index)):  # before any of them is changed
        changed = write_scripts(paragraph)
        if _may_name_paper(text):
            changed |= _bracket_citations_of_figures(paragraph)
        if paragraph in tree.with_blocks:
            simplify(paragraph)
            changed = True
        if changed:
            text = text_of(paragraph)
        scope = tree.scope_of(paragraph)
        for block in text.split(BREAK):
            _add_mentions_in(_single_spaced(block), scope, index, marked)


def _mark_cross_references(tree: ArticleTree, index: _FigureIndex) -> list[str]:
    """Marks where each cross-reference to a figure begins and ends, by the place of its ids in the list returned."""
    marked: list[str] = []
    known = index.by_id
    for xref in tree.iter("xref"):
        rids = xref.get("rid", "")
        if rids in known or (" " in rids and not known.keys().isdisjoint(rids.split())):
            begin = f"{_OPEN}{len(marked)}{_BETWEEN}{xref.text or ''}"
            if len(xref):
                xref.text = begin
                xref.tail = _CLOSE + (xref.tail or "")
            else:
                xref.text = begin + _CLOSE
            marked.append(rids)
    return marked


def _may_name_paper(text: str) -> bool:
    """Returns whether a number in `text` may say in which paper a figure is."""
    return bool(_MAY_NAME_PAPER_OF_TAGGED.search(text) or _MAY_NAME_PAPER.search(text))


def _bracket_citations_of_figures(paragraph: etree._Element) -> bool:
    """Puts the number of a citation into brackets where it says in which paper a figure is: "Fig. 5 in 10"."""
    found = False
    for xref in paragraph.iterdescendants("xref"):
        if xref.get("ref-type") == "bibr" and not len(xref) and (xref.text or "").isdecimal():
            previous, parent = xref.getprevious(), xref.getparent()
            before = (
                previous.tail if previous is not None else parent.text if parent is not None else ""
            ) or ""
            after_reference = (
                previous is not None and previous.get("ref-type") == "fig" and len(before) < _LONGEST_LINK
            )
            if before.endswith(_BEFORE_CITATION) and (
                after_reference or _BEFORE_FIGURE.match(xref.tail or "") or _AFTER_FIGURE.search(before)
            ):
                xref.text, found = f"[{xref.text}]", True
    return found


def _paragraphs_with_mentions(tree: ArticleTree, index: _FigureIndex) -> Iterator[tuple[etree._Element, str]]:
    """Yields the paragraphs of the running text that may name a figure, each with its bare text."""
    for paragraph in tree.iter("p"):
        text = text_of(paragraph)
        if (_OPEN in text or index.words.may_be_in(text)) and _is_running_text(paragraph):
            yield paragraph, text


def _is_running_text(paragraph: etree._Element) -> bool:
    """Returns whether a paragraph is read for mentions; one within another is not, as it is read with that."""
    parent = paragraph.getparent()
    return parent is not None and (
        parent.tag in _RUNNING_TEXT or next(paragraph.iterancestors(*_NOT_RUNNING_TEXT), None) is None
    )


def _single_spaced(text: str) -> str:
    """Returns `text` with single spaces, but for white space so rare that only sentences are searched for it later."""
    for odd in _ODD_SPACES:  # most text has none, and to look costs a fraction of what splitting costs
        if odd in text:
            return normalise_spaces(text)
    return text


def _add_mentions_in(
    marked_text: str, scope: etree._Element, index: _FigureIndex, marked: Sequence[str]
) -> None:
    """Adds the sentences of one block of text, whose cross-references are marked."""
    before, *pieces = marked_text.split(_OPEN)
    parts, untagged, length = [before], [before], len(before)
    references: list[_CrossReference] = []
    goes_on = False
    for piece in pieces:
        place, _, rest = piece.partition(_BETWEEN)
        inside, _, after = rest.partition(_CLOSE)
        several = _SEVERAL_NUMBERS.search(inside) is not None
        goes_on = goes_on or several or (after[:1] not in _NO_MORE_NUMBERS and has_more_numbers(after))
        start, end = length + len(inside) - len(inside.lstrip()), length + len(inside)
        if place.isdecimal() and int(place) < len(marked):
            references.append(_CrossReference(start, end, index.of_ids(marked[int(place)], scope), several))
        parts += (inside, after)
        untagged.append(after)
        length = end + len(after)
    text = "".join(parts)
    mentions = [
        (reference.start, reference.figures)
        for reference in _of_this_article(references, text)
        if reference.figures
    ]
    if goes_on or index.words.may_be_in("\n".join(untagged)):
        keys = index.by_key.get(scope, {})
        mentions += _mentions_by_number(text, references, index.words, keys, tagged_too=goes_on)
        mentions.sort(key=_first)
    sentence = text_line = ""
    for (_, figures), found in zip(mentions, sentences_at(text, map(_first, mentions)), strict=True):
        if found is not sentence:
            sentence, text_line = found, normalise_spaces(found)
        if len(text_line) < _LONGEST_BARE_REFERENCE and _BARE_REFERENCE.issuperset(
            _WORD.findall(text_line.lower())
        ):
            continue
        for figure in figures:
            figure.mentions[text_line] = None


def _of_this_article(references: Sequence[_CrossReference], text: str) -> Sequence[_CrossReference]:
    """Returns the cross-references but those to figures of other papers, which some publishers tag as their own."""
    for reference in references:
        if is_tagged_foreign(text, reference.start, reference.end):
            break
    else:  # as nearly always
        return references
    own: list[_CrossReference] = []
    run: list[_CrossReference] = []
    for reference in references:
        if run and not _WITHIN_A_LIST.fullmatch(text, run[-1].end, reference.start):
            own += [] if is_tagged_foreign(text, run[0].start, run[-1].end) else run
            run = []
        run.append(reference)
    return own if is_tagged_foreign(text, run[0].start, run[-1].end) else [*own, *run]


def _mentions_by_number(
    text: str,
    references: Sequence[_CrossReference],
    words: FigureWords,
    keys: Mapping[FigureKey, list[FigureDraft]],
    *,
    tagged_too: bool,
) -> Iterator[tuple[int, Sequence[FigureDraft]]]:
    """Yields offset and figures of each mention by number, but for numbers that an `<xref>` holds alone.

    With `tagged_too` a mention that begins within an `<xref>` is read on, for the numbers that have none.
    """
    if not keys:
        return
    for word in words.finditer(text):
        if not tagged_too and _reference_at(references, word.end()) is not None:
            continue
        name = word[0].rstrip(" .,").lower()
        numbers = list(numbers_at(text, word.end(), plural=name.endswith("s")))
        untagged = [named for named in numbers if not _is_tagged(named, references)]
        if not untagged:
            continue
        if len(untagged) == len(numbers) and is_foreign(text, word.start(), numbers[-1].end):
            continue
        series = series_of(text, word.start(), FAMILY_OF[name])
        for named in untagged:
            if figures := keys.get((series, named.number)):
                yield named.start, figures


def _is_tagged(named: NamedNumber, references: Sequence[_CrossReference]) -> bool:
    reference = _reference_at(references, named.start) if named.start < named.end else None
    return reference is not None and not reference.several


def _reference_at(references: Sequence[_CrossReference], offset: int) -> _CrossReference | None:
    """Returns the cross-reference that `offset` is in."""
    following = bisect_right(references, offset, key=_first)
    return references[following - 1] if following and offset < references[following - 1].end else None
