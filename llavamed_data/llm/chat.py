"""Answers requests through Chat Completions, many at a time: as fast as the limits allow, and each of them once."""

import asyncio
import contextlib
import itertools
import logging
import queue
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeAlias

import openai

from llavamed_data.errors import LlavaMedError
from llavamed_data.io.backoff import backoff_seconds
from llavamed_data.llm.answer import Answer, Outcome, UnusableAnswerError, Usage, read_answer
from llavamed_data.llm.client import FollowUp, LlmClient, RunLimits, Tag
from llavamed_data.llm.costs import Budget, Price
from llavamed_data.llm.endpoint import Endpoint
from llavamed_data.llm.failures import (
    TIMED_OUT,
    RefusalLimit,
    TemporaryFailure,
    failure_in_answer,
    failure_of,
    server_error_of,
)
from llavamed_data.llm.journal import Journal, SharedJournalWriter
from llavamed_data.llm.rate_limits import RateLimiter
from llavamed_data.llm.request import ChatModel, Request
from llavamed_data.reasons import Drop, Reason

_AHEAD = 4096
"""Most requests that are read beyond the outcomes that the caller has taken."""
_RELEASED_AT_ONCE = 64
_CONCURRENCY = 32
_CONCURRENCY_UNDER_RATE_LIMIT = 512
_LONGEST_PAUSE = 60.0
_LONGEST_PAUSE_WITHOUT_CONNECTION = 10.0
_MOST_TIMEOUTS = 3
_LOOK_SECONDS = 1.0
_SILENCE_SECONDS = 8.0
_LONGEST_SILENCE = 60.0

_log = logging.getLogger(__name__)

_Pending: TypeAlias = "asyncio.Future[Outcome | LlavaMedError]"
_Order: TypeAlias = "asyncio.Queue[tuple[Any, _Pending] | None]"


class ChatClient(LlmClient):
    """Answers requests one by one, many at a time.

    Args:
        limits: speed, cost and patience.
        budget: a budget shared with other clients, in place of one of `limits.max_cost`.

    The other arguments, and what is raised, are those of `LlmClient`.
    """

    def __init__(
        self,
        model: ChatModel,
        endpoint: Endpoint,
        journal: Journal,
        *,
        limits: RunLimits | None = None,
        price: Price | None = None,
        budget: Budget | None = None,
    ) -> None:
        self.limits = limits or RunLimits()
        super().__init__(model, endpoint, journal, price=price, budget=budget or Budget(self.limits.max_cost))

    def complete(
        self, requests: Iterable[tuple[Tag, Request]], follow_up: FollowUp | None = None
    ) -> Iterator[tuple[Tag, Outcome]]:
        """Yields the outcome of each request, in order; see `LlmClient.complete`.

        Requests are sent from a thread of its own, which also reads `requests`, at most 4,096 ahead of the caller. If
        the caller stops early, the requests in flight are cancelled; if the run cannot go on, they are waited for.
        """
        results: queue.SimpleQueue[Any] = queue.SimpleQueue()
        run = _ChatRun(self, follow_up, results.put)
        thread = threading.Thread(target=run.main, args=(requests,), name="chat-client", daemon=True)
        thread.start()
        taken = 0
        try:
            while (result := results.get()) is not None:
                if isinstance(result, BaseException):
                    raise result
                yield result
                taken += 1
                if taken % _RELEASED_AT_ONCE == 0:
                    run.read_further(_RELEASED_AT_ONCE)
        finally:
            run.cancel()
            thread.join()


