"""Does a caption mark panels? The paper keeps figures "that only contain a single plot" (section 3).

The marks are in `panel_marks.yaml`. A single letter proves nothing ("aorta (A)", "(C) 2010", "vitamin A"): two that
follow each other do.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any

import yaml

from llavamed_data.figures.domains import READ_CHARACTERS

_PLAIN = str.maketrans(dict.fromkeys("‐‑‒–—−", "-"))
_NUMERALS = {"i": "a", "ii": "b", "iii": "c", "iv": "d", "v": "e"}
_LONGEST_SPAN = 11
"""Letters between the first and the last of a span: A-L are panels, A-P is anteroposterior."""

_NO_SPANS = frozenset({"lr", "hl"})
"""Left–right and head–leg: directions written like spans."""


@dataclass(frozen=True, slots=True)
class _Marks:
    letters: Sequence[re.Pattern[str]]
    numerals: Sequence[re.Pattern[str]]
    spans: Sequence[re.Pattern[str]]
    words: re.Pattern[str]


def caption_is_single_plot(caption: str) -> bool:
    """True if nothing in `caption` marks panels.

    >>> caption_is_single_plot("Axial CT (a) before and (b) after treatment.")
    False
    >>> caption_is_single_plot("Axial CT shows the aorta (A) and vitamin B deposits.")
    True
    """
    marks = _marks()
    plain = " ".join(caption[:READ_CHARACTERS].translate(_PLAIN).split())
    return not (
        marks.words.search(plain)
        or any(_is_span(first, last) for first, last in _spans(marks.spans, plain))
        or _follow(_found(marks.letters, plain))
        or _follow(_NUMERALS[numeral.lower()] for numeral in _found(marks.numerals, plain))
    )


def _found(patterns: Iterable[re.Pattern[str]], text: str) -> Iterator[str]:
    return (hit[1] for pattern in patterns for hit in pattern.finditer(text))


def _spans(patterns: Iterable[re.Pattern[str]], text: str) -> Iterator[tuple[str, str]]:
    return ((hit[1], hit[2]) for pattern in patterns for hit in pattern.finditer(text))


def _follow(letters: Iterable[str]) -> bool:
    found = set(letters)
    return {"a", "b"} <= found or {"A", "B"} <= found


def _is_span(first: str, last: str) -> bool:
    alike = first.isupper() == last.isupper()
    return alike and 0 < ord(last) - ord(first) <= _LONGEST_SPAN and (first + last).lower() not in _NO_SPANS


@lru_cache(maxsize=1)
def _marks() -> _Marks:
    raw: dict[str, Any] = yaml.safe_load(files(__package__).joinpath("panel_marks.yaml").read_text("utf-8"))

    def compiled(name: str) -> list[re.Pattern[str]]:
        return [re.compile(entry["says"], re.VERBOSE) for entry in raw[name]]

    words = "|".join(f"(?:{entry['says']})" for entry in raw["words"])
    return _Marks(
        compiled("letters"),
        compiled("numerals"),
        compiled("spans"),
        re.compile(words, re.VERBOSE | re.IGNORECASE),
    )
