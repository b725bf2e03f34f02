"""Reference answers of the evaluation set: an LLM that is given caption and mentions (section 5.1)."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from llavamed_data.instruct.cleaning import clean
from llavamed_data.instruct.conversation import Pair
from llavamed_data.instruct.prompts import instruction, pair_text
from llavamed_data.llm.completer import Completer
from llavamed_data.llm.request import Request
from llavamed_data.llm.server import Model
from llavamed_data.reasons import Drop, Reason


@dataclass(frozen=True, slots=True)
class Reference:
    """The answer that candidates are measured against.

    Attributes:
        pair_id: the pair.
        question: as it was asked.
        answer: cleaned like every other answer.
        model: as the server names it.
    """

    pair_id: str
    question: str
    answer: str
    model: str


@dataclass(frozen=True)
class References:
    """Answers questions about figures from their text.

    Attributes:
        completer: answers the requests.
        model: what is asked.
    """

    completer: Completer
    model: Model

    def request(self, pair: Pair, question: str) -> Request:
        """The request for the answer to `question`."""
        text = f"{pair_text(pair, mentions=True)}\n\nQuestion:\n{question}"
        return self.model.request(
            [{"role": "system", "content": instruction("reference")}, {"role": "user", "content": text}]
        )

    def answer(self, asked: Iterable[tuple[Pair, str]]) -> Iterator[Reference | tuple[str, Drop]]:
        """One reference a question, in order; a drop stands with its pair's id.

        Raises:
            LlavaMedError: the run cannot go on.
        """
        jobs = (((pair.pair_id, question), self.request(pair, question)) for pair, question in asked)
        for (pair_id, question), outcome in self.completer.complete(jobs):
            if isinstance(outcome, Drop):
                yield pair_id, outcome
                continue
            turns = clean([("Question", outcome.text.strip())]).turns if outcome.text.strip() else ()
            if turns:
                yield Reference(pair_id, question, turns[0][1], outcome.model)
            else:
                yield pair_id, Drop(Reason.NO_CONVERSATION, outcome.text)
