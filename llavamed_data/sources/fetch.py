"""Gets many objects at once from a store that may be slow, busy, faulty or unreachable, in bounded memory.

Every object is tried on its own, with jittered exponential back-off (AWS Architecture Blog, "Exponential Backoff and
Jitter"). A failure counts against the object only if the store answers other requests; while the store answers none,
all objects wait for it, up to `FetchPolicy.outage_seconds`. obstore's own retries are off: they know nothing of the
other requests, and a server's `Retry-After` cannot be seen through them.
"""

import asyncio
import hashlib
import http.client
import random
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

import obstore
from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError

from llavamed_data.console.progress import FetchCounts
from llavamed_data.io.backoff import backoff_seconds, retry_after_seconds
from llavamed_data.io.regular_files import NotAFileError, require_file

if TYPE_CHECKING:
    from obstore.store import ObjectStore

_PROBE_KEY = "no-such-object"
_PROBE_TIMEOUT = 10.0
_PROBE_VALID_SECONDS = 1.0
"""For how long the result of asking the server for its health holds for all requests."""

_STATUS = re.compile(r"non-2xx status code: (\d{3})")
_RATE_LIMITED = (429, 503)
_RETRYABLE_STATUSES = (408, 425, 429)
_CHECKSUM_ATTEMPTS = 2
_CAUSES = {
    "dns error": "the host is not known",
    "Connect,": "no connection",
    "UnexpectedEof": "the answer was cut off",
    "IncompleteMessage": "the connection was closed",
    "ConnectionReset": "the connection was reset",
    "TimedOut": "no answer in time",
    "Permission denied": "permission denied",
}
"""Part of the text of an error of obstore, which has no classes for these → its cause, in words."""


class FetchProblem(Enum):
    """Why an object could not be had."""

    MISSING = "no such object"
    UNREACHABLE = "cannot be reached"
    CHECKSUM = "its bytes are not those of its checksum"
    TOO_LARGE = "too large"
    NOT_A_FILE = "not a file"


@dataclass(frozen=True, slots=True)
class FetchRequest:
    """An object to get.

    Attributes:
        key: its path in the store.
        md5: hex digest that its bytes must have, if one is known.
        label: any text by which the caller knows the object.
        max_bytes: of this object, if it is less than `FetchPolicy.max_bytes`.
    """

    key: str
    md5: str | None = None
    label: str = ""
    max_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class FetchResult:
    """The bytes of an object, or the problem and a detail."""

    request: FetchRequest
    data: bytes = b""
    problem: FetchProblem | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class FetchPolicy:
    """How many requests at once, how much memory, and how often and how long to try.

    Attributes:
        concurrency: requests in flight.
        max_bytes: of one object; a larger one is TOO_LARGE, and is not read.
        bytes_in_flight: of all objects that are being received or wait for the caller.
        attempts: per object, while the store answers.
        request_seconds: after which a request without a response has failed; a body may take as long again, and
            more at `min_bytes_per_second`.
        min_bytes_per_second: a body that comes more slowly has failed.
        outage_seconds: for how long a store that answers nothing is waited for.
        first_pause, longest_pause: bounds of the back-off, in seconds.
    """

    concurrency: int = 64
    max_bytes: int = 256 * 2**20
    bytes_in_flight: int = 256 * 2**20
    attempts: int = 8
    request_seconds: float = 30.0
    min_bytes_per_second: float = 10_000
    outage_seconds: float = 900.0
    first_pause: float = 0.2
    longest_pause: float = 20.0


