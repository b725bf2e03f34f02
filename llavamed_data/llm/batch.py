"""The Batch API: half the price, up to 24 hours, and no batch lost to a kill."""

import contextlib
import hashlib
import json
import pickle
import random
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, Any, Final, TypeVar

import openai
from openai.types import Batch, FileObject

from llavamed_data.errors import LlavaMedError, UsageError
from llavamed_data.llm.budget import Gauge, Price, Purse
from llavamed_data.llm.chat import FollowUp, Tally
from llavamed_data.llm.errors import Retry, fault_of, line_fault
from llavamed_data.llm.journal import Journal
from llavamed_data.llm.request import Answer, JsonObject, Request
from llavamed_data.llm.server import Model, Outcome, Server, UnusableAnswer, outcome_of, read_answer
from llavamed_data.reasons import Drop, Reason

T = TypeVar("T")
R = TypeVar("R")

_ENDPOINT: Final = "/v1/chat/completions"
_TAG = "llavamed_batch"
_FINAL = frozenset({"completed", "failed", "expired", "cancelled"})
_RECORDED_AT_ONCE = 500
_FRUITLESS = 2


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """What the API takes, and how patient a run is.

    Attributes:
        requests: the most requests in a batch.
        size: the most bytes in a batch's file.
        max_cost: dollars that this run may cost; it stops before passing them.
        poll: seconds between looks at the batches.
        attempts: how often a failing call or request is tried.
        backoff: seconds before the second attempt of a call, doubled with each further one up to a minute.
    """

    requests: int = 50_000
    size: int = 200_000_000
    max_cost: float | None = None
    poll: float = 30.0
    attempts: int = 5
    backoff: float = 1.0


