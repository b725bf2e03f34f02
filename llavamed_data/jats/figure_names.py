"""How text names figures: "Fig. 3", "Figures 2A–C, 3 and 5–7", "Suppl. Fig. S1", "Figure 3 of Smith et al. (2004)".

A name is a word of a family ("figure", "scheme", "plate"), words before it that make it another series
("supplementary"), and numbers. Words and series are in `mentions.yaml`.
"""

import re
from collections.abc import Iterator
from functools import lru_cache
from importlib.resources import files
from typing import Any, NamedTuple

import yaml

_RULES: dict[str, Any] = yaml.safe_load(files(__package__).joinpath("mentions.yaml").read_text("utf-8"))
_FAMILIES: dict[str, dict[str, Any]] = _RULES["families"]
FAMILY_OF: dict[str, str] = {word: family for family, entry in _FAMILIES.items() for word in entry["words"]}
"""The family of each word, in small letters."""

_SERIES = [(re.compile(rf"\b{rule['before']}\s?$", re.I), rule["series"]) for rule in _RULES["series"]]


def _foreign(*kinds: str) -> str:
    """Returns one regular expression out of the lists `kinds` of what gives a figure to another paper."""
    pattern = "|".join(rule for kind in kinds for rule in _RULES["foreign"][kind])
    for name, alternatives in _RULES["names"].items():
        pattern = pattern.replace(f"<{name}>", f"(?:{alternatives})")
    return f"(?:{pattern})"


_FOREIGN_BEFORE = re.compile(f"{_foreign('before', 'before_untagged')}$")
_FOREIGN_AFTER = re.compile(_foreign("after", "after_untagged"))
_BEFORE_FOREIGN = ("r ", "s ", ", ", ":", ": ", "; ")
"""Ends of what may give a figure to another paper: "their ", "[12], "."""

_BEFORE_NUMBER = ("g ", ". ", "s ", "e ")
"""Ends of the words for figures."""

_LONGEST_BEFORE = 48

_WORDS = "|".join(sorted(FAMILY_OF, key=len, reverse=True))
_LABEL = re.compile(rf"\b({_WORDS})\b\.?\s?(?=[A-Z]{{0,2}}[.-]?\d)", re.I)
_TAGGED_FOREIGN_BEFORE = re.compile(f"{_foreign('before')}$")
_WORD_AT_END = re.compile(rf"(?i:text-)?\b(?i:{_WORDS})\b\.?\s?$")
_TAGGED_FOREIGN_AFTER = re.compile(r"(?:\s?\(?[A-Za-z]\)?(?:[,–-]\s?[A-Za-z]\b)*)?" + _foreign("after"))
_SHOWS = re.compile(
    r"\s(?:shows?|(?:illustrate|depict|demonstrate|present|display|summari[sz]e|compare|plot|reveal|indicate)s?)\b"
)
_PANEL = r"\s?\(?[A-Za-z](?![A-Za-z])\)?"
_ITEM = re.compile(
    rf"""\(?(?P<letters>[A-Z]{{0,2}})[.-]?(?P<number>\d{{1,3}}(?:\.\d{{1,2}}(?!\d))?)(?!\d|,\d\d\d(?!\d))
         (?:{_PANEL}(?:\s?(?:[-–—,/&]|and|to)\s?{_PANEL})*)?
         (?:\s?[-–—]+\s?figure\ssupplements?\s(?P<supplement>\d+)[A-Z]?(?:[-–,][A-Z])*)?""",
    re.VERBOSE,
)
_JOINT = re.compile(
    rf"\s?(?:(?P<range>[-–—−‐‑~]|to\b|through\b)|(?P<and>[,;]?\s?(?:and\b|or\b|&))|[,;/])\s?"
    rf"(?:(?P<word>{_WORDS})\b\.?\s?)?",
    re.I,
)
_MORE_NUMBERS = re.compile(
    rf"(?:{_PANEL})?\s?(?:(?:[-–—−‐‑~]|to\b|through\b)\s?(?:\d|$)|(?:[,;&/]|and\b|or\b)\s?(?:(?:and|or)\s)?\d)"
)
_CLOSING = ("", ")", ".", ",", ";", "]")
_LONGEST_RANGE = 40


class FigureNumber(NamedTuple):
    """A figure's number: `("", "3")`, `("A", "1")` of Figure A1, `("", "3/1")` of Figure 3—figure supplement 1."""

    letters: str
    digits: str


FigureKey = tuple[str, FigureNumber]
"""A series with a number in it: `("supplementary figure", FigureNumber("", "3"))`."""


class NamedNumber(NamedTuple):
    """Where in a text a number is named; a number within a range stands, without length, at the dash."""

    start: int
    end: int
    number: FigureNumber


