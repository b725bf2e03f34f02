"""Gets many objects at once from a store that is slow, busy, lying or away, in bounded memory.

Every object is tried on its own, with jittered exponential back-off (AWS Architecture Blog, "Exponential Backoff and
Jitter", full jitter). What fails while the store answers counts against the object; what fails while it does not
answer at all counts against nobody until `patience_seconds` are over. obstore's own retries are off: they know nothing
of the other requests, and a server's `Retry-After` cannot be seen through them.
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
from email.utils import parsedate_to_datetime
from enum import Enum
from typing import TYPE_CHECKING, Protocol, Self, runtime_checkable

import obstore
from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError

from llavamed_data.console.progress import FetchCounts

if TYPE_CHECKING:
    from obstore.store import ObjectStore

_PROBE = "no-such-object"
_PROBE_SECONDS = 10.0
_PROBE_HOLDS_SECONDS = 1.0
_STATUS = re.compile(r"non-2xx status code: (\d{3})")
_ASKS_TO_WAIT = (429, 503)
_WORTH_REPEATING = (408, 425, 429)
_WRONG_BYTES_TRIES = 2
_SIGNS = {
    "dns error": "the host is not known",
    "Connect,": "no connection",
    "UnexpectedEof": "the answer was cut off",
    "IncompleteMessage": "the connection was closed",
    "ConnectionReset": "the connection was reset",
    "TimedOut": "no answer in time",
    "Permission denied": "permission denied",
}
"""What obstore's errors are told apart by, as it has no classes for them."""


class Problem(Enum):
    """Why an object could not be had."""

    MISSING = "no such object"
    UNREACHABLE = "cannot be reached"
    CHECKSUM = "its bytes are not those of its checksum"
    TOO_LARGE = "too large"


@dataclass(frozen=True, slots=True)
class Wanted:
    """An object to get.

    Attributes:
        key: its path in the store.
        md5: hex digest that its bytes must have, where one is known.
        label: whatever tells the caller what it is.
        max_bytes: of this object, where it is less than `Manners.max_bytes`.
    """

    key: str
    md5: str | None = None
    label: str = ""
    max_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Fetched:
    """What became of an object: its bytes, or the problem and a detail."""

    wanted: Wanted
    data: bytes = b""
    problem: Problem | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Manners:
    """How hard to try.

    Attributes:
        concurrency: requests in flight.
        max_bytes: of one object; more is `TOO_LARGE`, and no more is read.
        bytes_in_flight: of all objects being received or waiting to be taken.
        attempts: per object, while the store answers.
        request_seconds: after which a request without an answer has failed; a body may take as long again, and
            more at `least_bytes_per_second`.
        least_bytes_per_second: a body that comes more slowly has failed.
        patience_seconds: how long a store that answers nothing is waited for.
        first_pause, longest_pause: seconds; bounds of the back-off.
    """

    concurrency: int = 64
    max_bytes: int = 256 * 2**20
    bytes_in_flight: int = 256 * 2**20
    attempts: int = 8
    request_seconds: float = 30.0
    least_bytes_per_second: float = 10_000
    patience_seconds: float = 900.0
    first_pause: float = 0.2
    longest_pause: float = 20.0


@runtime_checkable
class Reporting(Protocol):
    """A source that can tell of its requests while it works."""

    def reporting(self, progress: Callable[[FetchCounts], None]) -> Self:
        """The same source, which calls `progress` after every object and every repetition."""


async def fetch(
    store: "ObjectStore",
    wanted: Iterable[Wanted],
    *,
    manners: Manners | None = None,
    address: str | None = None,
    progress: Callable[[FetchCounts], None] | None = None,
) -> AsyncIterator[Fetched]:
    """Gets each of `wanted`, which is read no faster than objects arrive; yields them as they come.

    Args:
        store: made with `max_retries` 0, so that trying again is decided here.
        wanted: the objects.
        manners: how hard to try.
        address: URL that keys are added to, where the store speaks HTTP: it is asked for `Retry-After`.
        progress: called after every object and every repetition.
    """
    fetcher = Fetcher(store, manners=manners, address=address, progress=progress)
    async for fetched in fetcher.all(wanted):
        yield fetched


