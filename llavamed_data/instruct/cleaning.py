"""Takes out of a conversation what betrays that it was written from a text: the rules of `cleaning.yaml`."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Literal

import yaml

from llavamed_data.instruct.conversation import Turn

LEAKING_SENTENCE = "leaking_sentence"
LEAKING_TURN = "leaking_turn"

_SENTENCE_START = r"(?:(?<=\A)|(?<=[.!?]\s)|(?<=[.!?][\"”)]\s)|(?<=\n))"
_SENTENCE_END = re.compile(
    r"(?<=[.!?])(?<!\b[A-Z]\.)(?<!\be\.g\.)(?<!\bi\.e\.)(?<!\b[vV]s\.)\s+(?=[A-Z\"“(])|\n+"
)


@dataclass(frozen=True, slots=True)
class Example:
    """What a rule does to a text; `after` is None where the round goes."""

    before: str
    after: str | None


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of `cleaning.yaml`.

    Attributes:
        name: as summaries count it.
        kind: `drop_turn`, `cut_opening` or `cut_aside`.
        sides: which sides of a round it looks at, `question` and `answer`.
        pattern: what it looks for.
        mend: template of what takes the place of the cut.
        example: before and after.
    """

    name: str
    kind: Literal["drop_turn", "cut_opening", "cut_aside"]
    sides: frozenset[str]
    pattern: re.Pattern[str]
    mend: str
    example: Example

    def apply(self, text: str) -> str | None:
        """`text` without what the rule is against; None where the round goes."""
        if self.kind == "drop_turn":
            return None if self.pattern.search(text) else text
        cut = _cut_opening if self.kind == "cut_opening" else _cut_aside
        return cut(self.pattern, self.mend, text)


@dataclass(frozen=True, slots=True)
class Touch:
    """A rule touched one side of one round.

    Attributes:
        turn: position of the round before cleaning, from 0.
        side: `question` or `answer`.
        rule: the rule's name.
        before: the side's text before.
        after: the text after; None where the round went.
    """

    turn: int
    side: str
    rule: str
    before: str
    after: str | None


@dataclass(frozen=True, slots=True)
class Cleaned:
    """Rounds after cleaning, and everything that was done to them."""

    turns: tuple[Turn, ...]
    touches: tuple[Touch, ...]

    @property
    def rules(self) -> Mapping[str, int]:
        """Rule → how many times it touched the conversation, in alphabetical order."""
        return dict(sorted(Counter(touch.rule for touch in self.touches).items()))


def clean(turns: Iterable[Turn]) -> Cleaned:
    """Applies every rule to every round until none finds anything; the result leaks nothing.

    >>> clean([("What is it?", "Based on the caption, it is a cyst.")]).turns
    (('What is it?', 'It is a cyst.'),)
    """
    kept: list[Turn] = []
    touches: list[Touch] = []
    for position, turn in enumerate(turns):
        sides: list[str] = []
        for side, text in zip(("question", "answer"), turn, strict=True):
            cleaned = _clean_side(text, side, lambda *touch: touches.append(Touch(*touch)), position)
            if cleaned is None:
                break
            sides.append(cleaned)
        else:
            kept.append((sides[0], sides[1]))
    return Cleaned(tuple(kept), tuple(touches))


def _clean_side(text: str, side: str, touched: Callable[..., None], position: int) -> str | None:
    """`text` after all rules, or None where its round goes; `touched` hears of every change."""
    changed = True
    while changed:
        changed = False
        for rule in rules():
            if side not in rule.sides:
                continue
            after = rule.apply(text)
            if after == text:
                continue
            after = (after and after.strip()) or None
            touched(position, side, rule.name, text, after)
            if after is None:
                return None
            text, changed = after, True
    if not leaks(text):
        return text
    rest = _without_leaking_sentences(text) if side == "answer" else None
    touched(position, side, LEAKING_SENTENCE if rest else LEAKING_TURN, text, rest)
    return rest