class FigureWords:
    """Finds where a text names figures of some families by number.

    Args:
        families: which.
        capitals: whether to look for words all in capitals too.
    """

    def __init__(self, families: frozenset[str], *, capitals: bool) -> None:
        stems, patterns = [], []
        for family in sorted(families):
            stem, words = _FAMILIES[family]["stem"], _FAMILIES[family]["words"]
            stems += [stem, stem.capitalize()] + [stem.upper()] * capitals
            # A plain set of first letters lets the engine skip ahead; a word boundary before it would not.
            rest = "|".join(word[1:] for word in sorted(words, key=len, reverse=True))
            patterns.append(rf"[{stem[0]}{stem[0].upper()}](?<!\w.)(?i:{rest})\b")
        self._stems = tuple(stems)
        self._word = re.compile(
            rf"(?:{'|'.join(patterns)})(?:\.,?|(?<=[Ff]ig),|(?<=[Ff]igs),)?\s?(?=\(?[A-Z]{{0,2}}[.-]?\d)"
        )

    def may_be_in(self, text: str) -> bool:
        """Returns whether `text` holds the stem of a word."""
        for stem in self._stems:  # noqa: SIM110  (a generator takes three times as long)
            if stem in text:
                return True
        return False

    def finditer(self, text: str) -> Iterator[re.Match[str]]:
        """Yields each word with what follows it up to its first number."""
        return self._word.finditer(text) if self._stems else iter(())


@lru_cache(maxsize=64)
def figure_words(families: frozenset[str], *, capitals: bool) -> FigureWords:
    """Returns a `FigureWords`, compiled once."""
    return FigureWords(families, capitals=capitals)


@lru_cache(maxsize=4096)
def keys_of_label(label: str) -> tuple[FigureKey, ...]:
    """Returns what a label stands for: one number as a rule, several for "Figures 2–4"."""
    word = _LABEL.search(label)
    if word is None:
        return ()
    series = series_of(label, word.start(), FAMILY_OF[word[1].lower()])
    return tuple((series, named.number) for named in numbers_at(label, word.end(), plural=True))


def series_of(text: str, start: int, family: str) -> str:
    """Returns the series of a name whose word begins at `start`: its family, after "supplementary " or the like."""
    before = text[max(0, start - _LONGEST_BEFORE) : start]
    if before[-1:] in " -–—.:(,;":
        for pattern, series in _SERIES:
            if pattern.search(before):
                return f"{series} {family}"
    return family


def is_foreign(text: str, start: int, end: int) -> bool:
    """Returns whether the words around a name, which stands from `start` to `end`, give it to another paper."""
    return _FOREIGN_AFTER.match(text, end) is not None or _is_said_before(_FOREIGN_BEFORE, text, start, end)


def _is_said_before(foreign: re.Pattern[str], text: str, start: int, end: int) -> bool:
    """Returns whether `foreign` ends where a name begins, but for "As in [12], Fig. 3 shows", this article's own."""
    found = foreign.search(text, max(0, start - _LONGEST_BEFORE), start)
    return found is not None and not (found[0].rstrip().endswith(",") and _SHOWS.match(text, end))


def is_tagged_foreign(text: str, start: int, end: int) -> bool:
    """Returns whether the words around cross-references give their figures to another paper all the same."""
    if text[end : end + 1] not in _CLOSING and _TAGGED_FOREIGN_AFTER.match(text, end):
        return True
    if start == 0 or text[start - 1] not in " :":  # as most, within brackets
        return False
    before = text[max(0, start - 2) : start]
    if before in _BEFORE_NUMBER:
        word = _WORD_AT_END.search(text, max(0, start - _LONGEST_BEFORE), start)
        if word is not None:
            start = word.start()
            before = text[max(0, start - 2) : start]
    return before.endswith(_BEFORE_FOREIGN) and _is_said_before(_TAGGED_FOREIGN_BEFORE, text, start, end)


def has_more_numbers(text: str) -> bool:
    """Returns whether `text`, which follows a number, goes on with another: "–4", "A and 5"."""
    return _MORE_NUMBERS.match(text) is not None


def numbers_at(text: str, start: int, *, plural: bool) -> Iterator[NamedNumber]:
    """Yields the numbers of one name from `start` on: "2A–C, 3 and 5–7" → 2, 3, 5, 6, 7.

    Args:
        text: what names the figures.
        start: where the first number begins.
        plural: whether the word says that there are several; if not, "Fig. 3, 12 patients" names only one.
    """
    item = _ITEM.match(text, start)
    closed = False  # by "and": "Figs. 1 and 2, 12 patients"
    while item is not None:
        number = _number(item)
        yield NamedNumber(item.start(), item.end(), number)
        joint = _JOINT.match(text, item.end())
        following = _ITEM.match(text, joint.end()) if joint else None
        if joint is None or following is None:
            return
        if joint["word"]:
            plural, closed = True, False
        elif (
            (not plural or (closed and not joint["and"]))
            and not joint["range"]
            and text[following.end() : following.end() + 1] not in _CLOSING
        ):
            return
        closed = closed or joint["and"] is not None
        if joint["range"]:
            for between in _between(number, _number(following)):
                yield NamedNumber(joint.start(), joint.start(), between)
        item = following


def _number(item: re.Match[str]) -> FigureNumber:
    letters, digits, supplement = item.groups()
    return FigureNumber(letters, f"{digits}/{supplement}" if supplement else digits)


def _between(first: FigureNumber, last: FigureNumber) -> Iterator[FigureNumber]:
    if last.letters in ("", first.letters) and first.digits.isdecimal() and last.digits.isdecimal():
        low, high = int(first.digits), int(last.digits)
        if high - low <= _LONGEST_RANGE:
            for number in range(low + 1, high):
                yield FigureNumber(first.letters, str(number))
