"""A second model scores how well conversations are grounded in their text."""

import heapq
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from llavamed_data.instruct.conversation import Conversation, Pair
from llavamed_data.instruct.prompts import instruction, pair_text
from llavamed_data.llm.completer import Completer
from llavamed_data.llm.request import Request
from llavamed_data.llm.server import Model
from llavamed_data.reasons import Drop, Reason

_SCORE = re.compile(r"(?<![\d.])(10|[1-9])(?![\d.]*\d)")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the judge says of one conversation.

    Attributes:
        pair_id: the pair it belongs to.
        score: 1 to 10; None where the judge gave none that can be read.
        said: the judge's words.
    """

    pair_id: str
    score: int | None
    said: str


@dataclass(frozen=True)
class Judge:
    """Scores groundedness with a chat model.

    Attributes:
        completer: answers the requests; its journal keeps the verdicts.
        model: the judge.
        mentions: whether the conversations were written from mentions, too.
    """

    completer: Completer
    model: Model
    mentions: bool

    def request(self, pair: Pair, conversation: Conversation) -> Request:
        """The request that asks for a verdict on `conversation`."""
        rounds = "\n".join(f"User: {user}\nAssistant: {answer}" for user, answer in conversation.turns)
        text = f"{pair_text(pair, mentions=self.mentions)}\n\nConversation:\n{rounds}"
        return self.model.request(
            [{"role": "system", "content": instruction("judge")}, {"role": "user", "content": text}]
        )

    def verdicts(self, made: Iterable[tuple[Pair, Conversation]]) -> Iterator[Verdict]:
        """One verdict a conversation, in order.

        Raises:
            LlavaMedError: the run cannot go on.
        """
        jobs = ((pair.pair_id, self.request(pair, conversation)) for pair, conversation in made)
        for pair_id, outcome in self.completer.complete(jobs):
            said = outcome.detail if isinstance(outcome, Drop) else outcome.text
            yield Verdict(pair_id, None if isinstance(outcome, Drop) else score_of(said), said)


def score_of(said: str) -> int | None:
    """The score on the first line of a verdict, or None.

    >>> score_of("8"), score_of("Score: 10/10"), score_of("It is good.")
    (8, 10, None)
    """
    first = said.strip().split("\n", 1)[0]
    match = _SCORE.search(first)
    return int(match[1]) if match else None


def best(verdicts: Iterable[Verdict], count: int) -> tuple[frozenset[str], Mapping[str, Drop]]:
    """The ids of the `count` best conversations, and a drop for every other.

    Of equal scores the earlier one is kept, so the same verdicts give the same set; a conversation without a
    score comes after all that have one.
    """
    listed = list(verdicts)
    order = [(-(verdict.score or 0), position) for position, verdict in enumerate(listed)]
    kept = {position for _, position in heapq.nsmallest(count, order)}
    dropped = {
        verdict.pair_id: Drop(Reason.LOW_SCORE, f"{verdict.score or 'no score'}: {verdict.said}"[:500])
        for position, verdict in enumerate(listed)
        if position not in kept
    }
    return frozenset(listed[position].pair_id for position in kept), dropped
