"""Whether a caption marks panels: the paper keeps figures "that only contain a single plot" (section 3).

The marks are in `panel_marks.yaml`. A single letter proves nothing ("aorta (A)", "(C) 2010", "vitamin A"): two that
follow each other do.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from llavamed_data.figures.caption_rules import HYPHENS, RuleFilter, load_rules, normalise_caption, with_words

_LETTER_B = re.compile(r"[bB](?<![A-Za-z].)(?![A-Za-z])")
"""A letter b that touches no other letter. Without one, no two marks of one letter follow each other."""

_LONGEST_SPAN = 11
"""Letters between the first and the last of a span: A-L are panels, A-P is anteroposterior."""

_NO_SPANS = frozenset({"lr", "hl"})
"""Left–right and head–leg: directions written like spans."""


@dataclass(frozen=True, slots=True)
class PanelMark:
    """One way of marking panels.

    Attributes:
        kind: the list of `panel_marks.yaml` that it stands in, which says what its groups are.
        says: the expression that finds it in a normalised caption after ". ".
    """

    kind: str
    says: re.Pattern[str]


@dataclass(frozen=True, slots=True)
class PanelMarks:
    """The table `panel_marks.yaml`, compiled: marks of one letter, and a filter over all others."""

    letters: tuple[PanelMark, ...]
    others: RuleFilter[PanelMark]


def caption_is_single_plot(caption: str) -> bool:
    """Returns whether nothing in `caption` marks panels.

    >>> caption_is_single_plot("Axial CT (a) before and (b) after treatment.")
    False
    >>> caption_is_single_plot("Axial CT shows the aorta (A) and vitamin B deposits.")
    True
    """
    marks = PANEL_MARKS
    text = f". {normalise_caption(caption, HYPHENS)}"
    if _LETTER_B.search(text) and _any_marks_panels(marks.letters, text):
        return False
    return not _any_marks_panels(marks.others.candidates(text), text)


def _any_marks_panels(marks: Iterable[PanelMark], text: str) -> bool:
    """Returns whether one of `marks`, or two of one letter or numeral that follow each other, are in `text`."""
    single: set[str] = set()
    for mark in marks:
        if mark.kind == "words":
            if mark.says.search(text):
                return True
        elif mark.kind == "spans":
            if any(_is_span(first, last) for first, last in mark.says.findall(text)):
                return True
        else:
            single.update(mark.says.findall(text))
            if {"a", "b"} <= single or {"A", "B"} <= single or {"i", "ii"} <= set(map(str.lower, single)):
                return True
    return False


def _is_span(first: str, last: str) -> bool:
    alike = first.isupper() == last.isupper()
    return alike and 0 < ord(last) - ord(first) <= _LONGEST_SPAN and (first + last).lower() not in _NO_SPANS


def _read_panel_marks() -> PanelMarks:
    table = load_rules("panel_marks.yaml")

    def compiled(kind: str) -> list[PanelMark]:
        flags = re.VERBOSE | (re.IGNORECASE if kind == "words" else 0)
        return [
            PanelMark(kind, re.compile(with_words(entry["says"], table["names"]), flags))
            for entry in table[kind]
        ]

    others = [
        (mark, entry.get("contains", ()))
        for kind in ("numerals", "spans", "words")
        for mark, entry in zip(compiled(kind), table[kind], strict=True)
    ]
    return PanelMarks(letters=tuple(compiled("letters")), others=RuleFilter(others))


PANEL_MARKS = _read_panel_marks()
"""Compiled when this module is imported, so that processes forked from one that has imported it share the table."""
