"""Reference answers of the evaluation set, by an LLM that is given caption and mentions (section 5.1)."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from llavamed_data.instruct.cleaning import CleaningRules, clean
from llavamed_data.instruct.conversation import Pair
from llavamed_data.instruct.prompts import pair_text, prompt_text
from llavamed_data.llm import ChatModel, LlmClient, Request
from llavamed_data.reasons import Drop, Reason


@dataclass(frozen=True, slots=True)
class ReferenceAnswer:
    """The answer that a model's answer to the same question is compared with.

    Attributes:
        pair_id: id of the figure.
        question: the question as it was asked.
        answer: the answer, cleaned as those of conversations are.
        model: the model as the server names it.
    """

    pair_id: str
    question: str
    answer: str
    model: str


@dataclass(frozen=True)
class ReferenceWriter:
    """Answers questions about figures from their text.

    Attributes:
        client: the client that asks the model.
        rules: the cleaning rules; the packaged ones if None.
    """

    client: LlmClient
    rules: CleaningRules | None = None

    def answers(self, questions: Iterable[tuple[Pair, str]]) -> Iterator[ReferenceAnswer | tuple[str, Drop]]:
        """Yields, in order, the answer to each question, or the figure's id and why there is none.

        Raises:
            LlavaMedError: the run cannot go on.
        """
        requests = (
            ((pair.pair_id, question), reference_request(self.client.model, pair, question))
            for pair, question in questions
        )
        for (pair_id, question), outcome in self.client.complete(requests):
            if isinstance(outcome, Drop):
                yield pair_id, outcome
                continue
            text = outcome.text.strip()
            rounds = clean([("Question", text)], self.rules).rounds if text else ()
            if rounds:
                yield ReferenceAnswer(pair_id, question, rounds[0][1], outcome.model)
            else:
                yield pair_id, Drop(Reason.NO_CONVERSATION, outcome.text)


def reference_request(model: ChatModel, pair: Pair, question: str) -> Request:
    """The request for the answer to a question about a figure, from its caption and mentions."""
    text = f"{pair_text(pair, mentions=True)}\n\nQuestion:\n{question}"
    return model.request(
        [{"role": "system", "content": prompt_text("reference")}, {"role": "user", "content": text}]
    )
