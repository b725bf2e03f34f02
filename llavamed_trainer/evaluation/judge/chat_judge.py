"""A chat model compares a candidate's answer with a reference answer, in one order and in the other (section 5.1)."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from llavamed_data.instruct import Pair, pair_text
from llavamed_data.llm import Answer, ChatModel, LlmClient, Request
from llavamed_data.reasons import Drop, Reason

_LABEL = re.compile(r"assistant\s*\d\s*[:=\-]?|[*_`#]", re.IGNORECASE)
_OUT_OF_TEN = re.compile(r"(?<=\d)\s*/\s*10\b")
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_WORD = re.compile(r"[A-Za-z]{2,}")
_WORDS_OF_SCORES = frozenset({"score", "scores", "and", "overall", "rating", "ratings"})


@dataclass(frozen=True, slots=True)
class AnswerPair:
    """The reference answer and the candidate's answer to a question, and what the judge is told of the figure.

    Attributes:
        figure: caption and inline mentions; its id is the question's.
        question: the question as it was asked.
        reference, candidate: the answers.
    """

    figure: Pair
    question: str
    reference: str
    candidate: str


@dataclass(frozen=True, slots=True)
class ChatVerdict:
    """The judge's scores of two answers, read in one order.

    Attributes:
        id: id of the question.
        swapped: whether the candidate's answer stood first; False is the order of the paper.
        reference, candidate: scores from 1 to 10.
        reply: the judge's words.
    """

    id: str
    swapped: bool
    reference: float
    candidate: float
    reply: str


@dataclass(frozen=True)
class ChatJudge:
    """Scores pairs of answers with a chat model.

    Attributes:
        client: answers the requests; its journal keeps the verdicts.
    """

    client: LlmClient

    def verdicts(
        self, pairs: Iterable[AnswerPair], *, both_orders: bool = True
    ) -> Iterator[ChatVerdict | tuple[str, Drop]]:
        """The verdicts on each pair of answers, in order: reference first, then swapped.

        A verdict without two readable scores is asked for once more with a reminder; one that stays unreadable
        becomes (id of the question, drop), with the judge's words as its detail.

        Raises:
            LlavaMedError: the run cannot go on; what was answered is in the journal.
        """
        jobs = (
            ((pair.figure.pair_id, swapped), chat_request(self.client.model, pair, swapped=swapped))
            for pair in pairs
            for swapped in ((False, True) if both_orders else (False,))
        )
        for (identity, swapped), outcome in self.client.complete(jobs, follow_up=_remind):
            if isinstance(outcome, Drop):
                yield identity, outcome
            elif scores := parse_scores(outcome.text):
                reference, candidate = reversed(scores) if swapped else scores
                yield ChatVerdict(identity, swapped, reference, candidate, outcome.text)
            else:
                yield identity, Drop(Reason.UNREADABLE_ANSWER, outcome.text)


def chat_request(model: ChatModel, pair: AnswerPair, *, swapped: bool) -> Request:
    """The request for a verdict on a pair of answers; `swapped` puts the candidate's answer first."""
    first, second = pair.reference, pair.candidate
    if swapped:
        first, second = second, first
    text = (
        f"{pair_text(pair.figure, mentions=True)}\n\nQuestion:\n{pair.question}\n\n"
        f"[Assistant 1]\n{first}\n[End of Assistant 1]\n\n[Assistant 2]\n{second}\n[End of Assistant 2]"
    )
    return model.request(
        [{"role": "system", "content": instruction("system")}, {"role": "user", "content": text}]
    )


def parse_scores(reply: str) -> tuple[float, float] | None:
    """The two scores on the first line of a judge's reply; None if they are not there alone.

    >>> parse_scores("8 6.5"), parse_scores("Assistant 1: 8/10, Assistant 2: 6/10")
    ((8.0, 6.5), (8.0, 6.0))
    >>> parse_scores("8 6 7"), parse_scores("8 11")
    (None, None)
    """
    first = reply.strip().split("\n", 1)[0]
    bare = _OUT_OF_TEN.sub("", _LABEL.sub(" ", first))
    if any(word.lower() not in _WORDS_OF_SCORES for word in _WORD.findall(bare)):
        return None
    numbers = [float(number) for number in _NUMBER.findall(bare)]
    if len(numbers) != 2 or not all(1 <= number <= 10 for number in numbers):
        return None
    return numbers[0], numbers[1]


def instruction(name: str) -> str:
    """The text called `name` in `instruction.yaml`: `system` or `reminder`."""
    text: str = _instructions()[name]
    return text


@cache
def _instructions() -> Any:
    return yaml.safe_load(files(__package__).joinpath("instruction.yaml").read_text(encoding="utf-8"))


def _remind(request: Request, answer: Answer) -> Request | None:
    """Asks again with a reminder if a reply has no readable scores."""
    if answer.finish_reason == "content_filter" or parse_scores(answer.text):
        return None
    return request.continued(answer.text, instruction("reminder"))
