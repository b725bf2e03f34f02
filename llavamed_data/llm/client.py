"""What the clients of both ways to send requests to a chat model have in common.

A client takes (tag, request) pairs and returns (tag, outcome) pairs in the same order, writes every answer to the
journal before it returns it, and never sends a request whose answer is there.
"""

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from llavamed_data.errors import UsageError
from llavamed_data.llm.answer import Answer, Outcome, outcome_of
from llavamed_data.llm.costs import Budget, Price, find_prices
from llavamed_data.llm.endpoint import Endpoint
from llavamed_data.llm.journal import Journal
from llavamed_data.llm.request import ChatModel, Request
from llavamed_data.llm.request_form import RequestForm
from llavamed_data.llm.tokens import TokenEstimator
from llavamed_data.reasons import Drop, Reason

_MOST_CUT_TWICE = 3
"""Answers without marks of reasoning that reach a larger limit, too, before a model is taken not to reason."""

_log = logging.getLogger(__name__)

Tag = TypeVar("Tag")

FollowUp = Callable[[Request, Answer], Request | None]
"""Returns the request to send after an answer that is of no use, such as one with a reminder; else None."""


@dataclass(frozen=True, slots=True)
class RunLimits:
    """How fast a client sends, what it may cost, and when it gives up.

    Attributes:
        rpm: requests per minute; None takes what the server's headers state, or sends as fast as it answers.
        tpm: tokens per minute; None likewise.
        concurrency: requests in flight; None is 32, or 512 if a rate limit holds them back.
        max_cost: US dollars that the run may cost; it stops before passing them.
        attempts: how often a request is sent before it is given up.
        backoff: seconds before the second attempt, doubled with each further one up to a minute, at random less.
        patience: seconds without any answer after which a server that only answers "too many requests" is given up.
        unreachable: seconds after which a server to which no connection succeeds is given up.
    """

    rpm: float | None = None
    tpm: float | None = None
    concurrency: int | None = None
    max_cost: float | None = None
    attempts: int = 10
    backoff: float = 0.5
    patience: float = 900.0
    unreachable: float = 60.0


@dataclass(slots=True)
class AnswerCounts:
    """Where a client's answers came from, and what they cost.

    Each request is counted once: as answered by the server, `from_journal`, `shared` or `unanswered`. So the number of
    requests is `answered - asked_again + from_journal + shared + unanswered`.

    Attributes:
        answered: answers that the server gave.
        asked_again: those among them that are a second answer to one request, for a readable form or more room.
        from_journal: requests whose answer was in the journal when the run began.
        shared: requests that share the answer, or the drop, of an equal request of the run.
        unanswered: requests that the server refused or failed to answer.
        retries: attempts beyond the first.
        dollars: cost of the server's answers, by the price table.
    """

    answered: int = 0
    asked_again: int = 0
    from_journal: int = 0
    shared: int = 0
    unanswered: int = 0
    retries: int = 0
    dollars: float = 0.0

    def details(self) -> str:
        """The counts beside `answered` in words: those that are 0 are left out, but for the journal's."""
        parts = [f"{self.from_journal:,} from the journal"]
        for count, what in (
            (self.shared, "shared with another request"),
            (self.unanswered, "refused or failed"),
            (self.asked_again, "of the answers asked for again"),
        ):
            if count:
                parts.append(f"{count:,} {what}")
        return ", ".join(parts)


