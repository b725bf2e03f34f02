"""Finds where sentences of biomedical prose end, by rule, and only as far as somebody asks.

The rules look at the word before the stop and at the word after it; the words themselves are in
`sentences.yaml`. Text is expected on one line with single spaces; any other white space is a character like the
rest.
"""

import re
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
_ABBREVIATIONS = _NEVER_END | _BEFORE_NUMBER | _MAY_END
_OPENERS, _UNITS, _IN_CAPITALS = _WORDS["openers"], _WORDS["units"], _WORDS["in_capitals"]

_OPENING = "([{“‘\"'«‹¿¡"
_REFERENCE = r"""[(\[] (?: (?i:please[ ])? (?i:see|cf\.?|compare|refer(?:[ ]to)?|as[ ]in
            |(?:as[ ])?(?:shown|seen|depicted|illustrated)[ ]in|e\.g\.,?) [ ] (?:also[ ])? )?
        (?: (?i:suppl\w*\.?|extended[ ]data|supporting|online) [ ] )?
        (?i:figs?|figures?|tables?|tabs?|schemes?|plates?|refs?|eqs?|movies?|videos?) \b"""
_IS_REFERENCE = re.compile(_REFERENCE, re.VERBOSE)
_STOP = re.compile(
    r"""[.!?][.!?]*  # not "+": a set in front lets the engine skip ahead
        ["”’'»)\]]*
        (?: [\d⁰¹²³⁴-⁹]{1,3} (?:[,–-]\d{1,3})* | [ ]?\[\d[\d,;–\- ]*\]  # references after it: "disease.12 The"
          | [ ]? <reference> [^()\[\]]{0,80} [)\]] )?  # of the sentence before: "was seen. (See Fig. 3) The"
        [ ]+
        (?= [(\[{“‘"'«‹¿¡]* (?: [^\W_a-z] | [a-z]+-?[A-Z\d] | [#~≥≤<>±−$*†‡§] ) )  # "The", "5", "mRNA", not "and"
    """.replace("<reference>", _REFERENCE),
    re.VERBOSE,
)
_LAST_PART = re.compile(r"[^–—−/(\[:;,=]*$")
_AFTER_NUMBER = re.compile(r"\d[)\]%]?\s$")
_BETWEEN_INITIALS = re.compile(r"[.-]+")
_LONGEST_BRACKET = 300
_SHORTEST_PLAIN_WORD = 5
_REACH = 250
"""Characters before an offset within which its sentence mostly begins; where it does not, all is looked at."""


def split_sentences(text: str) -> list[str]:
    """Returns the sentences of `text` in order, each stripped; together they hold every character but spaces."""
    ends = [stop.end() for stop in _STOP.finditer(text) if _is_end(text, stop)]
    sentences = (text[start:end].strip() for start, end in zip([0, *ends], [*ends, len(text)], strict=True))
    return [sentence for sentence in sentences if sentence]


def sentences_at(text: str, offsets: Iterable[int]) -> list[str]:
    """Returns the sentence of `split_sentences` around each of `offsets`, without splitting all of the text."""
    sentences: list[str] = []
    sentence, start, end = "", 0, -1
    for offset in offsets:
        if not start <= offset < end:
            start, end = _span_at(text, offset, floor=end if 0 <= end <= offset else 0)
            sentence = text[start:end].strip()
        sentences.append(sentence)
    return sentences


def _span_at(text: str, offset: int, *, floor: int) -> tuple[int, int]:
    """Returns where the sentence around `offset` begins and ends; `floor` is where one begins, not after it."""
    reach = max(floor, text.rfind(" ", 0, max(0, offset - _REACH)) + 1)
    before: list[re.Match[str]] = []
    end = len(text)
    for stop in _STOP.finditer(text, reach):
        if stop.end() <= offset:
            before.append(stop)
        elif _is_end(text, stop):
            end = stop.end()
            break
    for stop in reversed(before):
        if _is_end(text, stop):
            return stop.end(), end
    for stop in _STOP.finditer(text, floor) if reach > floor else ():
        if stop.end() > offset:
            break
        if _is_end(text, stop):
            floor = stop.end()
    return floor, end


