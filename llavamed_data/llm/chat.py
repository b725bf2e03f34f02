"""Chat Completions, many at a time: as fast as the limits allow, each answer on file before it counts."""

import asyncio
import contextlib
import itertools
import queue
import random
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

import openai

from llavamed_data.errors import LlavaMedError, UsageError
from llavamed_data.llm.budget import Gauge, Price, Purse
from llavamed_data.llm.errors import Retry, fault_of
from llavamed_data.llm.journal import Journal
from llavamed_data.llm.rate_limits import RateLimiter
from llavamed_data.llm.request import Answer, Request, Usage
from llavamed_data.llm.server import Model, Outcome, Server, UnusableAnswer, outcome_of, read_answer
from llavamed_data.reasons import Drop, Reason

T = TypeVar("T")
FollowUp = Callable[[Request, Answer], Request | None]
"""Asks again where an answer is of no use: the second request, or None."""

_WINDOW = 4096
_RETURNED_AT_ONCE = 64
_WITHOUT_KNOWN_LIMITS = 32
_WITH_KNOWN_LIMITS = 512


@dataclass(frozen=True, slots=True)
class Limits:
    """How fast, how dear and how patient a run may be.

    Attributes:
        rpm: requests a minute; None: as the server's headers say, else as fast as it goes.
        tpm: tokens a minute, likewise.
        concurrency: requests under way at once; None is 32, or 512 where a rate limit holds them back.
        max_cost: dollars that this run may cost; it stops before passing them.
        attempts: how often a request is tried before its pair is given up.
        backoff: seconds before the second attempt, doubled with each further one up to a minute, jittered.
        patience: seconds without any answer after which a server that only says "too fast" counts as gone.
    """

    rpm: float | None = None
    tpm: float | None = None
    concurrency: int | None = None
    max_cost: float | None = None
    attempts: int = 10
    backoff: float = 0.5
    patience: float = 900.0


@dataclass(slots=True)
class Tally:
    """What a client did so far.

    Attributes:
        from_journal: answers that were on file.
        answered: answers that the server gave.
        retries: attempts beyond the first.
        dollars: spent on answers, by the price given.
        usage: tokens of the answers that the server gave.
    """

    from_journal: int = 0
    answered: int = 0
    retries: int = 0
    dollars: float = 0.0
    usage: Usage = field(default_factory=Usage)

    def add(self, usage: Usage) -> None:
        """Counts one answer of the server."""
        self.answered += 1
        self.usage = Usage(
            self.usage.prompt_tokens + usage.prompt_tokens,
            self.usage.completion_tokens + usage.completion_tokens,
        )


class ChatClient:
    """Answers requests through Chat Completions.

    Args:
        model: what is asked, for its name and longest answer.
        server: who is asked.
        journal: where answers are kept; the caller closes it.
        limits: speed, cost, patience.
        price: of the model, where it is known.

    Raises:
        UsageError: a cost limit without a price, or no key.
    """

    def __init__(
        self,
        model: Model,
        server: Server,
        journal: Journal,
        *,
        limits: Limits | None = None,
        price: Price | None = None,
    ) -> None:
        self.model = model
        self.server = server
        self.journal = journal
        self.limits = limits or Limits()
        self.purse = Purse(price, self.limits.max_cost)
        self.tally = Tally()
        if self.limits.max_cost is not None and price is None:
            raise UsageError(f"--max-cost needs the price of {model.name}: name a table with --prices FILE")
        server.check()

    def complete(
        self, jobs: Iterable[tuple[T, Request]], follow_up: FollowUp | None = None
    ) -> Iterator[tuple[T, Outcome]]:
        """The outcome of each job, in order; what is on file is not asked again.

        Requests are made in a thread of their own, in which `jobs` is also drawn from, at most 4,096 ahead of
        what the caller has taken. A caller that stops early ends the requests under way.

        Args:
            jobs: (anything, request); the same request twice is asked once.
            follow_up: called with an answer; where it returns a request, that one's answer counts instead.

        Raises:
            LlavaMedError: the run cannot go on. Requests under way have been waited for and are on file.
        """
        results: queue.SimpleQueue[Any] = queue.SimpleQueue()
        run = _Run(self, follow_up, results.put)
        thread = threading.Thread(target=run.main, args=(jobs,), name="chat-client", daemon=True)
        thread.start()
        taken = 0
        try:
            while (item := results.get()) is not None:
                if isinstance(item, BaseException):
                    raise item
                yield item
                taken += 1
                if taken % _RETURNED_AT_ONCE == 0:
                    run.returned(_RETURNED_AT_ONCE)
        finally:
            run.cancel()
            thread.join()


