"""Root verbs in the inner ring, their direct nouns in the outer one (Figure 2 of the paper)."""

import math
from collections.abc import Mapping

from llavamed_data.charts import Drawing, hue, point

SIDE = 680.0

_CENTRE = (SIDE / 2, SIDE / 2)
_HOLE, _VERBS, _NOUNS = 78.0, 192.0, 332.0
_FIRST_HUE = 0.68
_LETTER = 0.56
"""Width of a letter as a share of its height, about."""


def sunburst(phrases: Mapping[str, Mapping[str, int]], title: str) -> Drawing:
    """Two rings; each piece is as wide as its count, and says its verb and noun where there is room for them.

    Args:
        phrases: verb → noun → count, as `top_phrases` gives them; both in the order in which they are drawn.
        title: what they are the verbs and nouns of.
    """
    drawing = Drawing(SIDE, SIDE, f"Root verbs and direct nouns of {title}")
    total = sum(sum(nouns.values()) for nouns in phrases.values())
    at = 0.0
    for index, (verb, nouns) in enumerate(phrases.items()):
        turn = _FIRST_HUE + index / len(phrases)
        count = sum(nouns.values())
        span = _share(at, count, total)
        drawing.arc(
            _CENTRE, (_HOLE, _VERBS), span, fill=hue(turn, 0.74, 0.115), hint=_hint(verb, "", count, total)
        )
        _label(drawing, verb, (_HOLE, _VERBS), span, bold=True)
        _nouns(drawing, verb, nouns, at, total, hue(turn, 0.86, 0.07))
        at += count
    drawing.text(*_CENTRE, title, size=17, bold=True, anchor="middle")
    if not total:
        drawing.text(SIDE / 2, SIDE / 2 + 26, "no verb with a direct noun", kind="muted", anchor="middle")
    return drawing


def _nouns(drawing: Drawing, verb: str, nouns: Mapping[str, int], at: float, total: int, fill: str) -> None:
    for noun, count in nouns.items():
        span = _share(at, count, total)
        drawing.arc(_CENTRE, (_VERBS, _NOUNS), span, fill=fill, hint=_hint(verb, noun, count, total))
        _label(drawing, noun, (_VERBS, _NOUNS), span)
        at += count


def _share(at: float, count: float, total: float) -> tuple[float, float]:
    return 2 * math.pi * at / total, 2 * math.pi * (at + count) / total


def _label(
    drawing: Drawing, word: str, radii: tuple[float, float], span: tuple[float, float], *, bold: bool = False
) -> None:
    """The word along the ray through the middle of its piece, as large as fits; none below ten pixels."""
    (inner, outer), angle = radii, sum(span) / 2
    middle = (inner + outer) / 2
    room = (span[1] - span[0]) * (inner + 14) if span[1] - span[0] < math.pi else outer - inner
    size = min(15.0, 0.82 * room, (outer - inner - 12) / (_LETTER * max(len(word), 1)))
    if size < 10:
        return
    turn = math.degrees(angle) - 90
    if angle > math.pi:
        turn += 180
    x, y = point(_CENTRE, middle, angle)
    drawing.text(x, y, word, size=size, kind="on", anchor="middle", bold=bold, turn=turn)


def _hint(verb: str, noun: str, count: int, total: int) -> str:
    return f"{verb} {noun}".strip() + f": {count:,} ({count / total:.1%} of those shown)"
