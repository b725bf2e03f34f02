"""Text as the authors' scoring normalises it before it compares words."""

import re
import unicodedata
from functools import lru_cache
from importlib.resources import files
from typing import Any

import yaml

_RULES: dict[str, Any] = yaml.safe_load(
    files(__package__).joinpath("normalise.yaml").read_text(encoding="utf-8")
)
_MARKS = tuple(_RULES["marks"])
_ANY_MARK = re.compile(f"[{re.escape(_RULES['marks'])}]")
_NUMBER_WORDS: dict[str, str] = _RULES["number_words"]
_ARTICLES = frozenset(_RULES["articles"])
_CONTRACTIONS = {whole.replace("'", ""): whole for whole in _RULES["contractions"]}
_DIGIT_COMMA_DIGIT = re.compile(r"\d,\d")
_PERIOD = re.compile(r"\.(?!\d)")

_FULL_WIDTH = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}
"""The full-width forms of ASCII characters, as Chinese texts have them."""

_SAME_MARKS: dict[int, int | str] = {
    **_FULL_WIDTH,
    **dict.fromkeys(map(ord, "’‘ʼ"), "'"),
    **dict.fromkeys(map(ord, "‐‑–−"), "-"),
}
_NOT_ASCII = re.compile(r"[^\x00-\x7f]")
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_SEPARATORS = str.maketrans(dict.fromkeys({*_RULES["marks"], *"*`~#:|"}, " "))
"""ASCII marks that stand between words, those of Markdown among them."""
_OUTER_QUOTE = re.compile(r"(?<!\w)'|'(?!\w)")
_MISSING_BLANK = re.compile(r"\.(?:\.+|(?:(?<=[^\W\d_]{2}\.)|(?<=\d\.))(?=[^\W\d_]))")
"""Full stops that end a sentence or number an item: those within abbreviations stand between single letters."""
_VARIATION_SELECTORS = frozenset(map(chr, range(0xFE00, 0xFE10)))
_IDEOGRAPH = re.compile("([\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff])")

_KEPT = 64
"""Texts whose words are kept, as an answer is looked at by several metrics, and references recur."""


@lru_cache(_KEPT)
def normalise(text: str) -> str:
    """The text in lower case, normalised as the authors' scoring does it; rules and source are in `normalise.yaml`.

    A mark that touches a blank anywhere in `text` is deleted everywhere in it, and every other mark becomes a blank.
    The words of the result are separated by one blank each.

    >>> normalise("T1-weighted, axial"), normalise("a - b T1-weighted")
    ('t1 weighted axial', 'b t1weighted')
    """
    text = text.lower()
    if _ANY_MARK.search(text):
        text = _without_marks(text)
    if "." in text:
        text = _PERIOD.sub("", text)
    words = [_NUMBER_WORDS.get(word, word) for word in text.split()]
    return " ".join([_CONTRACTIONS.get(word, word) for word in words if word not in _ARTICLES])


def strict_words(text: str) -> list[str]:
    """The words of a text for the strict metrics: normalised, without Markdown, quotes and any punctuation.

    Unlike in the authors' scoring, a mark separates words wherever it stands, and what it does to one word does not
    depend on the rest of the text. Chinese and Japanese characters, between which there are no blanks, are words by
    themselves.

    >>> strict_words("**Yes**—it is."), strict_words("- T1-weighted"), strict_words("是的。")
    (['yes', 'it', 'is'], ['t1', 'weighted'], ['是', '的'])
    """
    return list(_strict_words(text))


@lru_cache(_KEPT)
def _strict_words(text: str) -> tuple[str, ...]:
    is_ascii = text.isascii()
    if not is_ascii:
        text = plain_marks(text)
    if "," in text:
        text = _THOUSANDS.sub("", text)
    text = text.translate(_SEPARATORS)
    if not is_ascii:
        text = _NOT_ASCII.sub(_plain_character, text)
    if "'" in text:
        text = _OUTER_QUOTE.sub(" ", text)
    if "." in text:
        text = _MISSING_BLANK.sub(" ", text)
    return tuple(normalise(text if is_ascii else _IDEOGRAPH.sub(r" \1 ", text)).split())


def plain_marks(text: str) -> str:
    """The text with full-width forms, apostrophes and hyphens as ASCII has them."""
    return text if text.isascii() else text.translate(_SAME_MARKS)


def fold_case(text: str) -> str:
    """The text in lower case, as `re.IGNORECASE` takes its letters.

    To look in it for a word without which a pattern cannot match is much faster than to search for the pattern.
    """
    return text.replace("ſ", "s").replace("ı", "i").replace("İ", "i").lower()


def _plain_character(found: re.Match[str]) -> str:
    character = found[0]
    category = unicodedata.category(character)
    if category == "Cf" or character in _VARIATION_SELECTORS:  # invisible, such as a byte order mark
        return ""
    return " " if category[0] == "P" or category in ("So", "Sm", "Sk") else character


def _without_marks(text: str) -> str:
    """Whether a mark touches a blank is seen in the original text, not in what earlier replacements left of it."""
    thousands = "," in text and _DIGIT_COMMA_DIGIT.search(text) is not None
    left = text
    for mark in _MARKS:
        if mark in left:
            touches = thousands or f"{mark} " in text or f" {mark}" in text
            left = left.replace(mark, "" if touches else " ")
    return left