class Fetcher:
    """The requests of one run to one store.

    Args:
        store: made with `max_retries` 0, so that repetition is decided here.
        policy: how hard to try.
        address: URL to which keys are added, if the store speaks HTTP: it is asked for `Retry-After`.
        folder: of a store on disk, where a key may name something that is no file.
        on_counts: called after every object and every repetition.
    """

    def __init__(
        self,
        store: "ObjectStore",
        *,
        policy: FetchPolicy | None = None,
        address: str | None = None,
        folder: Path | None = None,
        on_counts: Callable[[FetchCounts], None] | None = None,
    ) -> None:
        self.policy = policy or FetchPolicy()
        self.counts = FetchCounts()
        self._store = store
        self._folder = folder
        self._health = _ServerHealth(store, address, self.policy)
        self._in_flight = _BytesInFlight(self.policy.bytes_in_flight)
        self._on_counts = on_counts

    async def get_all(self, requests: Iterable[FetchRequest]) -> AsyncIterator[FetchResult]:
        """Yields the results as they arrive; `requests` is read no faster than that."""
        arrived: asyncio.Queue[FetchResult | Exception | None] = asyncio.Queue(self.policy.concurrency)
        shared = iter(requests)
        workers = [asyncio.create_task(self._work(shared, arrived)) for _ in range(self.policy.concurrency)]
        try:
            working = len(workers)
            while working:
                result = await arrived.get()
                if result is None:
                    working -= 1
                    continue
                if isinstance(result, Exception):
                    raise result
                await self.release(len(result.data))
                yield result
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)

    async def _work(
        self, shared: Iterator[FetchRequest], arrived: asyncio.Queue[FetchResult | Exception | None]
    ) -> None:
        try:
            for request in shared:
                await arrived.put(await self.get(request))
            await arrived.put(None)
        except Exception as error:
            await arrived.put(error)

    async def get(self, request: FetchRequest, *, turn: int | None = None) -> FetchResult:
        """Gets one object. Its bytes count as in flight until `release` is called for them.

        Args:
            request: the object.
            turn: its place, if objects are taken in order: the one whose turn it is never waits for the memory of
                those behind it.
        """
        attempts = _Attempts()
        while True:
            await self._health.wait_until_allowed()
            started = time.monotonic()
            try:
                result = await self._try(request, turn)
            except _RetryableError as error:
                failed = await self._after_failure(request, error, attempts, started)
                if failed is None:
                    self._count(retries=self.counts.retries + 1)
                    pauses = {"first": self.policy.first_pause, "longest": self.policy.longest_pause}
                    await asyncio.sleep(backoff_seconds(attempts.made, **pauses))
                    continue
                result = failed
            else:
                self._health.note_answer()
            self._count(objects=self.counts.objects + 1, bytes=self.counts.bytes + len(result.data))
            return result

    async def release(self, size: int, *, next_turn: int | None = None) -> None:
        """Says that the caller has taken `size` bytes, and whose turn is next if order counts."""
        await self._in_flight.release(size, next_turn)

    async def _try(self, request: FetchRequest, turn: int | None) -> FetchResult:
        try:
            data = await self._receive(request, turn)
        except FileNotFoundError:
            return FetchResult(request, problem=FetchProblem.MISSING)
        except NotAFileError as error:
            return FetchResult(request, problem=FetchProblem.NOT_A_FILE, detail=str(error.strerror))
        except _TooLargeError as error:
            return FetchResult(request, problem=FetchProblem.TOO_LARGE, detail=str(error))
        except ValueError:  # how obstore refuses what cannot be a key
            return FetchResult(request, problem=FetchProblem.MISSING, detail="not a key")
        except (PermissionDeniedError, UnauthenticatedError) as error:
            return FetchResult(request, problem=FetchProblem.UNREACHABLE, detail=_cause(error))
        except (BaseError, OSError) as error:
            status = _status(error)
            if status and status < 500 and status not in _RETRYABLE_STATUSES:
                return FetchResult(request, problem=FetchProblem.UNREACHABLE, detail=_cause(error))
            raise _RetryableError(_cause(error), status=status) from error
        if request.md5 and hashlib.md5(data, usedforsecurity=False).hexdigest() != request.md5.lower():
            await self.release(len(data))
            raise _RetryableError(FetchProblem.CHECKSUM.value, wrong_checksum=True)
        return FetchResult(request, data)

    async def _receive(self, request: FetchRequest, turn: int | None) -> bytes:
        policy = self.policy
        if self._folder is not None:
            require_file(self._folder / request.key)
        async with asyncio.timeout(policy.request_seconds):
            response = await obstore.get_async(self._store, request.key)
        size = response.meta["size"]
        limit = min(policy.max_bytes, request.max_bytes or policy.max_bytes)
        if size > limit:
            raise _TooLargeError(f"{size} bytes, more than {limit}")
        await self._in_flight.acquire(size, turn)
        try:
            async with asyncio.timeout(policy.request_seconds + size / policy.min_bytes_per_second):
                data = bytes(await response.bytes_async())
            if len(data) != size:
                raise _RetryableError(f"{len(data)} of {size} bytes came")
        except BaseException:
            await self.release(size)
            raise
        return data

    async def _after_failure(
        self, request: FetchRequest, error: "_RetryableError", attempts: "_Attempts", started: float
    ) -> FetchResult | None:
        """The result if the object is given up; None to try it again."""
        attempts.made += 1
        if error.wrong_checksum:
            attempts.wrong_checksum += 1
            exhausted = attempts.wrong_checksum >= _CHECKSUM_ATTEMPTS
            return FetchResult(request, problem=FetchProblem.CHECKSUM) if exhausted else None
        if error.status in _RATE_LIMITED:
            await self._health.read_retry_after(request.key)
        if await self._health.is_answering(since=started):
            attempts.counted += 1
        if attempts.counted >= self.policy.attempts or self._health.outage_is_over_limit():
            detail = f"{error}, {attempts.made} tries"
            return FetchResult(request, problem=FetchProblem.UNREACHABLE, detail=detail)
        return None

    def _count(self, **changes: int) -> None:
        self.counts = replace(self.counts, **changes)
        if self._on_counts:
            self._on_counts(self.counts)