def leaks(text: str) -> list[str]:
    """What in `text` points to the text that it was written from, as named in `cleaning.yaml`; empty is well.

    >>> leaks("The caption says so."), leaks("The image shows it.")
    (['caption'], [])
    """
    return [name for name, pattern in _leak_patterns().items() if pattern.search(text)]


def rules_version() -> str:
    """The version of the rules, for provenance."""
    version: str = _document()["version"]
    return version


@cache
def rules() -> tuple[Rule, ...]:
    """The rules in the order in which they are tried."""
    document = _document()
    words: dict[str, str] = document["words"]
    return tuple(_rule(entry, words) for entry in document["rules"])


def _rule(entry: Mapping[str, Any], words: Mapping[str, str]) -> Rule:
    pattern = entry["pattern"].format(**words)
    if entry["kind"] == "cut_opening":
        pattern = _SENTENCE_START + pattern
    sides = [entry["in"]] if "in" in entry else ["question", "answer"]
    example = entry["example"]
    return Rule(
        name=entry["name"],
        kind=entry["kind"],
        sides=frozenset(sides),
        pattern=re.compile(pattern, re.IGNORECASE),
        mend=entry.get("mend", ""),
        example=Example(example["before"], example.get("after")),
    )


@cache
def _document() -> Mapping[str, Any]:
    source = resources.files("llavamed_data.instruct").joinpath("cleaning.yaml")
    document: Mapping[str, Any] = yaml.safe_load(source.read_text(encoding="utf-8"))
    return document


@cache
def _leak_patterns() -> Mapping[str, re.Pattern[str]]:
    return {name: re.compile(pattern, re.IGNORECASE) for name, pattern in _document()["leaks"].items()}


def _cut_opening(pattern: re.Pattern[str], mend: str, text: str) -> str:
    for match in reversed(list(pattern.finditer(text))):
        put, rest = match.expand(mend), text[match.end() :]
        text = text[: match.start()] + (put + rest if put else _sentence_case(rest))
    return text


def _sentence_case(rest: str) -> str:
    # A word with a capital or a digit in it (pH, p53, mRNA) is written as it is.
    word = re.match(r"[a-z]+(?![a-z]*[A-Z\d])", rest)
    return rest[:1].upper() + rest[1:] if word else rest


def _cut_aside(pattern: re.Pattern[str], mend: str, text: str) -> str:
    for match in reversed(list(pattern.finditer(text))):
        start, end = match.span()
        put = match.expand(mend)
        put = _sentence_case(put) if text[start].isupper() else put
        text = text[:start] + put + text[end:] if put else _without(text, start, end)
    return text


def _without(text: str, start: int, end: int) -> str:
    """`text` without `start:end`, and without the marks that set it off."""
    before, after = text[:start].rstrip(" "), text[end:].lstrip(" ")
    opened = before[-1:]
    if opened in "([" and after[:1] in (")", "]"):
        before, after = before[:-1].rstrip(" "), after[1:].lstrip(" ")
    elif opened and opened in ",;–—":
        before = before[:-1].rstrip(" ")
        if after[:1] and after[0] in ",–—":
            after = after[1:].lstrip(" ")
    if not before or before.endswith("\n") or before[-1] in ".!?":
        after = _sentence_case(after.lstrip(",;: ")) if after.strip(",;: ") else ""
    glue = "" if not before or before.endswith(("\n", "(", "[")) or after[:1] in tuple(",.;:!?)]\n") else " "
    return before + (glue if after else "") + after


def _without_leaking_sentences(text: str) -> str | None:
    """`text` without the sentences that leak; None where the first one leaks, for the rest leans on it."""
    spans: Sequence[tuple[int, int]] = _sentence_spans(text)
    if leaks(text[slice(*spans[0])]):
        return None
    kept = "".join(text[start:end] for start, end in spans if not leaks(text[start:end])).rstrip()
    return None if leaks(kept) else kept


def _sentence_spans(text: str) -> list[tuple[int, int]]:
    ends = [match.end() for match in _SENTENCE_END.finditer(text)]
    starts = [0, *ends]
    return [(start, end) for start, end in zip(starts, [*ends, len(text)], strict=True) if start < end]