class LlmClient(ABC):
    """Answers requests to one model; `open_client` opens one.

    Args:
        model: the model that is asked.
        endpoint: the server that is asked.
        journal: where answers are kept; the caller closes it.
        price: the model's price, if it is known.
        budget: what the requests may cost.

    Attributes:
        counts: what the client has done so far.
        form: how requests are sent, by what the server refused so far.

    Raises:
        UsageError: there is no key, or a cost limit but no price.
    """

    def __init__(
        self, model: ChatModel, endpoint: Endpoint, journal: Journal, *, price: Price | None, budget: Budget
    ) -> None:
        if budget.limit is not None and price is None:
            raise UsageError(f"--max-cost needs the price of {model.name}: name a table with --prices FILE")
        endpoint.check()
        self.model = model
        self.endpoint = endpoint
        self.journal = journal
        self.price = price or Price(0.0, 0.0)
        self.budget = budget
        self.counts = AnswerCounts()
        self.form = RequestForm()
        self._cut_twice: set[str] = set()
        self.estimator = TokenEstimator(model.max_tokens)

    @abstractmethod
    def complete(
        self, requests: Iterable[tuple[Tag, Request]], follow_up: FollowUp | None = None
    ) -> Iterator[tuple[Tag, Outcome]]:
        """Yields the outcome of each request, in order; the same request is sent only once.

        Args:
            requests: pairs of a tag, which may be anything and is returned with the outcome, and a request.
            follow_up: called with each answer; if it returns a request, that request's answer counts instead.

        Raises:
            LlavaMedError: the run cannot go on; all answers so far are in the journal.
        """

    def adopt(self, form: RequestForm) -> None:
        """Sends all further requests in a form that the server has taken."""
        if (merged := self.form.merged(form)) != self.form:
            _log.warning("%s", merged.described(self.model.name))
            self.form = merged

    def recorded(self, request: Request, follow_up: FollowUp | None) -> tuple[Request, Outcome | None]:
        """The request whose answer counts, by what is in the journal, and its outcome, if that is there too."""
        dialogue = self.dialogue(request, follow_up)
        asked = next(dialogue)
        while known := self._known(asked):
            try:
                asked = dialogue.send(known)
            except StopIteration as end:
                return asked, end.value
        return asked, None

    def _known(self, request: Request) -> Outcome | None:
        """What is known of a request without asking the server."""
        return self.journal.answer(request.key)

    def dialogue(self, request: Request, follow_up: FollowUp | None) -> Generator[Request, Outcome, Outcome]:
        """Yields the requests that lead to the outcome of `request`, is sent what each gave, and returns the outcome.

        A request whose answer ends within the model's reasoning is asked once more with more room, as is then the
        request that `follow_up` returns.
        """
        asked, outcome = yield from self._with_room(request)
        if follow_up and isinstance(outcome, Answer) and (second := follow_up(asked, outcome)):
            _, outcome = yield from self._with_room(second)
        return outcome

    def _with_room(self, request: Request) -> Generator[Request, Outcome, tuple[Request, Outcome]]:
        answer = yield request
        if isinstance(answer, Drop):
            return request, answer
        unmarked = self._may_be_reasoning(answer)
        if not answer.is_missing and not unmarked:
            return request, outcome_of(answer)
        roomier = request.with_more_room()
        second = yield roomier
        if isinstance(second, Drop):
            if second.reason is not Reason.REQUEST_REFUSED:
                return roomier, second
            room = f"; {roomier.max_tokens} tokens are refused ({second.detail})"
        elif not second.is_missing and not self._may_be_reasoning(second):
            return (
                (request, outcome_of(answer))
                if unmarked and not second.reasoning
                else (roomier, outcome_of(second))
            )
        else:
            room = f", with {roomier.max_tokens} tokens too"
        if unmarked and answer.model not in self.journal.thinking_models:
            self._cut_twice.add(roomier.key)
            return request, outcome_of(answer)
        return roomier, Drop(Reason.NO_ANSWER, f"the message ends within the reasoning{room}")

    def _may_be_reasoning(self, answer: Answer) -> bool:
        """Whether a message that was cut off may be all reasoning, of a model that writes the closing mark alone."""
        if answer.finish_reason != "length" or answer.reasoning or answer.is_missing:
            return False
        if answer.model in self.journal.thinking_models:
            return True
        return answer.model not in self.journal.plain_models and len(self._cut_twice) < _MOST_CUT_TWICE


def chat_model(name: str, prices: Path | None = None) -> ChatModel:
    """A model with the sampling settings of this project: temperature 0 and seed 0, if it takes them.

    Args:
        name: the model's name on the server.
        prices: a price table in place of the project's; it says which models are reasoning models.

    Raises:
        UsageError: the price table cannot be read.
    """
    known = find_prices(name, prices)
    if known and known.reasons:
        return ChatModel(name, temperature=None, seed=None, length_parameter="max_completion_tokens")
    return ChatModel(name)
