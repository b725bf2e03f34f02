"""Answers requests through the Batch API: at half the price, within 24 hours, and without losing a batch to a kill."""

import contextlib
import hashlib
import itertools
import json
import logging
import pickle
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any, Final, TypeVar

import openai
from openai.types import Batch, FileObject

from llavamed_data.errors import LlavaMedError
from llavamed_data.io.backoff import backoff_seconds
from llavamed_data.llm.answer import Answer, Outcome, UnusableAnswerError, read_answer
from llavamed_data.llm.client import FollowUp, LlmClient, Tag
from llavamed_data.llm.costs import Budget, Price
from llavamed_data.llm.endpoint import Endpoint
from llavamed_data.llm.failures import (
    RefusalLimit,
    TemporaryFailure,
    batch_error_of,
    batch_failure_of,
    failure_of,
)
from llavamed_data.llm.journal import Journal
from llavamed_data.llm.request import ChatModel, JsonObject, Request
from llavamed_data.reasons import Drop, Reason

Result = TypeVar("Result")

_ENDPOINT: Final = "/v1/chat/completions"
_NAME_TAG = "llavamed_batch"
"""The key of a batch's metadata on the server under which it carries the name that the journal has for it."""
_ENDED = frozenset({"completed", "failed", "expired", "cancelled"})
_RECORDED_AT_ONCE = 500
_MOST_EMPTY_ROUNDS = 2
_LONGEST_PAUSE = 60.0
_SILENCE_SECONDS = 8.0
_SECONDS_BETWEEN_REPORTS = 600.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """What a batch may hold, and how often the server is asked.

    Attributes:
        max_requests: most requests of a batch.
        max_bytes: most bytes of a batch's file.
        poll: seconds between two looks at open batches.
        attempts: how often a failing call, or a request that fails within its batch, is sent before it is given up.
        backoff: seconds before the second attempt of a call, doubled with each further one up to a minute.
    """

    max_requests: int = 50_000
    max_bytes: int = 200_000_000
    poll: float = 30.0
    attempts: int = 5
    backoff: float = 1.0


