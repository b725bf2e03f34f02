"""Two answers before a judge, in one order and in the other (section 5.1 of the paper)."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources

import yaml

from llavamed_data.instruct import Pair, pair_text
from llavamed_data.llm import Answer, LlmClient, Request
from llavamed_data.reasons import Drop, Reason

_LABEL = re.compile(r"assistant\s*\d\s*[:=\-]?|[*_`#]", re.IGNORECASE)
_OUT_OF_TEN = re.compile(r"(?<=\d)\s*/\s*10\b")
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_WORD = re.compile(r"[A-Za-z]{2,}")
_WORDS_OF_SCORES = frozenset({"score", "scores", "and", "overall", "rating", "ratings"})


@dataclass(frozen=True, slots=True)
class Contest:
    """A question, what the judge may know, and the two answers.

    Attributes:
        pair: caption and inline mentions; its id is the question's.
        question: as it was asked.
        reference, candidate: the answers.
    """

    pair: Pair
    question: str
    reference: str
    candidate: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the judge says of one contest in one order.

    Attributes:
        id: of the question.
        swapped: False: the reference stood first, as in the paper.
        reference, candidate: scores from 1 to 10.
        said: the judge's words.
    """

    id: str
    swapped: bool
    reference: float
    candidate: float
    said: str


@dataclass(frozen=True)
class ChatJudge:
    """Scores answers with a chat model.

    Attributes:
        client: answers the requests; its journal keeps the verdicts.
    """

    client: LlmClient

    def request(self, contest: Contest, *, swapped: bool) -> Request:
        """The request for a verdict on `contest`."""
        first, second = contest.reference, contest.candidate
        if swapped:
            first, second = second, first
        text = (
            f"{pair_text(contest.pair, mentions=True)}\n\nQuestion:\n{contest.question}\n\n"
            f"[Assistant 1]\n{first}\n[End of Assistant 1]\n\n[Assistant 2]\n{second}\n[End of Assistant 2]"
        )
        return self.client.model.request(
            [{"role": "system", "content": instruction("system")}, {"role": "user", "content": text}]
        )

    def verdicts(
        self, contests: Iterable[Contest], *, both_orders: bool = True
    ) -> Iterator[Verdict | tuple[str, Drop]]:
        """The verdicts on each contest, in order, reference first and then swapped.

        A verdict without two readable scores is asked for once more with a reminder; one that stays unreadable
        is a drop with the judge's words as its detail.

        Raises:
            LlavaMedError: the run cannot go on; what was answered is in the journal.
        """
        jobs = (
            ((contest.pair.pair_id, swapped), self.request(contest, swapped=swapped))
            for contest in contests
            for swapped in ((False, True) if both_orders else (False,))
        )
        for (identity, swapped), outcome in self.client.complete(jobs, follow_up=_remind):
            if isinstance(outcome, Drop):
                yield identity, outcome
                continue
            scores = scores_of(outcome.text)
            if scores is None:
                yield identity, Drop(Reason.UNREADABLE_ANSWER, outcome.text)
                continue
            reference, candidate = reversed(scores) if swapped else scores
            yield Verdict(identity, swapped, reference, candidate, outcome.text)


def scores_of(said: str) -> tuple[float, float] | None:
    """The two scores on the first line of a verdict, or None.

    >>> scores_of("8 6.5"), scores_of("Assistant 1: 8/10, Assistant 2: 6/10"), scores_of("8 6 7"), scores_of("8 11")
    ((8.0, 6.5), (8.0, 6.0), None, None)
    """
    first = said.strip().split("\n", 1)[0]
    bare = _OUT_OF_TEN.sub("", _LABEL.sub(" ", first))
    if any(word.lower() not in _WORDS_OF_SCORES for word in _WORD.findall(bare)):
        return None
    numbers = [float(number) for number in _NUMBER.findall(bare)]
    if len(numbers) != 2 or not all(1 <= number <= 10 for number in numbers):
        return None
    return numbers[0], numbers[1]


@cache
def _texts() -> Mapping[str, str]:
    source = resources.files("llavamed_trainer.evaluation.judge").joinpath("instruction.yaml")
    texts: Mapping[str, str] = yaml.safe_load(source.read_text(encoding="utf-8"))
    return texts


def instruction(name: str) -> str:
    """The text called `name` in `instruction.yaml`: `system` or `reminder`."""
    return _texts()[name]


def _remind(request: Request, answer: Answer) -> Request | None:
    if answer.finish_reason == "content_filter" or scores_of(answer.text):
        return None
    return request.continued(answer.text, instruction("reminder"))