@dataclass(slots=True)
class _Attempts:
    """The failed attempts at one object: all, those that count against it, and those with a wrong checksum."""

    made: int = 0
    counted: int = 0
    wrong_checksum: int = 0


class _BytesInFlight:
    """Limits the bytes in flight: who would exceed the limit waits, unless nothing is in flight or it is their turn."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._used = 0
        self._turn = 0
        self._changed = asyncio.Condition()

    async def acquire(self, size: int, turn: int | None) -> None:
        async with self._changed:
            await self._changed.wait_for(
                lambda: not self._used or self._used + size <= self._limit or turn == self._turn
            )
            self._used += size

    async def release(self, size: int, next_turn: int | None = None) -> None:
        async with self._changed:
            self._used -= size
            self._turn = self._turn if next_turn is None else next_turn
            self._changed.notify_all()


class _ServerHealth:
    """Whether the store answers at all, and until when it asked not to be sent requests."""

    def __init__(self, store: "ObjectStore", address: str | None, policy: FetchPolicy) -> None:
        self._store = store
        self._address = address
        self._policy = policy
        self._last_answer = self._allowed_at = -1.0
        self._last_probe = self._last_question = -_PROBE_VALID_SECONDS
        self._silent_since: float | None = None
        self._one_at_a_time = asyncio.Lock()

    def note_answer(self) -> None:
        """Notes that an object came, or the answer that there is none."""
        self._last_answer = time.monotonic()
        self._silent_since = None

    def outage_is_over_limit(self) -> bool:
        """Whether the store has been silent for longer than `outage_seconds`."""
        since = self._silent_since
        return since is not None and time.monotonic() - since >= self._policy.outage_seconds

    async def wait_until_allowed(self) -> None:
        """Waits until the time that the server asked for is over."""
        while (wait := self._allowed_at - time.monotonic()) > 0:  # noqa: ASYNC110  (the time may be put off)
            await asyncio.sleep(wait * random.uniform(1.0, 1.2))  # noqa: S311  (not all at the same moment)

    async def is_answering(self, *, since: float) -> bool:
        """Whether the store has answered after `since`; if it has not, asks for an object that does not exist."""
        async with self._one_at_a_time:
            now = time.monotonic()
            if self._last_answer < since and now - self._last_probe >= _PROBE_VALID_SECONDS:
                answered = await self._probe()
                self._last_probe = time.monotonic()
                if answered:
                    self.note_answer()
                elif self._silent_since is None:
                    self._silent_since = now
            return self._silent_since is None

    async def read_retry_after(self, key: str) -> None:
        """Asks with a HEAD request of the refused object for how long to wait."""
        async with self._one_at_a_time:
            if self._address and time.monotonic() - self._last_question >= _PROBE_VALID_SECONDS:
                url = f"{self._address.rstrip('/')}/{urllib.parse.quote(key)}"
                seconds = await asyncio.to_thread(ask_retry_after, url, timeout=_PROBE_TIMEOUT)
                self._last_question = time.monotonic()
                self._allowed_at = self._last_question + min(seconds, self._policy.outage_seconds)

    async def _probe(self) -> bool:
        try:
            async with asyncio.timeout(min(_PROBE_TIMEOUT, self._policy.request_seconds)):
                await obstore.head_async(self._store, _PROBE_KEY)
        except (FileNotFoundError, PermissionDeniedError, UnauthenticatedError):
            return True
        except (BaseError, OSError) as error:
            status = _status(error)
            return bool(status and status < 500 and status not in _RETRYABLE_STATUSES)
        return True


def ask_retry_after(url: str, *, timeout: float) -> float:
    """Sends a HEAD request and returns the seconds that the server asks to wait, 0 if it does not. Blocks."""
    request = urllib.request.Request(url, method="HEAD")  # noqa: S310  (http or https: an endpoint's address)
    try:
        with urllib.request.urlopen(request, timeout=timeout):  # noqa: S310  (as above)
            return 0.0
    except urllib.error.HTTPError as error:
        return retry_after_seconds(error.headers["Retry-After"]) or 0.0
    except (OSError, http.client.HTTPException):
        return 0.0


class _RetryableError(Exception):
    def __init__(self, message: str, *, status: int | None = None, wrong_checksum: bool = False) -> None:
        super().__init__(message)
        self.status = status
        self.wrong_checksum = wrong_checksum


class _TooLargeError(Exception):
    pass


def _status(error: BaseException) -> int | None:
    found = _STATUS.search(str(error))
    return int(found.group(1)) if found else None


def _cause(error: BaseException) -> str:
    """The cause in a few words: obstore's messages hold addresses and a dump of its structures."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if status := _status(error):
        return f"the server answers {status}"
    if isinstance(error, PermissionDeniedError | UnauthenticatedError):
        return "access denied"
    for part, cause in _CAUSES.items():
        if part in str(error):
            return cause
    return type(error).__name__