class BatchClient:
    """Answers requests through Files and Batches.

    Every batch is noted in the journal before and after it is submitted, under a name that it also carries on
    the server: a run that was killed in between finds it there.

    Args:
        model: what is asked, for its name and longest answer.
        server: who is asked.
        journal: where answers and batches are kept; the caller closes it.
        limits: of the API and of the run.
        price: of the model in batches, where it is known.
        on_progress: called with (batches still open, answers collected) after every look at them.

    Raises:
        UsageError: a cost limit without a price, or no key.
    """

    def __init__(
        self,
        model: Model,
        server: Server,
        journal: Journal,
        *,
        limits: BatchLimits | None = None,
        price: Price | None = None,
        on_progress: Callable[[int, int], None] | None = None,
    ) -> None:
        self.model = model
        self.journal = journal
        self.limits = limits or BatchLimits()
        self.purse = Purse(price, self.limits.max_cost)
        self.tally = Tally()
        self._on_progress = on_progress or (lambda _open, _collected: None)
        self._gauge = Gauge(model.max_tokens)
        self._failures: Counter[str] = Counter()
        self._dropped: dict[str, Drop] = {}
        self._complaint = ""
        if self.limits.max_cost is not None and price is None:
            raise UsageError(f"--max-cost needs the price of {model.name}: name a table with --prices FILE")
        self._api = server.connect_blocking()

    def complete(
        self, jobs: Iterable[tuple[T, Request]], follow_up: FollowUp | None = None
    ) -> Iterator[tuple[T, Outcome]]:
        """The outcome of each job, in order, once all of them are known.

        Batches that an earlier run left open are waited for first. Then what has no answer is submitted, until
        everything has one or was given up. Jobs wait on disk beside the journal, not in memory.

        Raises:
            LlavaMedError: the run cannot go on; what was answered, and which batches are open, is on file.
        """
        with tempfile.TemporaryFile(dir=self.journal.path.parent) as spool:
            for tag, request in jobs:
                pickle.dump((tag, request), spool)
                self.tally.from_journal += request.key in self.journal
            self._find_unsubmitted()
            self._collect_open()
            fruitless = 0
            while requests := self._submit(self._missing(spool, follow_up)):
                held = len(self.journal) + len(self._dropped)
                self._collect_open()
                fruitless = 0 if len(self.journal) + len(self._dropped) > held else fruitless + 1
                if fruitless >= _FRUITLESS:
                    raise LlavaMedError(
                        f"batches of {requests} requests came back empty {fruitless} times"
                        f"{': ' + self._complaint if self._complaint else ''}: run again later"
                    )
            for tag, request in _jobs(spool):
                yield tag, self._outcome(request, follow_up)

    # what is still to be asked

    def _missing(self, spool: IO[bytes], follow_up: FollowUp | None) -> Iterator[Request]:
        """Requests without an answer, each once."""
        seen: set[str] = set()
        for _, request in _jobs(spool):
            last = self._last(request, follow_up)
            if last.key in self.journal or last.key in self._dropped or last.key in seen:
                continue
            seen.add(last.key)
            yield last

    def _last(self, request: Request, follow_up: FollowUp | None) -> Request:
        """The request whose answer counts: the follow-up, where there is one."""
        answer = self.journal.answer(request.key)
        return (follow_up(request, answer) if answer and follow_up else None) or request

    def _outcome(self, request: Request, follow_up: FollowUp | None) -> Outcome:
        last = self._last(request, follow_up)
        answer = self.journal.answer(last.key)
        return outcome_of(answer) if answer else self._dropped[last.key]

    # submitting

    def _submit(self, requests: Iterable[Request]) -> int:
        """Submits `requests` in as few batches as the limits allow; how many there were.

        Raises:
            LlavaMedError: none of them may be paid.
        """
        lines, total = map(_line, self._affordable(requests)), 0
        line = next(lines, None)
        while line:
            count, size = 0, 0
            with tempfile.TemporaryFile(dir=self.journal.path.parent) as file:
                while line and count < self.limits.requests and size + len(line) <= self.limits.size:
                    file.write(line)
                    count, size = count + 1, size + len(line)
                    line = next(lines, None)
                if line and not count:
                    raise LlavaMedError(f"one request has {len(line)} bytes, more than a batch may have")
                self._submit_file(file, count)
            total += count
        return total

    def _affordable(self, requests: Iterable[Request]) -> Iterator[Request]:
        sent = False
        for request in requests:
            worst = self._gauge.worst(request)
            if not self.purse.covers(worst):
                if not sent:
                    raise LlavaMedError(
                        f"stopped at {self.purse.spent:.4f} of --max-cost {self.purse.limit} dollars: "
                        "what was answered is kept, run again with more to go on"
                    )
                return
            self.purse.put_aside(worst)
            sent = True
            yield request

    def _submit_file(self, file: Any, count: int) -> None:
        file.seek(0)
        name = f"{hashlib.file_digest(file, 'sha256').hexdigest()[:24]}-{len(self.journal.batches())}"
        self.journal.note_batch(name, state="intended", requests=count)

        def upload() -> FileObject:
            file.seek(0)
            return self._api.files.create(file=("requests.jsonl", file), purpose="batch")

        uploaded = self._call(upload)
        batch = self._call(
            lambda: self._api.batches.create(
                input_file_id=uploaded.id,
                endpoint=_ENDPOINT,
                completion_window="24h",
                metadata={_TAG: name},
            )
        )
        self.journal.note_batch(name, state="open", id=batch.id)

    def _find_unsubmitted(self) -> None:
        """Finds on the server what a killed run meant to submit; what is not there never was submitted."""
        names = {name for name, facts in self.journal.batches().items() if facts["state"] == "intended"}
        if not names:
            return
        for batch in self._call(lambda: list(self._api.batches.list(limit=100))):
            name = (batch.metadata or {}).get(_TAG)
            if name in names:
                self.journal.note_batch(name, state="open", id=batch.id)
                names.discard(name)
        for name in sorted(names):
            self.journal.note_batch(name, state="never submitted")

    # collecting

    def _collect_open(self) -> None:
        """Waits for every open batch and puts its answers on file."""
        collected = 0
        while waiting := self._open():
            for name, number in waiting.items():
                batch = self._call(lambda number=number: self._api.batches.retrieve(number))  # type: ignore[misc]
                if batch.status in _FINAL:
                    collected += self._collect(batch)
                    self.journal.note_batch(name, state="collected", status=batch.status)
            waiting = self._open()
            self._on_progress(len(waiting), collected)
            if waiting:
                time.sleep(self.limits.poll)
        self.purse.empty_aside()

    def _open(self) -> dict[str, str]:
        return {
            name: str(facts["id"])
            for name, facts in self.journal.batches().items()
            if facts["state"] == "open"
        }

    def _collect(self, batch: Batch) -> int:
        if batch.errors and batch.errors.data:
            self._complaint = str(batch.errors.data[0].message)
        count = 0
        if batch.output_file_id:
            rows = self._rows(batch.output_file_id)
            while entries := list(islice(self._answers(rows), _RECORDED_AT_ONCE)):
                self.journal.record(entries)
                count += len(entries)
        if batch.error_file_id:
            for row in self._rows(batch.error_file_id):
                self._failed(row)
        return count

    def _answers(self, rows: Iterator[JsonObject]) -> Iterator[tuple[str, Answer]]:
        for row in rows:
            response = row.get("response") or {}
            if response.get("status_code") != 200:
                self._failed(row)
                continue
            try:
                answer = read_answer(response.get("body") or {}, model=self.model.name)
            except UnusableAnswer:
                self._failed(row)
                continue
            if row["custom_id"] not in self.journal:
                self.tally.add(answer.usage)
                self.purse.book(answer.usage)
                self.tally.dollars = self.purse.spent
                yield row["custom_id"], answer

    def _failed(self, row: JsonObject) -> None:
        """Counts a request that a batch could not answer; gives it up where trying again is of no use."""
        key = str(row["custom_id"])
        fault = line_fault(row, model=self.model.name)
        if isinstance(fault, LlavaMedError):
            raise fault
        if isinstance(fault, Drop):
            self._dropped[key] = fault
            return
        if fault is None:
            return
        self._complaint = fault.why
        self._failures[key] += 1
        if self._failures[key] >= self.limits.attempts:
            self._dropped[key] = Drop(Reason.REQUEST_FAILED, f"{fault.why}, {self._failures[key]} times")

    def _rows(self, file_id: str) -> Iterator[JsonObject]:
        """The lines of a file of the server, by way of a file on disk: they may be many."""
        with tempfile.TemporaryDirectory(dir=self.journal.path.parent) as folder:
            path = Path(folder) / "rows.jsonl"
            self._call(lambda: self._download(file_id, path))
            with path.open(encoding="utf-8") as lines:
                for line in lines:
                    if line.strip():
                        yield json.loads(line)

    def _download(self, file_id: str, path: Path) -> None:
        with self._api.files.with_streaming_response.content(file_id) as response:
            response.stream_to_file(path)

    def _call(self, call: Callable[[], R]) -> R:
        """A call of the API with retries.

        Raises:
            LlavaMedError: it fails for good.
        """
        for attempt in range(self.limits.attempts):
            try:
                return call()
            except openai.APIError as error:
                fault = fault_of(error, model=self.model.name)
            if isinstance(fault, LlavaMedError):
                raise fault
            why = fault.why if isinstance(fault, Retry) else fault.detail
            after = fault.after if isinstance(fault, Retry) else None
            backoff = min(60.0, self.limits.backoff * 2**attempt) * random.uniform(0.5, 1.0)  # noqa: S311
            time.sleep(max(after or 0.0, backoff))
        raise LlavaMedError(f"the server fails again and again ({why}): run again later")


def _line(request: Request) -> bytes:
    entry = {"custom_id": request.key, "method": "POST", "url": _ENDPOINT, "body": request.body}
    return json.dumps(entry, ensure_ascii=False).encode() + b"\n"


def _jobs(spool: IO[bytes]) -> Iterator[tuple[Any, Request]]:
    spool.seek(0)
    with contextlib.suppress(EOFError):
        while True:
            yield pickle.load(spool)  # noqa: S301  (written by this process a moment ago)
