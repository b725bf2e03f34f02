"""Where sentences of biomedical prose end: by rule, and only as far as somebody asks.

The rules look at the word before the stop and at the word after it; the words themselves are in
`sentences.yaml`. Text is expected on one line with single spaces; any other white space is a character like the
rest.
"""

import re
from bisect import bisect_right
from collections.abc import Iterable
from importlib.resources import files

import yaml

_WORDS = {
    rule: frozenset(entry["words"])
    for rule, entry in yaml.safe_load(
        files(__package__).joinpath("sentences.yaml").read_text("utf-8")
    ).items()
}
_NEVER_END, _BEFORE_NUMBER, _MAY_END = _WORDS["never_end"], _WORDS["before_number"], _WORDS["may_end"]
_OPENERS = _WORDS["openers"]

_OPENING = "([{“‘\"'«‹¿¡"
_STOP = re.compile(
    r"""[.!?…]+
        ["”’'»)\]]*
        (?: \d{1,3} (?:[,–-]\d{1,3})* | [ ]?\[\d[\d,;–\- ]*\] )?  # references set after the stop: "disease.12 The"
        [ ]""",
    re.VERBOSE,
)


def split_sentences(text: str) -> list[str]:
    """The sentences of `text` in order, each stripped; together they hold every character but spaces."""
    ends = [match.end() for match in _STOP.finditer(text) if _is_end(text, match)]
    sentences = (text[start:end].strip() for start, end in zip([0, *ends], [*ends, len(text)], strict=True))
    return [sentence for sentence in sentences if sentence]


def sentences_at(text: str, offsets: Iterable[int]) -> list[str]:
    """The sentence around each of `offsets`: what `split_sentences` gives, at the cost of the stops nearby."""
    stops = list(_STOP.finditer(text))
    ends = [stop.end() for stop in stops]
    sentences = []
    for offset in offsets:
        first = following = bisect_right(ends, offset)
        while first > 0 and not _is_end(text, stops[first - 1]):
            first -= 1
        while following < len(stops) and not _is_end(text, stops[following]):
            following += 1
        start = ends[first - 1] if first else 0
        end = ends[following] if following < len(stops) else len(text)
        sentences.append(text[start:end].strip())
    return sentences


def _is_end(text: str, stop: re.Match[str]) -> bool:
    start, end = stop.span()
    following = text[end : text.find(" ", end) if " " in text[end : end + 40] else end + 40].lstrip(_OPENING)
    first = following[:1]
    if not (first.isalnum() or first in "#~≥≤<>±−$%*†‡§"):
        return False
    if first.islower() and (following.isalpha() and following.islower() or text[start] in "…!?"):
        return False
    word_start = text.rfind(" ", 0, start) + 1
    word = text[word_start:start].lstrip(_OPENING)
    mark = stop.group()
    if word and mark[1:2].isdigit() and word[-1].isdigit():
        return False  # a decimal number, not a reference after the stop
    if mark[0] == "." and not _word_may_end(word, following):
        return False
    if not word.strip("0123456789") and len(word) < 3 and (word_start == 0 or text[word_start - 2] in ".;:"):
        return False  # "1. Patients": the number of a list
    return not _within_brackets(text, start, end)


def _word_may_end(word: str, following: str) -> bool:
    lower = word.lower()
    if lower in _NEVER_END:
        return False
    if lower in _BEFORE_NUMBER and following[:1].isdigit():
        return False
    if lower in _MAY_END or (len(word) == 1 and word.isalpha()) or _is_initials(word):
        return following.rstrip(",;:") in _OPENERS
    return True


def _is_initials(word: str) -> bool:
    return "." in word and all(len(part) == 1 and part.isalpha() for part in re.split("[.-]", word))


def _within_brackets(text: str, start: int, end: int) -> bool:
    """Whether the stop stands inside a bracket that opened shortly before and closes shortly after."""
    if text.rfind("(", max(0, start - 300), start) <= text.rfind(")", max(0, start - 300), end):
        return False
    close = text.find(")", end, end + 300)
    return close >= 0 and text.find("(", end, close) < 0
