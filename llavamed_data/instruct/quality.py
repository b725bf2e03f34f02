"""Checks of a cleaned conversation that go beyond the paper's rules; each can be switched on and off."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from llavamed_data.instruct.conversation import Pair, Round

NEAR_DUPLICATE = "near_duplicate_question"
UNSEEN_FACT = "unseen_fact"

_WORD = re.compile(r"[a-z0-9]+(?:['’-][a-z0-9]+)*")


@dataclass(frozen=True, slots=True)
class QualityChecks:
    """The checks that are applied.

    Attributes:
        drop_near_duplicates: drop a round whose question asks what an earlier one of the same image asks. On by
            default, as it costs nothing.
        drop_unseen_facts: drop a round whose answer takes from the text what no image shows (Figure 4's first rule
            forbids it): dates, ages, doses and measurements with their number, p values, years, names of people. Off
            by default, as numbers may be printed in the image.
        overlap: share of content words in common from which two questions ask the same.
    """

    drop_near_duplicates: bool = True
    drop_unseen_facts: bool = False
    overlap: float = 0.8

    def apply(
        self, rounds: Sequence[Round], pair: Pair, *, mentions: bool
    ) -> tuple[tuple[Round, ...], Mapping[str, int]]:
        """The rounds that pass, and the number of rounds that each check dropped.

        Args:
            rounds: the rounds of a conversation.
            pair: the text that they were written from.
            mentions: whether the generator was given the inline mentions, too.
        """
        counts: Counter[str] = Counter()
        kept = tuple(rounds)
        if self.drop_near_duplicates:
            distinct = without_near_duplicates(kept, self.overlap)
            counts[NEAR_DUPLICATE] = len(kept) - len(distinct)
            kept = distinct
        if self.drop_unseen_facts:
            source = " ".join([pair.caption, *(pair.inline_mentions if mentions else ())])
            visible = tuple(sides for sides in kept if not unseen_facts(sides[1], source))
            counts[UNSEEN_FACT] = len(kept) - len(visible)
            kept = visible
        return kept, {name: count for name, count in counts.items() if count}


def without_near_duplicates(rounds: Iterable[Round], overlap: float = 0.8) -> tuple[Round, ...]:
    """The rounds whose question shares less than `overlap` of its content words with each earlier question.

    The share is the Jaccard index: words in both questions over words in either.

    >>> without_near_duplicates([("Where is the mass?", "Left."), ("Where's the mass seen?", "Left.")])
    (('Where is the mass?', 'Left.'),)
    """
    kept: list[Round] = []
    asked: list[frozenset[str]] = []
    for question, answer in rounds:
        words = _content_words(question)
        if any(len(words & other) >= overlap * len(words | other) for other in asked):
            continue
        asked.append(words)
        kept.append((question, answer))
    return tuple(kept)


def _content_words(question: str) -> frozenset[str]:
    """The words of a question that say what it asks for; all of them if none does."""
    words = [word.removesuffix("'s").removesuffix("’s") for word in _WORD.findall(question.lower())]
    return frozenset(word for word in words if word not in _empty_words()) or frozenset(words)


def unseen_facts(answer: str, source: str) -> list[str]:
    """The words of `answer` that state a fact which stands in the text `source` and which no image shows.

    >>> unseen_facts("The 43-year-old man has a mass of 3 cm.", "A mass of 3 cm in a 43-year-old man.")
    ['43-year-old']
    """
    stated = _squeezed(source)
    return [match[0] for match in _unseen().finditer(answer) if _squeezed(match[0]) in stated]


def _squeezed(text: str) -> str:
    """The text in lower case, without blanks and hyphens."""
    return re.sub(r"[\s-]+", "", text).lower()


@cache
def _tables() -> Any:
    return yaml.safe_load(files(__package__).joinpath("quality.yaml").read_text(encoding="utf-8"))


@cache
def _empty_words() -> frozenset[str]:
    return frozenset(_tables()["empty_words"].split())


@cache
def _unseen() -> re.Pattern[str]:
    return re.compile("|".join(f"(?:{pattern})" for pattern in _tables()["unseen"].values()))
