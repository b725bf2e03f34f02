"""Cleans conversations of what gives away that they were written from a text, by the rules in `cleaning.yaml`.

A user's own rules, in a file of the same form, may be added to them.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

import yaml

from llavamed_data.errors import LlavaMedError, UsageError, one_line
from llavamed_data.instruct.conversation import Round
from llavamed_data.io.regular_files import require_settings_file

LEAKING_SENTENCE = "leaking_sentence"
LEAKING_ROUND = "leaking_turn"
"""Names, beside those of the rules, under which sentences and rounds are counted that no rule could clean."""

_KINDS = ("drop_round", "cut_opening", "cut_aside")
_KEYS = frozenset({"name", "kind", "in", "pattern", "replacement", "note", "example"})
_MOST_EDITS = 1000
"""More changes of one text than this: two rules undo each other, or one makes the text longer each time."""

_SENTENCE_START = r"(?:(?<=\A)|(?<=[.!?]\s)|(?<=[.!?][\"”)]\s)|(?<=\n))"
_SENTENCE_END = re.compile(
    r"(?<=[.!?])(?<!\b[A-Z]\.)(?<!\be\.g\.)(?<!\bi\.e\.)(?<!\b[vV]s\.)\s+(?=[A-Z\"“(])|\n+"
)


@dataclass(frozen=True, slots=True)
class RuleExample:
    """A text before and after a rule; `after` is None if the round is dropped."""

    before: str
    after: str | None


@dataclass(frozen=True, slots=True)
class CleaningRule:
    """One rule of `cleaning.yaml`, or of a file of the same form.

    Attributes:
        name: the name under which its changes are counted.
        kind: `drop_round`, `cut_opening` or `cut_aside`.
        sides: the sides of a round that it applies to, `question` and `answer`.
        pattern: what it looks for.
        replacement: template of what replaces the words that are cut.
        example: a text before and after.
    """

    name: str
    kind: Literal["drop_round", "cut_opening", "cut_aside"]
    sides: frozenset[str]
    pattern: re.Pattern[str]
    replacement: str
    example: RuleExample

    def apply(self, text: str) -> str | None:
        """The text after the rule; None if its round is to be dropped."""
        if self.kind == "drop_round":
            return None if self.pattern.search(text) else text
        cut = _cut_opening if self.kind == "cut_opening" else _cut_aside
        return cut(self.pattern, self.replacement, text)


@dataclass(frozen=True, slots=True)
class CleaningRules:
    """Rules in the order in which they are tried.

    Attributes:
        rules: the packaged rules, then a user's own.
        version: the version of the packaged rules; with own rules, followed by `+` and the first digits of their
            file's SHA-256.
    """

    rules: tuple[CleaningRule, ...]
    version: str


@dataclass(frozen=True, slots=True)
class CleaningEdit:
    """A change that a rule made to one side of one round.

    Attributes:
        round_index: position of the round before cleaning, from 0.
        side: `question` or `answer`.
        rule: name of the rule.
        before: the side's text before.
        after: the text after; None if the round was dropped.
    """

    round_index: int
    side: str
    rule: str
    before: str
    after: str | None


@dataclass(frozen=True, slots=True)
class Cleaned:
    """The rounds that are left after cleaning, and every change that was made."""

    rounds: tuple[Round, ...]
    edits: tuple[CleaningEdit, ...] = ()

    @property
    def rule_counts(self) -> Mapping[str, int]:
        """Rule → how many changes it made, in alphabetical order."""
        return dict(sorted(Counter(edit.rule for edit in self.edits).items()))


def clean(rounds: Iterable[Round], rules: CleaningRules | None = None) -> Cleaned:
    """Applies every rule to every round until none applies any more; nothing in the result leaks the text.

    Args:
        rounds: the rounds of a conversation.
        rules: what `load_cleaning_rules` returns; the packaged rules by default.

    Raises:
        LlavaMedError: rules of a user's own change a text again and again.

    >>> clean([("What is it?", "Based on the caption, it is a cyst.")]).rounds
    (('What is it?', 'It is a cyst.'),)
    """
    rules = rules or load_cleaning_rules()
    kept: list[Round] = []
    edits: list[CleaningEdit] = []
    for index, sides in enumerate(rounds):
        cleaned: list[str] = []
        for side, text in zip(("question", "answer"), sides, strict=True):
            changes = list(_clean_side(text, side, index, rules))
            edits += changes
            after = changes[-1].after if changes else text
            if after is None:
                break
            cleaned.append(after)
        else:
            kept.append((cleaned[0], cleaned[1]))
    return Cleaned(tuple(kept), tuple(edits))


def find_leaks(text: str) -> list[str]:
    """The names, as in `cleaning.yaml`, of what in `text` points to the text that it was written from; empty if none.

    >>> find_leaks("The caption says so."), find_leaks("The image shows it.")
    (['caption'], [])
    """
    return [name for name, pattern in _leak_patterns().items() if pattern.search(text)]


def load_cleaning_rules(own: Path | None = None) -> CleaningRules:
    """Loads the packaged rules and, to be tried after them, those of a user's own file.

    Args:
        own: a YAML file with a list `rules` as in `cleaning.yaml`, whose `words` its patterns may use. Each rule is
            tried on the example that it states.

    Raises:
        UsageError: the file cannot be read, or a rule is faulty or does not do what its example states.
    """
    packaged = _packaged_rules()
    if own is None:
        return packaged
    try:
        require_settings_file(own)
        content = own.read_bytes()
        entries = yaml.safe_load(content)["rules"]
    except OSError as error:
        raise UsageError(f"the cleaning rules {own} cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise UsageError(f"{own} holds no list of cleaning rules, `rules: […]`: {one_line(error)}") from error
    rules = {rule.name: rule for rule in packaged.rules}
    for number, entry in enumerate(entries, 1):
        try:
            rule = _own_rule(entry)
            if rule.name in rules:
                raise ValueError("another rule has this name")
        except (KeyError, IndexError, TypeError, ValueError, AttributeError, re.error) as error:
            named = f" ({entry['name']})" if isinstance(entry, dict) and "name" in entry else ""
            what = f"{error} is missing" if isinstance(error, KeyError) else one_line(error)
            raise UsageError(f"{own}, cleaning rule {number}{named}: {what}") from error
        rules[rule.name] = rule
    digest = hashlib.sha256(content).hexdigest()[:12]
    return CleaningRules(tuple(rules.values()), f"{packaged.version}+{digest}")


@cache
def _packaged_rules() -> CleaningRules:
    document = _document()
    return CleaningRules(
        tuple(_rule(entry, document["words"]) for entry in document["rules"]), document["version"]
    )


def _own_rule(entry: Mapping[str, Any]) -> CleaningRule:
    """A rule that does what its example states; raises ValueError, KeyError and the like where it does not."""
    if unknown := sorted(map(str, set(entry) - _KEYS)):
        raise ValueError(f"a rule has no {', '.join(unknown)}, only {', '.join(sorted(_KEYS))}")
    if entry["kind"] not in _KINDS or entry.get("in", "answer") not in ("question", "answer"):
        raise ValueError(f"kind must be one of {', '.join(_KINDS)}, in must be question or answer")
    rule = _rule(entry, _document()["words"])
    before, stated = rule.example.before, rule.example.after
    after = rule.apply(before)
    if after != stated or before == stated:
        raise ValueError(f"its example becomes {after!r}, not {stated!r}")
    if after is not None and rule.apply(after) != after:
        raise ValueError("it changes what it has changed again, without an end")
    return rule


def _rule(entry: Mapping[str, Any], words: Mapping[str, str]) -> CleaningRule:
    pattern = entry["pattern"].format(**words)
    if entry["kind"] == "cut_opening":
        pattern = _SENTENCE_START + pattern
    sides = [entry["in"]] if "in" in entry else ["question", "answer"]
    example = entry["example"]
    return CleaningRule(
        name=entry["name"],
        kind=entry["kind"],
        sides=frozenset(sides),
        pattern=re.compile(pattern, re.IGNORECASE),
        replacement=entry.get("replacement", ""),
        example=RuleExample(example["before"], example.get("after")),
    )


@cache
def _document() -> Any:
    return yaml.safe_load(files(__package__).joinpath("cleaning.yaml").read_text(encoding="utf-8"))


@cache
def _leak_patterns() -> Mapping[str, re.Pattern[str]]:
    return {name: re.compile(pattern, re.IGNORECASE) for name, pattern in _document()["leaks"].items()}


def _clean_side(text: str, side: str, index: int, rules: CleaningRules) -> Iterator[CleaningEdit]:
    """Yields the changes that turn one side of a round into its clean form, one after the other."""
    changed, edits = True, 0
    while changed:
        changed = False
        for rule in rules.rules:
            if side not in rule.sides:
                continue
            after = rule.apply(text)
            if after == text:
                continue
            after = (after and after.strip()) or None
            yield CleaningEdit(index, side, rule.name, text, after)
            if after is None:
                return
            text, changed, edits = after, True, edits + 1
            if edits > _MOST_EDITS:
                raise LlavaMedError(
                    f"the cleaning rule {rule.name} changes a text again and again, by itself or against another: "
                    "change its pattern, and rerun the same command; finished work is kept"
                )
    if find_leaks(text):
        rest = _without_leaking_sentences(text) if side == "answer" else None
        yield CleaningEdit(index, side, LEAKING_SENTENCE if rest else LEAKING_ROUND, text, rest)


def _without_leaking_sentences(text: str) -> str | None:
    """The sentences that do not leak; None if the first one does, as the others build on it, or if none is left."""
    ends = [match.end() for match in _SENTENCE_END.finditer(text)]
    sentences = [
        text[start:end] for start, end in zip([0, *ends], [*ends, len(text)], strict=True) if start < end
    ]
    if find_leaks(sentences[0]):
        return None
    kept = "".join(sentence for sentence in sentences if not find_leaks(sentence)).rstrip()
    return None if find_leaks(kept) else kept


def _cut_opening(pattern: re.Pattern[str], replacement: str, text: str) -> str:
    """Cuts the opening of each sentence that has one; the next word is then written as the start of a sentence."""
    for match in reversed(list(pattern.finditer(text))):
        put, rest = match.expand(replacement), text[match.end() :]
        text = text[: match.start()] + (put + rest if put else _sentence_case(rest))
    return text


def _cut_aside(pattern: re.Pattern[str], replacement: str, text: str) -> str:
    """Cuts words within a sentence, and the comma or bracket that sets them off."""
    for match in reversed(list(pattern.finditer(text))):
        start, end = match.span()
        put = match.expand(replacement)
        put = _sentence_case(put) if text[start].isupper() else put
        text = text[:start] + put + text[end:] if put else _without(text, start, end)
    return text


def _without(text: str, start: int, end: int) -> str:
    """The text without `start:end`, and without the marks that set this part off."""
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


def _sentence_case(text: str) -> str:
    """The text with its first letter as a capital, unless its first word has a spelling of its own (pH, p53, mRNA)."""
    word = re.match(r"[a-z]+(?![a-z]*[A-Z\d])", text)
    return text[:1].upper() + text[1:] if word else text