class _ChatRun:
    """One call of `complete`: starts requests in order, shares those that are the same, returns outcomes in order.

    Args:
        client: the client.
        follow_up: as `complete` takes it.
        deliver: takes each (tag, outcome); and at the end an exception, or None if all went well.
    """

    def __init__(
        self, client: ChatClient, follow_up: FollowUp | None, deliver: Callable[[Any], None]
    ) -> None:
        self.client = client
        self.follow_up = follow_up
        self.deliver = deliver
        self.loop = asyncio.new_event_loop()
        self.main_task: asyncio.Task[None] | None = None
        self.cancelled = False
        self.refusals = RefusalLimit()
        self.journal_size = client.journal.size
        self.in_flight: dict[str, _Pending] = {}
        self.tasks: set[asyncio.Task[Outcome | LlavaMedError]] = set()

    # called from the caller's thread

    def read_further(self, count: int) -> None:
        """Allows `count` more requests to be read: the caller has taken as many outcomes."""

        def release() -> None:
            for _ in range(count):
                self.ahead.release()

        with contextlib.suppress(RuntimeError):  # the loop has ended, and reads no further
            self.loop.call_soon_threadsafe(release)

    def cancel(self) -> None:
        """Ends the run, as the caller takes no more outcomes."""
        self.cancelled = True
        with contextlib.suppress(RuntimeError):  # the loop has ended
            self.loop.call_soon_threadsafe(lambda: self.main_task and self.main_task.cancel())

    # called in the thread of the event loop

    def main(self, requests: Iterable[tuple[Tag, Request]]) -> None:
        """Runs the event loop until all outcomes are delivered, or the run has ended early."""
        ending: BaseException | None = None
        try:
            with asyncio.Runner(loop_factory=lambda: self.loop) as runner:
                runner.run(self._run(requests))
        except asyncio.CancelledError as error:
            ending = None if self.cancelled else error
        except BaseException as error:  # raised again in the caller's thread
            ending = error
        self.deliver(ending)

    async def _run(self, requests: Iterable[tuple[Tag, Request]]) -> None:
        self.main_task = asyncio.current_task()
        if self.cancelled:
            return
        self.ahead = asyncio.Semaphore(_AHEAD)
        order: _Order = asyncio.Queue()
        async with self.client.endpoint.connect() as connection:
            self.sender = _Sender(self.client, connection)
            self.reader = asyncio.create_task(self._read(requests, order))
            reporter = asyncio.create_task(self.sender.report_silence())
            try:
                await self._deliver_in_order(order)
            except asyncio.CancelledError:
                # A task that `_stop` cancels before its first step leads here, too: then the rest is waited for.
                if self.cancelled or not self.sender.stopped_by:
                    for task in self.tasks:
                        task.cancel()
                    raise
            finally:
                self.reader.cancel()
                reporter.cancel()
                await asyncio.gather(self.reader, reporter, *self.tasks, return_exceptions=True)
                await self.sender.journal.finish()
        if self.sender.stopped_by:
            raise self.sender.stopped_by
        if not self.reader.cancelled() and (failed := self.reader.exception()):
            raise failed
        if refused := self.refusals.at_end():
            raise refused

    async def _read(self, requests: Iterable[tuple[Tag, Request]], order: _Order) -> None:
        """Starts each request as soon as it may be sent."""
        try:
            for tag, request in requests:
                await self.ahead.acquire()
                order.put_nowait((tag, await self._start(request)))
        finally:
            order.put_nowait(None)

    async def _start(self, request: Request) -> _Pending:
        """The request's outcome to come; a new request waits here until fewer are in flight."""
        if request.key in self.in_flight:
            self.client.counts.shared += 1
            return self.in_flight[request.key]
        asked, outcome = self.client.recorded(request, self.follow_up)
        if outcome:
            if self.client.journal.recorded_since(asked.key, self.journal_size):
                self.client.counts.shared += 1
            else:
                self.client.counts.from_journal += 1
            known: _Pending = self.loop.create_future()
            known.set_result(outcome)
            return known
        await self.sender.slots.acquire()
        task = asyncio.create_task(self._answer(request))
        self.tasks.add(task)
        self.in_flight[request.key] = task
        return task

    async def _answer(self, request: Request) -> Outcome | LlavaMedError:
        """Sends the request, and those that follow up on its answer; an error that stops the run is returned."""
        dialogue, counts = self.client.dialogue(request, self.follow_up), self.client.counts
        answers = 0
        try:
            asked = next(dialogue)
            while True:
                known = asked.key in self.client.journal
                answer = await self.sender.answer(asked)
                answers += isinstance(answer, Answer) and not known
                try:
                    asked = dialogue.send(answer)
                except StopIteration as end:
                    counts.asked_again += max(0, answers - 1)
                    counts.unanswered += not answers
                    outcome: Outcome = end.value
                    return outcome
        except LlavaMedError as error:
            self._stop(error)
            return error
        except asyncio.CancelledError:
            if self.sender.stopped_by:
                return self.sender.stopped_by
            raise
        finally:
            self.sender.slots.release()
            self.in_flight.pop(request.key, None)
            if task := asyncio.current_task():
                self.tasks.discard(task)

    def _stop(self, error: LlavaMedError) -> None:
        """Starts nothing more, and cancels what waits; requests that the server works on are paid, and waited for."""
        if self.sender.stopped_by:
            return
        self.sender.stopped_by = error
        self.reader.cancel()
        waited_for = set() if self.sender.silent else self.sender.sending
        for task in self.tasks - waited_for - {asyncio.current_task()}:
            task.cancel()

    async def _deliver_in_order(self, order: _Order) -> None:
        while entry := await order.get():
            tag, pending = entry
            outcome = await pending
            if isinstance(outcome, LlavaMedError):
                return
            if error := self.refusals.add(outcome):
                self._stop(error)
                return
            self.deliver((tag, outcome))


