"""Checks of a cleaned conversation beyond the paper's rules; each is a switch."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import yaml

from llavamed_data.instruct.conversation import Pair, Turn

NEAR_DUPLICATE = "near_duplicate_question"
UNSEEN_FACT = "unseen_fact"

_WORD = re.compile(r"[a-z0-9]+(?:['’-][a-z0-9]+)*")


@dataclass(frozen=True, slots=True)
class Quality:
    """Which checks apply.

    Attributes:
        drop_near_duplicates: a question that asks what an earlier one of the same image asked goes, with its
            answer. On by default: it costs nothing.
        drop_unseen_facts: a round whose answer quotes from the text what no image shows goes: dates, ages,
            doses and measurements with their number, p values, years, and names of people. Against the
            prompt's first rule (Figure 4). Off by default: numbers may be printed in the image.
        overlap: share of content words in common from which two questions are one.
    """

    drop_near_duplicates: bool = True
    drop_unseen_facts: bool = False
    overlap: float = 0.8

    def check(
        self, turns: Sequence[Turn], pair: Pair, *, mentions: bool
    ) -> tuple[tuple[Turn, ...], Mapping[str, int]]:
        """The rounds that pass, and how many each check took."""
        counts: Counter[str] = Counter()
        kept = tuple(turns)
        if self.drop_near_duplicates:
            distinct = without_near_duplicates(kept, self.overlap)
            counts[NEAR_DUPLICATE] = len(kept) - len(distinct)
            kept = distinct
        if self.drop_unseen_facts:
            source = " ".join([pair.caption, *(pair.inline_mentions if mentions else ())])
            seen = tuple(turn for turn in kept if not unseen_facts(turn[1], source))
            counts[UNSEEN_FACT] = len(kept) - len(seen)
            kept = seen
        return kept, {name: count for name, count in counts.items() if count}


def without_near_duplicates(turns: Iterable[Turn], overlap: float = 0.8) -> tuple[Turn, ...]:
    """The rounds whose question shares less than `overlap` of its content words with each earlier one.

    The share is that of the Jaccard index: words in common over words in either. Questions without content
    words are compared as they stand.

    >>> without_near_duplicates([("Where is the mass?", "Left."), ("Where's the mass seen?", "Left.")])
    (('Where is the mass?', 'Left.'),)
    """
    kept: list[Turn] = []
    asked: list[frozenset[str]] = []
    for turn in turns:
        words = content_words(turn[0])
        if any(len(words & other) >= overlap * len(words | other) for other in asked):
            continue
        asked.append(words)
        kept.append(turn)
    return tuple(kept)


def content_words(question: str) -> frozenset[str]:
    """The words of a question that say what it asks for."""
    words = [word.removesuffix("'s").removesuffix("’s") for word in _WORD.findall(question.lower())]
    return frozenset(word for word in words if word not in _empty_words()) or frozenset(words)


def unseen_facts(answer: str, source: str) -> list[str]:
    """What `answer` quotes from the text `source` that no image shows.

    >>> unseen_facts("The 43-year-old man has a mass of 3 cm.", "A mass of 3 cm in a 43-year-old man.")
    ['43-year-old']
    """
    quoted = _squeezed(source)
    return [match[0] for match in _unseen().finditer(answer) if _squeezed(match[0]) in quoted]


def summarize(conversations: Iterable[Sequence[Turn]]) -> Mapping[str, float]:
    """Figures of a whole set, for `stats`.

    Args:
        conversations: the rounds of each.

    Returns:
        `conversations`; `turns` a conversation; `question_words` and `answer_words` on average; `refusals`, the
        share of answers that decline; `distinct_questions`, the share of questions that no other conversation
        asks in the same content words. All 0 for an empty set.
    """
    total, questions, words = 0, Counter[frozenset[str]](), Counter[str]()
    for turns in conversations:
        total += 1
        for question, answer in turns:
            questions[content_words(question)] += 1
            words["question"] += len(question.split())
            words["answer"] += len(answer.split())
            words["refusal"] += bool(_refusal().search(answer))
    rounds = max(1, questions.total())
    return {
        "conversations": total,
        "turns": questions.total() / max(1, total),
        "question_words": words["question"] / rounds,
        "answer_words": words["answer"] / rounds,
        "refusals": words["refusal"] / rounds,
        "distinct_questions": sum(count == 1 for count in questions.values()) / rounds,
    }


def _squeezed(text: str) -> str:
    return re.sub(r"[\s-]+", "", text).lower()


@cache
def _tables() -> Mapping[str, Any]:
    source = resources.files("llavamed_data.instruct").joinpath("quality.yaml")
    tables: Mapping[str, Any] = yaml.safe_load(source.read_text(encoding="utf-8"))
    return tables


@cache
def _empty_words() -> frozenset[str]:
    return frozenset(_tables()["empty_words"].split())


@cache
def _unseen() -> re.Pattern[str]:
    return re.compile("|".join(f"(?:{pattern})" for pattern in _tables()["unseen"].values()))


@cache
def _refusal() -> re.Pattern[str]:
    return re.compile(_tables()["refusal"], re.IGNORECASE)