class _Run:
    """One call of `complete`: everything that belongs to its event loop."""

    def __init__(
        self, client: ChatClient, follow_up: FollowUp | None, deliver: Callable[[Any], None]
    ) -> None:
        self.client = client
        self.follow_up = follow_up
        self.deliver = deliver
        self.loop = asyncio.new_event_loop()
        self.gauge = Gauge(client.model.max_tokens)
        self.asked: dict[str, asyncio.Future[Outcome | LlavaMedError]] = {}
        self.tasks: set[asyncio.Task[Outcome | LlavaMedError]] = set()
        self.sending: set[asyncio.Task[Any] | None] = set()
        self.stopping: LlavaMedError | None = None
        self.unsaved: list[tuple[str, Answer, asyncio.Future[None]]] = []
        self.saver: asyncio.Task[None] | None = None
        self.driver: asyncio.Task[None] | None = None
        self.unwanted = False

    # called from the caller's thread

    def returned(self, count: int) -> None:
        """The caller has taken `count` more outcomes."""

        def release() -> None:
            for _ in range(count):
                self.window.release()

        with contextlib.suppress(RuntimeError):  # the loop has ended: nobody waits for the window
            self.loop.call_soon_threadsafe(release)

    def cancel(self) -> None:
        """The caller wants no more."""
        self.unwanted = True
        with contextlib.suppress(RuntimeError):
            self.loop.call_soon_threadsafe(lambda: self.driver and self.driver.cancel())

    # in the loop's thread

    def main(self, jobs: Iterable[tuple[T, Request]]) -> None:
        """Runs the loop; the last thing delivered is an exception or None."""
        last: BaseException | None = None
        try:
            with asyncio.Runner(loop_factory=lambda: self.loop) as runner:
                runner.run(self._drive(jobs))
        except asyncio.CancelledError as error:
            # A task that was stopped before its first step looks as if the caller wanted no more.
            last = self.stopping or (None if self.unwanted else error)
        except BaseException as error:  # handed to the caller's thread
            last = error
        self.deliver(last)

    async def _drive(self, jobs: Iterable[tuple[T, Request]]) -> None:
        limits = self.client.limits
        self.driver = asyncio.current_task()
        if self.unwanted:
            return
        self.limiter = RateLimiter(limits.rpm, limits.tpm)
        self.window = asyncio.Semaphore(_WINDOW)
        self.wide = self.limiter.known or limits.concurrency is not None
        self.slots = asyncio.Semaphore(
            limits.concurrency or (_WITH_KNOWN_LIMITS if self.wide else _WITHOUT_KNOWN_LIMITS)
        )
        self.paid = asyncio.Condition()
        self.last_success = self.loop.time()
        order: asyncio.Queue[tuple[T, asyncio.Future[Outcome | LlavaMedError]] | None] = asyncio.Queue()
        async with self.client.server.connect() as self.api:
            self.feeder = asyncio.create_task(self._feed(jobs, order))
            try:
                await self._deliver(order)
            except asyncio.CancelledError:
                for task in self.tasks:
                    task.cancel()
                raise
            finally:
                self.feeder.cancel()
                await asyncio.gather(self.feeder, *self.tasks, return_exceptions=True)
                if self.saver:
                    await self.saver
        if self.stopping:
            raise self.stopping
        if not self.feeder.cancelled() and (error := self.feeder.exception()):
            raise error

    async def _deliver(
        self, order: "asyncio.Queue[tuple[T, asyncio.Future[Outcome | LlavaMedError]] | None]"
    ) -> None:
        while entry := await order.get():
            tag, future = entry
            outcome = await future
            if isinstance(outcome, LlavaMedError):
                return
            self.deliver((tag, outcome))

    async def _feed(
        self,
        jobs: Iterable[tuple[T, Request]],
        order: "asyncio.Queue[tuple[T, asyncio.Future[Outcome | LlavaMedError]] | None]",
    ) -> None:
        try:
            for tag, request in jobs:
                await self.window.acquire()
                order.put_nowait((tag, await self._start(request)))
        finally:
            order.put_nowait(None)

    async def _start(self, request: Request) -> "asyncio.Future[Outcome | LlavaMedError]":
        """The request's outcome to come; waits for a free slot where it must be asked."""
        if request.key in self.asked:
            return self.asked[request.key]
        on_file = self._on_file(request)
        if on_file:
            self.client.tally.from_journal += 1
            future = self.loop.create_future()
            future.set_result(on_file)
            return future
        await self.slots.acquire()
        task = asyncio.create_task(self._work(request))
        self.tasks.add(task)
        self.asked[request.key] = task
        return task

    def _on_file(self, request: Request) -> Outcome | None:
        answer = self.client.journal.answer(request.key)
        second = self.follow_up(request, answer) if answer and self.follow_up else None
        if second:
            answer = self.client.journal.answer(second.key)
        return outcome_of(answer) if answer else None

    async def _work(self, request: Request) -> Outcome | LlavaMedError:
        """Asks, and asks again where the answer calls for it; what stops the run stops it from here."""
        try:
            outcome = await self._answer(request)
            second = (
                self.follow_up(request, outcome) if self.follow_up and isinstance(outcome, Answer) else None
            )
            return await self._answer(second) if second else outcome
        except LlavaMedError as error:
            self._stop(error)
            return error
        except asyncio.CancelledError:
            if self.stopping:
                return self.stopping
            raise
        finally:
            self.slots.release()
            self.asked.pop(request.key, None)
            if task := asyncio.current_task():
                self.tasks.discard(task)

    def _stop(self, error: LlavaMedError) -> None:
        """Starts nothing more; what the server is working on is waited for, for it is paid."""
        if self.stopping:
            return
        self.stopping = error
        self.feeder.cancel()
        for task in self.tasks - self.sending - {asyncio.current_task()}:
            task.cancel()

    async def _answer(self, request: Request) -> Outcome:
        """From file or from the server, with as many attempts as the limits allow."""
        if answer := self.client.journal.answer(request.key):
            return outcome_of(answer)
        limits, started, failures = self.client.limits, self.loop.time(), 0
        for attempt in itertools.count():
            outcome = await self._attempt(request)
            if not isinstance(outcome, Retry):
                return outcome
            if self.stopping:
                raise self.stopping
            failures += not outcome.throttled
            self.client.tally.retries += 1
            if outcome.throttled:
                self._check_patience(outcome)
            if failures >= limits.attempts:
                return self._given_up(outcome, started)
            await self._wait(outcome, attempt)
        raise AssertionError("the attempts never end by themselves")

    def _check_patience(self, fault: Retry) -> None:
        patience = self.client.limits.patience
        if (fault.after or 0.0) > patience:
            raise LlavaMedError(
                f"the server asks to wait for {fault.after:.0f} seconds: run again after that"
            )
        if self.loop.time() - self.last_success > patience:
            raise LlavaMedError("the server says nothing but «too many requests»: run again later")

    def _given_up(self, fault: Retry, started: float) -> Outcome:
        # If others were answered meanwhile, it is this request that the server cannot take.
        if self.last_success > started:
            return Drop(Reason.REQUEST_FAILED, f"{fault.why}, {self.client.limits.attempts} times")
        raise LlavaMedError(
            f"the server fails again and again ({fault.why}): what was answered is kept, run again later"
        )

    async def _wait(self, fault: Retry, attempt: int) -> None:
        backoff = min(60.0, self.client.limits.backoff * 2 ** min(attempt, 10))
        jitter = random.uniform(0.5, 1.0)  # noqa: S311
        delay = backoff * jitter if fault.after is None else fault.after * (1 + jitter / 10)
        if fault.throttled:
            self.limiter.pause(delay)
        else:
            await asyncio.sleep(delay)

    async def _attempt(self, request: Request) -> Outcome | Retry:
        expected = self.gauge.expected(request)
        await self.limiter.take(expected)
        worst = await self._put_aside(request)
        used, task = Usage(), asyncio.current_task()
        self.sending.add(task)
        try:
            answer = await self._send(request)
            if isinstance(answer, Answer):
                used = answer.usage if answer.usage.prompt_tokens else worst
                self._learn(request, expected, answer.usage)
                await self._save(request.key, answer)
                return outcome_of(answer)
            return answer
        finally:
            self.sending.discard(task)
            await self._settle(worst, used)

    async def _send(self, request: Request) -> Outcome | Retry:
        """One request over the wire."""
        if self.stopping:
            raise self.stopping
        try:
            async with asyncio.timeout(self.client.server.timeout):
                # The client walks through every message that it is given as an argument, which takes longer
                # than all the rest of a request; what comes as `extra_body` is sent as it is.
                response = await self.api.chat.completions.with_raw_response.create(
                    model=self.client.model.name, messages=[], extra_body=request.body
                )
            self._heed(response.headers)
            return read_answer(response.content, model=self.client.model.name)
        except openai.APIError as error:
            fault = fault_of(error, model=self.client.model.name)
            if isinstance(fault, LlavaMedError):
                raise fault from error
            return fault
        except TimeoutError:
            return Retry("the server did not answer in time")
        except UnusableAnswer as error:
            return Retry(str(error))

    def _heed(self, headers: Any) -> None:
        self.limiter.learn(headers)
        if self.limiter.known and not self.wide:
            self.wide = True
            for _ in range(_WITH_KNOWN_LIMITS - _WITHOUT_KNOWN_LIMITS):
                self.slots.release()

    def _learn(self, request: Request, expected: float, usage: Usage) -> None:
        self.last_success = self.loop.time()
        self.client.tally.add(usage)
        self.gauge.learn(request, usage)
        if usage.prompt_tokens:
            self.limiter.settle(expected, usage.prompt_tokens + usage.completion_tokens)

    async def _put_aside(self, request: Request) -> Usage:
        purse = self.client.purse
        async with self.paid:
            await self.paid.wait_for(lambda: purse.covers(self.gauge.worst(request)) or not purse.under_way)
            worst = self.gauge.worst(request)
            if not purse.covers(worst):
                raise LlavaMedError(
                    f"stopped at {purse.spent:.4f} of --max-cost {purse.limit} dollars: "
                    "what was answered is kept, run again with more to go on"
                )
            purse.put_aside(worst)
        return worst

    async def _settle(self, worst: Usage, used: Usage) -> None:
        async with self.paid:
            self.client.purse.settle(worst, used)
            self.client.tally.dollars = self.client.purse.spent
            self.paid.notify_all()

    async def _save(self, key: str, answer: Answer) -> None:
        """Returns once the answer is on disk; answers that come meanwhile share the next write."""
        saved = self.loop.create_future()
        self.unsaved.append((key, answer, saved))
        if self.saver is None or self.saver.done():
            self.saver = asyncio.create_task(self._write_unsaved())
        await saved

    async def _write_unsaved(self) -> None:
        while self.unsaved:
            entries, self.unsaved = self.unsaved, []
            try:
                await asyncio.to_thread(
                    self.client.journal.record, [(key, answer) for key, answer, _ in entries]
                )
            except LlavaMedError as error:
                for _, _, saved in entries:
                    if not saved.cancelled():
                        saved.set_exception(error)
            else:
                for _, _, saved in entries:
                    if not saved.cancelled():
                        saved.set_result(None)
