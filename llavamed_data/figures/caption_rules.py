"""What the rules for domains and the rules for panels share: the text that they read, and which to try on it.

Regular expressions are tried one after the other, so that eighty of them read a caption eighty times, nearly always
in vain. Each rule therefore names words of which every text that it matches contains one at least, and an Aho-Corasick
automaton finds the words of all the rules in one pass.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from importlib.resources import files
from typing import Any, Generic, TypeVar

import yaml
from ahocorasick_rs import AhoCorasick, Implementation

from llavamed_data.jats.plaintext import normalise_spaces

Rule = TypeVar("Rule")

READ_CHARACTERS = 20_000
"""How much of a caption is read: no honest one is longer, and rules take time."""

HYPHENS: Mapping[str, str] = dict.fromkeys("‐‑‒–—−", "-")
"""Dashes and the minus sign, which rules write as a hyphen."""


def load_rules(name: str) -> dict[str, Any]:
    """Reads a table of rules, a YAML file of this package."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast, where there is libyaml
    table: dict[str, Any] = loader(files(__package__).joinpath(name).read_text("utf-8")).get_single_data()
    return table


def with_words(pattern: str, words: Mapping[str, str]) -> str:
    """Returns `pattern` with the alternatives that `words` holds for each <name> in it."""
    for name, alternatives in words.items():
        pattern = pattern.replace(f"<{name}>", f"(?:{alternatives})")
    return pattern


def normalise_caption(caption: str, spellings: Mapping[str, str]) -> str:
    """Returns the start of `caption` with single spaces and with `spellings` (character → plain one) replaced."""
    text = caption[:READ_CHARACTERS]
    if not text.isascii():
        for character, plain in spellings.items():  # ten times as fast as str.translate
            text = text.replace(character, plain)
    return normalise_spaces(text)


class RuleFilter(Generic[Rule]):
    """Finds the rules that may match a text.

    Args:
        rules: each rule with the words of which a text contains at least one wherever the rule matches it. Words in
            small letters are found in any case, others only as they are written. A rule without words may match any
            text.

    >>> RuleFilter([("x-ray", ["chest", "thora"]), ("mri", ["MRI"]), ("ct", ["tomogra"])]).candidates("Thorax, mri")
    ['x-ray']
    """

    def __init__(self, rules: Iterable[tuple[Rule, Collection[str]]]) -> None:
        self._rules: list[Rule] = []
        self._always: set[int] = set()
        any_case: dict[str, set[int]] = {}
        as_written: dict[str, set[int]] = {}
        for position, (rule, words) in enumerate(rules):
            self._rules.append(rule)
            for word in words:
                (any_case if word == word.lower() else as_written).setdefault(word, set()).add(position)
            if not words:
                self._always.add(position)
        self._any_case, self._having_any_case = _automaton(any_case)
        self._as_written, self._having_as_written = _automaton(as_written)

    def __iter__(self) -> Iterator[Rule]:
        return iter(self._rules)

    def candidates(self, text: str) -> list[Rule]:
        """Returns the rules that may match `text`, in order; those left out cannot."""
        try:
            lowered = self._any_case.find_matches_as_indexes(text.lower(), overlapping=True)
            written = self._as_written.find_matches_as_indexes(text, overlapping=True)
        except UnicodeEncodeError:  # half of a surrogate pair, which UTF-8 cannot hold and no word contains
            return self.candidates(text.encode("utf-8", "replace").decode("utf-8"))
        found = set(self._always)
        for word, _, _ in lowered:
            found |= self._having_any_case[word]
        for word, _, _ in written:
            found |= self._having_as_written[word]
        return [self._rules[position] for position in sorted(found)]


def _automaton(having: Mapping[str, set[int]]) -> tuple[AhoCorasick, list[set[int]]]:
    return AhoCorasick(list(having), implementation=Implementation.DFA), list(having.values())