def _is_end(text: str, stop: re.Match[str]) -> bool:
    start, end = stop.span()
    space = text.find(" ", end)
    following = (text[end:space] if space >= 0 else text[end:]).lstrip(_OPENING)
    if following[:1].islower() and (text[start] != "." or (following.islower() and following.isalpha())):
        return False
    if text[end] in "([" and _IS_REFERENCE.match(text, end):
        return False  # "was seen. (Fig. 3)": said of the sentence before
    word_start = text.rfind(" ", 0, start) + 1
    word = text[word_start:start].lstrip(_OPENING)
    if text[start] == "." and not _word_may_end(word, following, text, word_start):
        return False
    if word[-1:].isdigit():
        if text[start + 1].isdigit():
            return False  # a decimal number, not a reference after the stop
        if len(word) < 3 and word.isdecimal() and _is_list_number(text, word_start):
            return False
    elif text[start + 1] == ")" and _is_abbreviation_in_brackets(text, start, word, following):
        return False
    return not _is_within_brackets(text, start, end)


def _word_may_end(word: str, following: str, text: str, word_start: int) -> bool:
    """Returns whether a full stop after `word` may end a sentence where `following` is the next word."""
    lower = word.lower()
    if lower.isalnum():
        if len(word) > 1 and lower not in _ABBREVIATIONS:  # most words
            return True
        if len(word) > 1 and word.isupper() and word not in _IN_CAPITALS:
            return True
    else:
        lower = _last_part(word)
    if lower in _NEVER_END:
        return False
    if lower in _BEFORE_NUMBER and following[:1].isdigit():
        return False
    if lower in _MAY_END or (len(word) == 1 and word.isalpha()) or ("." in word and _is_initials(word)):
        if following.rstrip(",;:") in _OPENERS:
            return True
        is_unit = word in _UNITS and _AFTER_NUMBER.search(text, max(0, word_start - 3), word_start)
        return bool(is_unit) and following[:1].isupper() and following[1:2].isalpha()
    return True


def _is_abbreviation_in_brackets(text: str, start: int, word: str, following: str) -> bool:
    """Returns whether the stop is of the last word in brackets within a sentence: "(Lehm. & Lindenb.) Mont."."""
    if not word.isalpha() or (word.islower() and len(word) >= _SHORTEST_PLAIN_WORD):
        return False
    first = max(0, start - _LONGEST_BRACKET)
    opened, depth = start, 1
    while depth and opened > first:
        opened -= 1
        depth += {")": 1, "(": -1}.get(text[opened], 0)
    within_sentence = depth == 0 and text[max(0, opened - 2) : opened].rstrip()[-1:] not in (
        ".",
        "!",
        "?",
        "",
    )
    return within_sentence and following.rstrip(",;:") not in _OPENERS


def _is_initials(word: str) -> bool:
    return all(len(part) == 1 and part.isalpha() for part in _BETWEEN_INITIALS.split(word))


def _is_list_number(text: str, start: int) -> bool:
    """Returns whether the number at `start` begins the text or a sentence: "1. Patients", not "Fig. 1. Patients"."""
    before = text[max(0, start - 40) : start].rstrip()
    return not before or (
        before[-1] in ".;:" and _last_part(before[before.rfind(" ") + 1 : -1]) not in _ABBREVIATIONS
    )


def _last_part(word: str) -> str:
    """Returns `word` in small letters, without what a dash or the like parts from an abbreviation: "projection–Fig"."""
    lower = word.lower()
    if lower.isalnum() or (part := _LAST_PART.search(lower)) is None:
        return lower
    after_hyphen = word[part.start() :].rpartition("-")[2]
    is_acronym = after_hyphen.isupper() and after_hyphen not in _IN_CAPITALS  # "HLA-DR."
    return after_hyphen.lower() if after_hyphen.lower() in _NEVER_END and not is_acronym else part[0]


def _is_within_brackets(text: str, start: int, end: int) -> bool:
    """Returns whether the stop stands inside a bracket that opened shortly before and closes shortly after."""
    opened = text.rfind("(", max(0, start - _LONGEST_BRACKET), start)
    if opened < 0 or text.rfind(")", opened, end) >= 0:
        return False
    closed = text.find(")", end, end + _LONGEST_BRACKET)
    return closed >= 0 and text.find("(", end, closed) < 0