class _Sender:
    """Sends single requests within the limits of rate, concurrency and cost, and repeats those that fail.

    Attributes:
        slots: one for each request that may be in flight.
        sending: the tasks whose request the server is working on.
        stopped_by: the error that stops the run; nothing is sent once it is set.
        waiting: requests that wait for their answer.
        silent: whether the run stops because the server sends no answers, so that none is waited for.
        latest_failure: what failed last since the last answer; "" if nothing did.
        journal: records the answers.
    """

    def __init__(self, client: ChatClient, connection: openai.AsyncOpenAI) -> None:
        limits = client.limits
        self.client = client
        self.connection = connection
        self.loop = asyncio.get_running_loop()
        self.rate = RateLimiter(limits.rpm, limits.tpm)
        self.may_add_slots = limits.concurrency is None and not self.rate.known
        self.slots = asyncio.Semaphore(
            limits.concurrency or (_CONCURRENCY if self.may_add_slots else _CONCURRENCY_UNDER_RATE_LIMIT)
        )
        self.budget_changed = asyncio.Condition()
        self.reservations = 0
        self.sending: set[asyncio.Task[Any] | None] = set()
        self.stopped_by: LlavaMedError | None = None
        self.last_success = self.waiting_since = self.loop.time()
        self.succeeded = self.silent = False
        self.waiting = 0
        self.latest_failure = ""
        self.journal = SharedJournalWriter(client.journal)

    async def answer(self, request: Request) -> Outcome:
        """The answer to a request: from the journal, or from the server after as many attempts as it takes.

        Raises:
            LlavaMedError: the run cannot go on.
        """
        if answer := self.client.journal.answer(request.key):
            return answer
        started, failures, timeouts = self.loop.time(), 0, 0
        self.waiting += 1
        try:
            for attempt in itertools.count(1):
                outcome = await self._attempt(request)
                if not isinstance(outcome, TemporaryFailure):
                    return outcome
                if self.stopped_by:
                    raise self.stopped_by
                self.client.counts.retries += 1
                self.latest_failure = outcome.message
                self._check_patience(outcome)
                failures += not outcome.rate_limited
                timeouts += outcome.timed_out
                if failures >= self.client.limits.attempts or timeouts >= _MOST_TIMEOUTS:
                    return self._give_up(outcome, started, failures)
                await self._pause(outcome, attempt)
        finally:
            self.waiting -= 1
        raise AssertionError("the attempts do not end by themselves")

    async def report_silence(self) -> None:
        """Says what the requests wait for when no answer has come for 8 seconds, and again now and then."""
        pause, due = _SILENCE_SECONDS, 0.0
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            now = self.loop.time()
            silence = now - max(self.last_success, self.waiting_since)
            if not self.waiting or not (self.sending or self.latest_failure):
                self.waiting_since = now
            elif silence >= _SILENCE_SECONDS and now >= due:
                _log.warning("%s", self._silence(silence))
                due, pause = now + pause, min(2 * pause, _LONGEST_SILENCE)
            elif silence < _SILENCE_SECONDS and now > due + _LONGEST_SILENCE:
                pause = _SILENCE_SECONDS

    def _silence(self, seconds: float) -> str:
        client = self.client
        waiting = (
            f"no answer of {client.endpoint} for {seconds:.0f} seconds; requests that wait: {self.waiting}"
        )
        if self.latest_failure:
            return f"{waiting}; {self.latest_failure}; attempts repeated: {client.counts.retries}"
        return f"{waiting}; each may take {client.endpoint.timeout:g} seconds (--timeout)"

    def _check_patience(self, failure: TemporaryFailure) -> None:
        endpoint, silence = self.client.endpoint, self.loop.time() - self.last_success
        if failure.timed_out and not self.succeeded:
            self.silent = True
            raise endpoint.is_silent()
        if failure.unreachable and silence > self.client.limits.unreachable:
            raise endpoint.is_unreachable(failure.message)
        patience = self.client.limits.patience
        if (failure.retry_after or 0.0) > patience:
            raise LlavaMedError(
                f"the server asks to wait for {failure.retry_after:.0f} seconds: rerun the same command after that; "
                "answers are kept"
            )
        if failure.rate_limited and self.loop.time() - self.last_success > patience:
            raise LlavaMedError(
                'the server answers only "too many requests": rerun the same command later; answers are kept'
            )

    def _give_up(self, failure: TemporaryFailure, started: float, failures: int) -> Drop:
        # If others were answered meanwhile, it is this request that the server cannot answer.
        if self.last_success > started:
            return Drop(Reason.REQUEST_FAILED, f"{failure.message}, {failures} times")
        if failure.timed_out:
            self.silent = True
            raise self.client.endpoint.is_silent()
        if failure.unreachable:
            raise self.client.endpoint.is_unreachable(failure.message)
        raise LlavaMedError(
            f"the server fails again and again ({failure.message}): rerun the same command later; answers are kept"
        )

    async def _pause(self, failure: TemporaryFailure, attempt: int) -> None:
        longest = _LONGEST_PAUSE_WITHOUT_CONNECTION if failure.unreachable else _LONGEST_PAUSE
        seconds = backoff_seconds(
            attempt, first=self.client.limits.backoff, longest=longest, asked=failure.retry_after
        )
        if failure.rate_limited:
            self.rate.pause(seconds)
        else:
            await asyncio.sleep(seconds)

    async def _attempt(self, request: Request) -> Outcome | TemporaryFailure:
        """Sends a request once, when rate and budget allow for it, and records its answer."""
        client = self.client
        expected = client.estimator.expected(request)
        await self.rate.take(expected)
        bound = await self._reserve(request)
        used, task = Usage(), asyncio.current_task()
        self.sending.add(task)
        try:
            answer = await self._send(request)
            if not isinstance(answer, Answer):
                return answer
            self.last_success, self.succeeded, self.latest_failure = self.loop.time(), True, ""
            counted = bool(answer.usage.prompt_tokens)
            used = answer.usage if counted else bound
            client.counts.answered += 1
            client.counts.dollars += client.price.of(used)
            client.estimator.learn(request, answer.usage)
            if counted:
                self.rate.adjust_tokens(expected, answer.usage.total_tokens)
            await self.journal.record(request.key, answer)
            return answer
        finally:
            self.sending.discard(task)
            await self._settle(bound, used)

    async def _send(self, request: Request) -> Answer | Drop | TemporaryFailure:
        """Sends a request over the network and reads the response."""
        if self.stopped_by:
            raise self.stopped_by
        client, form = self.client, self.client.form
        model = client.model.name
        while True:
            try:
                async with asyncio.timeout(client.endpoint.timeout):
                    # The openai package walks through every message that it gets as an argument, which takes longer
                    # than all the rest of a request; `extra_body` is sent as it is.
                    response = await self.connection.chat.completions.with_raw_response.create(
                        model=model, messages=[], extra_body=form.applied(request.body)
                    )
                self._learn_limits(response.headers)
                answer = read_answer(response.content, model=model)
            except openai.APIError as error:
                said = server_error_of(error) if isinstance(error, openai.APIStatusError) else None
                # the form that was sent is what is refused: another request may have found a better one meanwhile
                if said and (adapted := form.adapted(said, request.body)):
                    form = adapted.merged(client.form)
                    continue
                failure = failure_of(error, model=model, endpoint=client.endpoint)
                if isinstance(failure, LlavaMedError):
                    raise failure from error
                return failure
            except TimeoutError:
                return TIMED_OUT
            except UnusableAnswerError as error:
                failure = failure_in_answer(error, model=model, endpoint=client.endpoint)
                if isinstance(failure, LlavaMedError):
                    raise failure from error
                return failure
            client.adopt(form)
            return answer

    def _learn_limits(self, headers: Mapping[str, str]) -> None:
        """Takes rate limits from the headers; under a rate limit, more requests may be in flight."""
        self.rate.learn(headers)
        if self.rate.known and self.may_add_slots:
            self.may_add_slots = False
            for _ in range(_CONCURRENCY_UNDER_RATE_LIMIT - _CONCURRENCY):
                self.slots.release()

    async def _reserve(self, request: Request) -> Usage:
        """Waits until the budget covers the request at its most expensive, and reserves that.

        Raises:
            LlavaMedError: it does not, although no other request has anything reserved.
        """
        budget, estimator, price = self.client.budget, self.client.estimator, self.client.price

        def covered() -> bool:
            return budget.covers(price.of(estimator.upper_bound(request)))

        async with self.budget_changed:
            await self.budget_changed.wait_for(lambda: covered() or not self.reservations)
            if not covered():
                raise budget.used_up()
            bound = estimator.upper_bound(request)
            budget.reserve(price.of(bound))
            self.reservations += 1
        return bound

    async def _settle(self, bound: Usage, used: Usage) -> None:
        """Replaces what was reserved for a request by what it used."""
        async with self.budget_changed:
            self.client.budget.release(self.client.price.of(bound))
            self.client.budget.spend(self.client.price.of(used))
            self.reservations -= 1
            self.budget_changed.notify_all()