class BatchClient(LlmClient):
    """Answers requests through Files and Batches.

    Every batch is noted in the journal before and after it is submitted, under a name that it also carries on the
    server: if a run is killed in between, the next one finds it there.

    Args:
        limits: size of the batches and patience.
        price: the model's price in batches, if it is known.
        budget: what the requests may cost; no limit by default.

    The other arguments, and what is raised, are those of `LlmClient`.
    """

    def __init__(
        self,
        model: ChatModel,
        endpoint: Endpoint,
        journal: Journal,
        *,
        limits: BatchLimits | None = None,
        price: Price | None = None,
        budget: Budget | None = None,
    ) -> None:
        super().__init__(model, endpoint, journal, price=price, budget=budget or Budget())
        self.limits = limits or BatchLimits()
        self._connection = endpoint.connect_blocking()
        self._reserved = 0.0
        self._reserved_requests = 0
        self._failures: Counter[str] = Counter()
        self._dropped: dict[str, Drop] = {}
        self._last_error = ""
        self._submitted_form = self.form
        self._latest_body: Mapping[str, Any] | None = None

    def complete(
        self, requests: Iterable[tuple[Tag, Request]], follow_up: FollowUp | None = None
    ) -> Iterator[tuple[Tag, Outcome]]:
        """Yields the outcome of each request, in order, once all are known; see `LlmClient.complete`.

        Batches that an earlier run left open are waited for first. Then requests without an answer are submitted until
        each has one or is given up. Requests wait in a temporary file beside the journal, not in memory.
        """
        sent: set[str] = set()
        already_answered = self.counts.answered
        with tempfile.TemporaryFile(dir=self.journal.path.parent) as stored:
            for tag, request in requests:
                pickle.dump((tag, request), stored)
                if self.recorded(request, follow_up)[1]:
                    self.counts.from_journal += 1
                elif request.key in sent:
                    self.counts.shared += 1
                else:
                    sent.add(request.key)
            self._find_unsubmitted()
            self._collect_open()
            empty_rounds = 0
            while submitted := self._submit(self._unanswered(stored, follow_up)):
                before = len(self.journal) + len(self._dropped), self.form
                self._collect_open()
                after = len(self.journal) + len(self._dropped), self.form
                empty_rounds = 0 if after != before else empty_rounds + 1
                if empty_rounds >= _MOST_EMPTY_ROUNDS:
                    raise LlavaMedError(
                        f"batches of {submitted} requests came back empty {empty_rounds} times"
                        f"{': ' + self._last_error if self._last_error else ''}; rerun the same command later"
                    )
            unanswered = sum(key not in self.journal for key in sent)
            answered = self.counts.answered - already_answered
            self.counts.unanswered += unanswered
            self.counts.asked_again += max(0, answered - (len(sent) - unanswered))
            refusals = RefusalLimit()
            for tag, request in _load(stored):
                outcome = self.recorded(request, follow_up)[1]
                if outcome is None:
                    raise AssertionError("a request was neither answered nor dropped")
                if error := refusals.add(outcome):
                    raise error
                yield tag, outcome
            if error := refusals.at_end():
                raise error

    def _unanswered(self, stored: IO[bytes], follow_up: FollowUp | None) -> Iterator[Request]:
        """The requests that have neither an answer nor a drop, each once."""
        seen: set[str] = set()
        for _, request in _load(stored):
            final, outcome = self.recorded(request, follow_up)
            if outcome is None and final.key not in seen:
                seen.add(final.key)
                yield final

    def _known(self, request: Request) -> Outcome | None:
        return self.journal.answer(request.key) or self._dropped.get(request.key)

    # submitting

    def _submit(self, requests: Iterable[Request]) -> int:
        """Submits requests in as few batches as the limits allow, and returns how many requests there were.

        Raises:
            LlavaMedError: the budget does not cover any of them.
        """
        lines, total = map(self._line, self._affordable(requests)), 0
        line = next(lines, None)
        while line:
            count, size = 0, 0
            with tempfile.TemporaryFile(dir=self.journal.path.parent) as file:
                while line and count < self.limits.max_requests and size + len(line) <= self.limits.max_bytes:
                    file.write(line)
                    count, size = count + 1, size + len(line)
                    line = next(lines, None)
                if line and not count:
                    raise LlavaMedError(f"one request has {len(line)} bytes, more than a batch may have")
                self._submit_file(file, count)
            total += count
        return total

    def _line(self, request: Request) -> bytes:
        """A request as a line of a batch's file."""
        self._latest_body = request.body
        body = self.form.applied(request.body)
        entry = {"custom_id": request.key, "method": "POST", "url": _ENDPOINT, "body": body}
        return json.dumps(entry, ensure_ascii=False).encode() + b"\n"

    def _affordable(self, requests: Iterable[Request]) -> Iterator[Request]:
        """Requests as long as the budget covers them, reserving their cost."""
        for position, request in enumerate(requests):
            dollars = self.price.of(self.estimator.upper_bound(request))
            if not self.budget.covers(dollars):
                if not position:
                    raise self.budget.used_up()
                return
            self.budget.reserve(dollars)
            self._reserved += dollars
            self._reserved_requests += 1
            yield request

    def _submit_file(self, file: Any, count: int) -> None:
        self._submitted_form = self.form
        file.seek(0)
        name = f"{hashlib.file_digest(file, 'sha256').hexdigest()[:24]}-{len(self.journal.batches())}"
        self.journal.note_batch(name, state="intended", requests=count)

        def upload() -> FileObject:
            file.seek(0)
            return self._connection.files.create(file=("requests.jsonl", file), purpose="batch")

        uploaded = self._call(upload)
        batch = self._call(
            lambda: self._connection.batches.create(
                input_file_id=uploaded.id,
                endpoint=_ENDPOINT,
                completion_window="24h",
                metadata={_NAME_TAG: name},
            )
        )
        self.journal.note_batch(name, state="open", id=batch.id)

    def _find_unsubmitted(self) -> None:
        """Looks on the server for batches that a killed run was about to submit, and notes which are there."""
        names = {name for name, facts in self.journal.batches().items() if facts["state"] == "intended"}
        if not names:
            return
        for batch in self._call(lambda: list(self._connection.batches.list(limit=100))):
            name = (batch.metadata or {}).get(_NAME_TAG)
            if name in names:
                self.journal.note_batch(name, state="open", id=batch.id)
                names.discard(name)
        for name in sorted(names):
            self.journal.note_batch(name, state="never submitted")

    # collecting

    def _collect_open(self) -> None:
        """Waits for every open batch and records its answers."""
        due = time.monotonic() + _SILENCE_SECONDS
        while waiting := self._open():
            for name, batch_id in waiting.items():
                batch = self._call(partial(self._connection.batches.retrieve, batch_id))
                if batch.status in _ENDED:
                    self._collect(batch)
                    self.journal.note_batch(name, state="collected", status=batch.status)
            if self._open():
                if time.monotonic() >= due:
                    _log.warning("%s", self._open_described(batch))
                    due = time.monotonic() + _SECONDS_BETWEEN_REPORTS
                time.sleep(self.limits.poll)
        self.budget.release(self._reserved)
        self._reserved, self._reserved_requests = 0.0, 0

    def _open_described(self, batch: Batch) -> str:
        counts = batch.request_counts
        done = f", {counts.completed:,} of {counts.total:,} requests of the latest answered" if counts else ""
        return (
            f"waiting for {len(self._open())} batches at {self.endpoint} (state of the latest: {batch.status}{done}); "
            "they may take 24 hours, and a run that is stopped finds them again"
        )

    def _open(self) -> dict[str, str]:
        return {
            name: str(facts["id"])
            for name, facts in self.journal.batches().items()
            if facts["state"] == "open"
        }

    def _collect(self, batch: Batch) -> None:
        if batch.errors and batch.errors.data:
            self._last_error = str(batch.errors.data[0].message)
        answered = self.counts.answered
        if batch.output_file_id:
            answers = self._read_answers(self._rows(batch.output_file_id))
            while some := list(itertools.islice(answers, _RECORDED_AT_ONCE)):
                self.journal.record(some)
        if batch.error_file_id:
            for row in self._rows(batch.error_file_id):
                # where others are answered, it is not the form of all requests that is refused
                if self.counts.answered > answered or not self._adapt(row):
                    self._count_failure(row)

    def _read_answers(self, rows: Iterable[JsonObject]) -> Iterator[tuple[str, Answer]]:
        for row in rows:
            response, answer = row.get("response") or {}, None
            if response.get("status_code") == 200:
                with contextlib.suppress(UnusableAnswerError):
                    answer = read_answer(response.get("body") or {}, model=self.model.name)
            if answer is None:
                self._count_failure(row)
            elif row["custom_id"] not in self.journal:
                counted = bool(answer.usage.prompt_tokens)
                dollars = self.price.of(answer.usage) if counted else self._reserved_each()
                self.budget.spend(dollars)
                self.counts.answered += 1
                self.counts.dollars += dollars
                yield row["custom_id"], answer

    def _reserved_each(self) -> float:
        """What an answer may cost whose tokens the server did not count."""
        return self._reserved / max(1, self._reserved_requests)

    def _adapt(self, row: JsonObject) -> bool:
        """Whether a line refuses the form of the requests; they are submitted again in the form that is taken."""
        error = batch_error_of(row)
        if error is None or self._latest_body is None:
            return False
        if adapted := self._submitted_form.adapted(error, self._latest_body):
            self.adopt(adapted)
        return adapted is not None

    def _count_failure(self, row: JsonObject) -> None:
        """Counts a request that a batch did not answer, and drops it if another attempt is of no use.

        Raises:
            LlavaMedError: the run cannot go on.
        """
        error = batch_error_of(row)
        if error is None:
            return
        key = str(row["custom_id"])
        failure = batch_failure_of(error, model=self.model.name, endpoint=self.endpoint)
        if isinstance(failure, LlavaMedError):
            raise failure
        if isinstance(failure, Drop):
            self._dropped[key] = failure
        if isinstance(failure, TemporaryFailure):
            self._last_error = failure.message
            self._failures[key] += 1
            if self._failures[key] >= self.limits.attempts:
                message = f"{failure.message}, {self._failures[key]} times"
                self._dropped[key] = Drop(Reason.REQUEST_FAILED, message)

    def _rows(self, file_id: str) -> Iterator[JsonObject]:
        """The lines of a file on the server, which is downloaded to the disk first: they may be many."""
        with tempfile.TemporaryDirectory(dir=self.journal.path.parent) as folder:
            path = Path(folder) / "rows.jsonl"
            self._call(lambda: self._download(file_id, path))
            with path.open(encoding="utf-8") as lines:
                for line in lines:
                    if line.strip():
                        yield json.loads(line)

    def _download(self, file_id: str, path: Path) -> None:
        with self._connection.files.with_streaming_response.content(file_id) as response:
            response.stream_to_file(path)

    def _call(self, call: Callable[[], Result]) -> Result:
        """Calls the API, and again where it fails and may succeed.

        Raises:
            LlavaMedError: all attempts failed, or another is of no use.
        """
        limits, latest = self.limits, [""]
        with _reported_silence(lambda: f"no answer of {self.endpoint} yet{latest[0]}"):
            return self._call_again(call, limits, latest)

    def _call_again(self, call: Callable[[], Result], limits: BatchLimits, latest: list[str]) -> Result:
        for attempt in itertools.count(1):
            try:
                return call()
            except openai.APIError as error:
                if isinstance(error, openai.NotFoundError):
                    raise LlavaMedError(
                        "the server has no Batch API at this address: choose --generator openai, or check --base-url"
                    ) from error
                failure = failure_of(error, model=self.model.name, endpoint=self.endpoint)
            if isinstance(failure, LlavaMedError):
                raise failure
            if isinstance(failure, Drop):
                raise LlavaMedError(f"the server refuses the batch: {failure.detail}")
            latest[0] = f": {failure.message}"
            if failure.timed_out:
                raise self.endpoint.is_silent()
            if failure.unreachable and attempt == limits.attempts:
                raise self.endpoint.is_unreachable(failure.message)
            if attempt == limits.attempts:
                raise LlavaMedError(
                    f"the server fails again and again ({failure.message}): rerun the same command later; answers "
                    "are kept"
                )
            pause = backoff_seconds(
                attempt, first=limits.backoff, longest=_LONGEST_PAUSE, asked=failure.retry_after
            )
            time.sleep(pause)
        raise AssertionError("the attempts do not end by themselves")


@contextlib.contextmanager
def _reported_silence(message: Callable[[], str]) -> Iterator[None]:
    """Logs a message if the block takes longer than 8 seconds, and again at growing intervals."""
    done = threading.Event()

    def report() -> None:
        pause = _SILENCE_SECONDS
        while not done.wait(pause):
            _log.warning("%s", message())
            pause = min(2 * pause, _LONGEST_PAUSE)

    thread = threading.Thread(target=report, name="batch-silence", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _load(stored: IO[bytes]) -> Iterator[tuple[Any, Request]]:
    """The pairs of tag and request that `complete` has stored."""
    stored.seek(0)
    with contextlib.suppress(EOFError):
        while True:
            yield pickle.load(stored)  # noqa: S301  (written by this process a moment ago)
