"""A second model scores how well conversations are grounded in the text that they were written from."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from llavamed_data.instruct.conversation import Conversation, Pair
from llavamed_data.instruct.prompts import pair_text, prompt_text
from llavamed_data.llm import LlmClient, Request
from llavamed_data.reasons import Drop, Reason

_SCORE = re.compile(r"(?<![\d.])(10|[1-9])(?![\d.]*\d)")


@dataclass(frozen=True, slots=True)
class GroundednessScore:
    """How well one conversation is grounded.

    Attributes:
        pair_id: id of the figure.
        score: 1 to 10; None if the judge gave none that can be read.
        answer: the judge's whole answer.
    """

    pair_id: str
    score: int | None
    answer: str


@dataclass(frozen=True)
class GroundednessJudge:
    """Scores conversations with a chat model.

    Attributes:
        client: the client that asks the model.
        mentions: whether the conversations were written from inline mentions, too.
    """

    client: LlmClient
    mentions: bool

    def request(self, pair: Pair, conversation: Conversation) -> Request:
        """The request for the score of `conversation`."""
        rounds = "\n".join(
            f"User: {question}\nAssistant: {answer}" for question, answer in conversation.rounds
        )
        text = f"{pair_text(pair, mentions=self.mentions)}\n\nConversation:\n{rounds}"
        return self.client.model.request(
            [{"role": "system", "content": prompt_text("judge")}, {"role": "user", "content": text}]
        )

    def scores(self, conversations: Iterable[tuple[Pair, Conversation]]) -> Iterator[GroundednessScore]:
        """Yields the score of each conversation, in order.

        Raises:
            LlavaMedError: the run cannot go on.
        """
        requests = ((pair.pair_id, self.request(pair, conversation)) for pair, conversation in conversations)
        for pair_id, outcome in self.client.complete(requests):
            if isinstance(outcome, Drop):
                yield GroundednessScore(pair_id, None, outcome.detail)
            else:
                yield GroundednessScore(pair_id, read_score(outcome.text), outcome.text)


def read_score(answer: str) -> int | None:
    """The score on the first line of a judge's answer; None if there is none.

    >>> read_score("8"), read_score("Score: 10/10"), read_score("It is good.")
    (8, 10, None)
    """
    match = _SCORE.search(answer.strip().split("\n", 1)[0])
    return int(match[1]) if match else None


def drop_all_but_best(scores: Iterable[GroundednessScore], count: int) -> dict[str, Drop]:
    """A drop for every conversation that is not among the `count` with the highest scores, by its figure's id.

    Of equal scores, the earlier one is kept, so that the same scores give the same set. Conversations without a score
    come last.
    """
    by_score = sorted(scores, key=lambda scored: -(scored.score or 0))  # sorting keeps the order of equals
    return {
        scored.pair_id: Drop(Reason.LOW_SCORE, f"{scored.score or 'no score'}: {scored.answer}"[:500])
        for scored in by_score[count:]
    }