class Fetcher:
    """The requests of one run against one store; arguments as for `fetch`."""

    def __init__(
        self,
        store: "ObjectStore",
        *,
        manners: Manners | None = None,
        address: str | None = None,
        progress: Callable[[FetchCounts], None] | None = None,
    ) -> None:
        self.manners = manners or Manners()
        self.counts = FetchCounts()
        self._store = store
        self._line = _Line(store, address, self.manners)
        self._memory = _Memory(self.manners.bytes_in_flight)
        self._report = progress

    async def all(self, wanted: Iterable[Wanted]) -> AsyncIterator[Fetched]:
        """As `fetch`."""
        arrived: asyncio.Queue[Fetched | Exception | None] = asyncio.Queue(self.manners.concurrency)
        shared = iter(wanted)
        workers = [asyncio.create_task(self._work(shared, arrived)) for _ in range(self.manners.concurrency)]
        try:
            working = len(workers)
            while working:
                fetched = await arrived.get()
                if fetched is None:
                    working -= 1
                    continue
                if isinstance(fetched, Exception):
                    raise fetched
                await self.taken(len(fetched.data))
                yield fetched
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)

    async def _work(
        self, shared: Iterator[Wanted], arrived: asyncio.Queue[Fetched | Exception | None]
    ) -> None:
        try:
            for wanted in shared:
                await arrived.put(await self.get(wanted))
            await arrived.put(None)
        except Exception as error:
            await arrived.put(error)

    async def get(self, wanted: Wanted, *, turn: int | None = None) -> Fetched:
        """One object. Its bytes count as in flight until `taken` is called for it.

        Args:
            wanted: the object.
            turn: its place, where objects are taken in order: the one whose turn it is never waits for memory
                that those behind it hold.
        """
        tries = _Tries()
        while True:
            await self._line.free()
            started = time.monotonic()
            try:
                fetched = await self._try(wanted, turn)
            except _WorthRepeatingError as error:
                if ended := await self._verdict(wanted, error, tries, started):
                    return self._end(ended)
                self._count(retries=self.counts.retries + 1)
                await asyncio.sleep(tries.pause(self.manners))
            else:
                self._line.heard()
                return self._end(fetched)

    async def taken(self, size: int, *, next_turn: int | None = None) -> None:
        """The caller has taken `size` bytes over, and where order counts goes on to `next_turn`."""
        await self._memory.give_back(size, next_turn)

    async def _try(self, wanted: Wanted, turn: int | None) -> Fetched:
        try:
            data = await self._receive(wanted, turn)
        except FileNotFoundError:
            return Fetched(wanted, problem=Problem.MISSING)
        except _TooLargeError as error:
            return Fetched(wanted, problem=Problem.TOO_LARGE, detail=str(error))
        except ValueError:  # how obstore refuses what cannot be a key
            return Fetched(wanted, problem=Problem.MISSING, detail="not a key")
        except (PermissionDeniedError, UnauthenticatedError) as error:
            return Fetched(wanted, problem=Problem.UNREACHABLE, detail=_plainly(error))
        except (BaseError, OSError) as error:
            status = _status(error)
            if status and status < 500 and status not in _WORTH_REPEATING:
                return Fetched(wanted, problem=Problem.UNREACHABLE, detail=_plainly(error))
            raise _WorthRepeatingError(_plainly(error), status=status) from error
        if wanted.md5 and hashlib.md5(data, usedforsecurity=False).hexdigest() != wanted.md5.lower():
            await self._memory.give_back(len(data))
            raise _WorthRepeatingError(Problem.CHECKSUM.value, wrong_bytes=True)
        return Fetched(wanted, data)

    async def _receive(self, wanted: Wanted, turn: int | None) -> bytes:
        manners = self.manners
        async with asyncio.timeout(manners.request_seconds):
            answer = await obstore.get_async(self._store, wanted.key)
        size = answer.meta["size"]
        most = min(manners.max_bytes, wanted.max_bytes or manners.max_bytes)
        if size > most:
            raise _TooLargeError(f"{size} bytes, more than {most}")
        await self._memory.take(size, turn)
        try:
            async with asyncio.timeout(manners.request_seconds + size / manners.least_bytes_per_second):
                data = bytes(await answer.bytes_async())
            if len(data) != size:
                raise _WorthRepeatingError(f"{len(data)} of {size} bytes came")
        except BaseException:
            await self._memory.give_back(size)
            raise
        return data

    async def _verdict(
        self, wanted: Wanted, error: "_WorthRepeatingError", tries: "_Tries", started: float
    ) -> Fetched | None:
        """None to try again."""
        tries.made += 1
        if error.wrong_bytes:
            tries.wrong_bytes += 1
            if tries.wrong_bytes >= _WRONG_BYTES_TRIES:
                return Fetched(wanted, problem=Problem.CHECKSUM)
            return None
        if error.status in _ASKS_TO_WAIT:
            await self._line.asks_to_wait(wanted.key)
        if await self._line.answers(since=started):
            tries.counted += 1
        if tries.counted >= self.manners.attempts or self._line.given_up():
            return Fetched(wanted, problem=Problem.UNREACHABLE, detail=f"{error}, {tries.made} tries")
        return None

    def _end(self, fetched: Fetched) -> Fetched:
        counts = self.counts
        self._count(objects=counts.objects + 1, bytes=counts.bytes + len(fetched.data))
        return fetched

    def _count(self, **changes: int) -> None:
        self.counts = replace(self.counts, **changes)
        if self._report:
            self._report(self.counts)


