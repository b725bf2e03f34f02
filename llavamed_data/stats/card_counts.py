"""What a card states of the making of its set: the tables of stations and of cleaning rules, read back."""

import re
from collections.abc import Iterator
from html import unescape
from typing import NamedTuple

_ESCAPED = re.compile(r"\\([\\`*_\[\]|~#])")
_CELL_BREAK = re.compile(r"(?<!\\)\|")


class StationLine(NamedTuple):
    """What one station did, as its card puts it: `extract (articles)`, 28, 25, `2 retracted, 1 no XML`."""

    station: str
    entered: int
    kept: int
    dropped: str


def counts_of_card(text: str) -> tuple[list[StationLine], dict[str, int]]:
    """The stations and the rounds that each cleaning rule touched; empty where the card has no such table."""
    stations = [
        StationLine(name, _number(entered), _number(kept), dropped)
        for name, entered, kept, dropped in _rows(text, ("station", "in", "kept", "dropped"))
    ]
    rules = {rule: _number(touched) for rule, touched in _rows(text, ("cleaning rule", "rounds touched"))}
    return stations, rules


def _rows(text: str, heading: tuple[str, ...]) -> Iterator[list[str]]:
    """The cells of each line of the first table that begins with `heading`."""
    lines = iter(text.splitlines())
    for line in lines:
        if _cells(line) == list(heading):
            next(lines, None)
            for row in lines:
                cells = _cells(row)
                if len(cells) != len(heading):
                    return
                yield cells


def _cells(line: str) -> list[str]:
    if not (line.startswith("|") and line.rstrip().endswith("|")):
        return []
    parts = _CELL_BREAK.split(line.strip())[1:-1]
    return [unescape(_ESCAPED.sub(r"\1", part.strip())) for part in parts]


def _number(cell: str) -> int:
    digits = cell.replace(",", "")
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 19 else 0