@dataclass(slots=True)
class _Tries:
    """The tries at one object: all, those that count against it, those that gave other bytes than promised."""

    made: int = 0
    counted: int = 0
    wrong_bytes: int = 0

    def pause(self, manners: Manners) -> float:
        longest = min(manners.longest_pause, manners.first_pause * 2.0 ** min(self.made - 1, 32))
        return random.uniform(0.5, 1.0) * longest  # noqa: S311  (jitter, not a secret)


class _Memory:
    """Bytes in flight: whoever would pass the limit waits, save when alone or when it is their turn."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._used = 0
        self._turn = 0
        self._changed = asyncio.Condition()

    async def take(self, size: int, turn: int | None) -> None:
        async with self._changed:
            await self._changed.wait_for(
                lambda: not self._used or self._used + size <= self._limit or turn == self._turn
            )
            self._used += size

    async def give_back(self, size: int, next_turn: int | None = None) -> None:
        async with self._changed:
            self._used -= size
            self._turn = self._turn if next_turn is None else next_turn
            self._changed.notify_all()


class _Line:
    """Whether the store answers at all, and whether it asked to be left alone for a while."""

    def __init__(self, store: "ObjectStore", address: str | None, manners: Manners) -> None:
        self._store = store
        self._address = address
        self._manners = manners
        self._heard = self._free_at = -1.0
        self._probed = self._asked = -_PROBE_HOLDS_SECONDS
        self._silent_since: float | None = None
        self._one_at_a_time = asyncio.Lock()

    def heard(self) -> None:
        """An object came, or the answer that there is none."""
        self._heard = time.monotonic()
        self._silent_since = None

    def given_up(self) -> bool:
        """Whether it has been silent for longer than patience lasts."""
        since = self._silent_since
        return since is not None and time.monotonic() - since >= self._manners.patience_seconds

    async def free(self) -> None:
        """Waits until the time that the server asked for is over."""
        while (wait := self._free_at - time.monotonic()) > 0:  # noqa: ASYNC110  (the time may be put off)
            await asyncio.sleep(wait * random.uniform(1.0, 1.2))  # noqa: S311  (not all at the same moment)

    async def answers(self, *, since: float) -> bool:
        """Whether anything was heard after `since`; else an object that does not exist is asked for."""
        async with self._one_at_a_time:
            now = time.monotonic()
            if self._heard < since and now - self._probed >= _PROBE_HOLDS_SECONDS:
                answered = await self._probe()
                self._probed = time.monotonic()
                if answered:
                    self.heard()
                elif self._silent_since is None:
                    self._silent_since = now
            return self._silent_since is None

    async def asks_to_wait(self, key: str) -> None:
        """Reads for how long, from a HEAD of the object that was refused."""
        async with self._one_at_a_time:
            if self._address and time.monotonic() - self._asked >= _PROBE_HOLDS_SECONDS:
                url = f"{self._address.rstrip('/')}/{urllib.parse.quote(key)}"
                seconds = await asyncio.to_thread(retry_after, url, timeout=_PROBE_SECONDS)
                self._asked = time.monotonic()
                self._free_at = self._asked + min(seconds, self._manners.patience_seconds)

    async def _probe(self) -> bool:
        try:
            async with asyncio.timeout(min(_PROBE_SECONDS, self._manners.request_seconds)):
                await obstore.head_async(self._store, _PROBE)
        except (FileNotFoundError, PermissionDeniedError, UnauthenticatedError):
            return True
        except (BaseError, OSError) as error:
            status = _status(error)
            return bool(status and status < 500 and status not in _WORTH_REPEATING)
        return True


def retry_after(url: str, *, timeout: float) -> float:
    """Seconds that the server asks to be left alone for; 0 where it does not. Blocks."""
    request = urllib.request.Request(url, method="HEAD")  # noqa: S310  (http or https: an endpoint's address)
    try:
        with urllib.request.urlopen(request, timeout=timeout):  # noqa: S310
            return 0.0
    except urllib.error.HTTPError as error:
        return seconds_of(error.headers.get("Retry-After", "").strip())
    except (OSError, http.client.HTTPException):
        return 0.0


def seconds_of(value: str) -> float:
    """How long a `Retry-After` asks to wait (RFC 9110, 10.2.3): a number of seconds or a date; else 0."""
    if value.isdecimal():
        return float(value)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return 0.0


class _WorthRepeatingError(Exception):
    def __init__(self, message: str, *, status: int | None = None, wrong_bytes: bool = False) -> None:
        super().__init__(message)
        self.status = status
        self.wrong_bytes = wrong_bytes


class _TooLargeError(Exception):
    pass


def _status(error: BaseException) -> int | None:
    found = _STATUS.search(str(error))
    return int(found.group(1)) if found else None


def _plainly(error: BaseException) -> str:
    """One line for people: obstore's messages hold addresses, and a dump of its structures."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if status := _status(error):
        return f"the server answers {status}"
    if isinstance(error, PermissionDeniedError | UnauthenticatedError):
        return "access denied"
    for sign, meaning in _SIGNS.items():
        if sign in str(error):
            return meaning
    return type(error).__name__
