"""Fetching gives the same bytes whatever the network does, and gives up on objects, never on the run."""

import asyncio
import hashlib
import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from email.utils import formatdate
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llavamed_data.console.progress import FetchCounts
from llavamed_data.sources.fetch import Fetched, Manners, Problem, Wanted, fetch, retry_after
from llavamed_data.sources.stores import Place
from tests.servers.faults import (
    Corrupted,
    Fault,
    FaultyProxy,
    Hang,
    Latency,
    Request,
    Reset,
    Status,
    Truncated,
)
from tests.servers.files import folder

HASTY = Manners(
    concurrency=16,
    attempts=4,
    request_seconds=0.6,
    least_bytes_per_second=1e6,
    patience_seconds=20,
    first_pause=0.02,
    longest_pause=0.2,
)


def get(
    address: str,
    wanted: Iterable[Wanted],
    manners: Manners = HASTY,
    progress: Callable[[FetchCounts], None] | None = None,
) -> dict[str, Fetched]:
    async def run() -> dict[str, Fetched]:
        store = Place.of(address).store()
        fetched = fetch(store, wanted, manners=manners, address=address, progress=progress)
        return {one.wanted.key: one async for one in fetched}

    return asyncio.run(run())


def data(fetched: Mapping[str, Fetched]) -> dict[str, bytes]:
    assert {key: one.problem for key, one in fetched.items() if one.problem} == {}
    return {key: one.data for key, one in fetched.items()}


@pytest.fixture(scope="module")
def objects() -> dict[str, bytes]:
    chance = random.Random(7)
    return {f"o/{number:03d}.jpg": chance.randbytes(chance.randint(1, 60_000)) for number in range(100)}


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory, objects: Mapping[str, bytes]) -> Iterator[str]:
    place: Path = tmp_path_factory.mktemp("origin")
    (place / "o").mkdir()
    for key, content in objects.items():
        (place / key).write_bytes(content)
    (place / "empty").write_bytes(b"")
    (place / "large").write_bytes(bytes(8 << 20))
    with folder(place) as address:
        yield address


def wanted(objects: Mapping[str, bytes]) -> list[Wanted]:
    return [Wanted(key, hashlib.md5(content).hexdigest()) for key, content in objects.items()]


def test_every_object_comes_once_with_its_own_bytes(origin: str, objects: Mapping[str, bytes]) -> None:
    assert data(get(origin, wanted(objects))) == objects


def test_an_empty_object_is_no_failure(origin: str) -> None:
    assert data(get(origin, [Wanted("empty")])) == {"empty": b""}


FAULTS: list[Fault] = [
    Latency(0.2),
    Reset(),
    Status(503),
    Status(500),
    Truncated(),
    Corrupted(),
    Hang(),
    Hang(0.5),
]


def test_any_fault_that_passes_changes_nothing(origin: str, objects: Mapping[str, bytes]) -> None:
    def faults(request: Request) -> Fault | None:
        number = int(hashlib.md5(request.path.encode()).hexdigest(), 16)
        return FAULTS[number % len(FAULTS)] if request.nth == 1 and "/o/" in request.path else None

    with FaultyProxy(origin, faults) as proxy:
        assert data(get(proxy.address, wanted(objects))) == objects
        assert sum(1 for request in proxy.log if request.nth == 2) > len(objects) / 2


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    plan=st.lists(
        st.lists(
            st.sampled_from([Reset(), Status(503), Status(429, "0"), Truncated(0.9), Latency(0.05)]),
            max_size=3,
        ),
        min_size=8,
        max_size=8,
    )
)
def test_any_sequence_of_faults_shorter_than_the_attempts_changes_nothing(
    plan: list[list[Fault]], origin: str, objects: Mapping[str, bytes]
) -> None:
    few = dict(list(objects.items())[: len(plan)])
    script = {f"/{key}": faults for key, faults in zip(few, plan, strict=True)}

    def faults(request: Request) -> Fault | None:
        left = script.get(request.path, []) if request.method == "GET" else []
        return left[request.nth - 1] if request.nth <= len(left) else None

    with FaultyProxy(origin, faults) as proxy:
        assert data(get(proxy.address, wanted(few))) == few


@pytest.mark.parametrize(
    "fault", [Reset(), Status(503), Status(500), Truncated(), Hang(), Hang(0.5)], ids=repr
)
def test_an_object_that_always_fails_is_given_up_alone(
    fault: Fault, origin: str, objects: Mapping[str, bytes]
) -> None:
    few = dict(list(objects.items())[:20])
    poisoned = next(iter(few))
    with FaultyProxy(origin, lambda request: fault if request.path == f"/{poisoned}" else None) as proxy:
        fetched = get(proxy.address, wanted(few), replace(HASTY, attempts=3))
        asked = sum(1 for request in proxy.log if request.method == "GET" and request.path == f"/{poisoned}")
    assert fetched.pop(poisoned).problem is Problem.UNREACHABLE
    assert asked == 3
    assert data(fetched) == {key: few[key] for key in few if key != poisoned}


def test_what_is_not_there_is_told_at_once(origin: str) -> None:
    with FaultyProxy(origin) as proxy:
        fetched = get(proxy.address, [Wanted("o/none.jpg"), Wanted("../outside")])
        assert [request.path for request in proxy.log] == ["/o/none.jpg"]
    assert {one.problem for one in fetched.values()} == {Problem.MISSING}


def test_a_refusal_is_not_repeated(origin: str) -> None:
    with FaultyProxy(origin, lambda request: Status(403)) as proxy:
        assert get(proxy.address, [Wanted("o/000.jpg")])["o/000.jpg"].problem is Problem.UNREACHABLE
        assert len(proxy.log) == 1


def test_bytes_that_are_not_those_of_the_checksum_are_refused(origin: str) -> None:
    with FaultyProxy(origin) as proxy:
        fetched = get(proxy.address, [Wanted("o/000.jpg", "0" * 32)])
        assert len(proxy.log) == 2
    assert fetched["o/000.jpg"] == Fetched(Wanted("o/000.jpg", "0" * 32), problem=Problem.CHECKSUM)


def test_a_large_object_is_not_read_to_its_end(origin: str) -> None:
    with FaultyProxy(origin) as proxy:
        fetched = get(proxy.address, [Wanted("large", max_bytes=1 << 20)])
        time.sleep(0.2)
        assert proxy.sent < 6 << 20  # what the sockets' buffers take
    assert fetched["large"].problem is Problem.TOO_LARGE


def test_retry_after_holds_back_every_request(origin: str, objects: Mapping[str, bytes]) -> None:
    few = dict(list(objects.items())[:40])
    start = time.monotonic()

    def busy_for_a_second(request: Request) -> Fault | None:
        return Status(429, "2") if request.time - start < 1 else None

    with FaultyProxy(origin, busy_for_a_second) as proxy:
        assert data(get(proxy.address, wanted(few))) == few
        asked = [request.time for request in proxy.log]
    told = max(moment for moment in asked if moment - start < 1)
    assert min(moment for moment in asked if moment > told) - told >= 1.8
    assert len(asked) <= 16 + 2 + len(
        few
    )  # one round, one question for how long, one whether any answers, then each


def test_retry_after_may_be_a_date(origin: str) -> None:
    with FaultyProxy(origin, lambda request: Status(503, formatdate(time.time() + 60, usegmt=True))) as proxy:
        assert 55 < retry_after(f"{proxy.address}/x", timeout=5) <= 60
    with FaultyProxy(origin, lambda request: Status(503, "soon")) as proxy:
        assert retry_after(f"{proxy.address}/x", timeout=5) == 0


def test_a_burst_of_503_on_everything_costs_no_object(origin: str, objects: Mapping[str, bytes]) -> None:
    start = time.monotonic()
    manners = replace(HASTY, attempts=2)
    with FaultyProxy(origin, lambda request: Status(503) if request.time - start < 1.5 else None) as proxy:
        assert data(get(proxy.address, wanted(objects), manners)) == objects


def test_a_server_that_dies_and_comes_back_costs_no_object(origin: str, objects: Mapping[str, bytes]) -> None:
    manners = replace(HASTY, attempts=2, concurrency=8)
    with FaultyProxy(origin, lambda request: Latency(0.05)) as proxy:
        outage = threading.Timer(0.3, proxy.down), threading.Timer(2.5, proxy.up)
        for timer in outage:
            timer.start()
        start = time.monotonic()
        assert data(get(proxy.address, wanted(objects), manners)) == objects
        assert time.monotonic() - start > 2


def test_a_server_that_stays_away_ends_the_run_when_patience_is_over(objects: Mapping[str, bytes]) -> None:
    manners = replace(HASTY, patience_seconds=1.5)
    start = time.monotonic()
    fetched = get("http://127.0.0.1:9", wanted(objects), manners)
    assert 1.5 <= time.monotonic() - start < 60
    assert {one.problem for one in fetched.values()} == {Problem.UNREACHABLE}
    assert len(fetched) == len(objects)


def test_no_more_requests_at_once_than_allowed(origin: str, objects: Mapping[str, bytes]) -> None:
    with FaultyProxy(origin, lambda request: Latency(0.05)) as proxy:
        data(get(proxy.address, wanted(objects), Manners(concurrency=5)))
        assert proxy.most_at_once == 5


def test_bytes_that_nobody_takes_stay_within_bounds(origin: str, objects: Mapping[str, bytes]) -> None:
    """A slow consumer: what has arrived and was not taken is never more than allowed, and one object."""
    received = taken = most = 0

    def count(progress: FetchCounts) -> None:
        nonlocal received
        received = progress.bytes

    async def run() -> None:
        nonlocal taken, most
        store = Place.of(origin).store()
        manners = Manners(concurrency=16, bytes_in_flight=100_000)
        async for fetched in fetch(store, wanted(objects), manners=manners, progress=count):
            await asyncio.sleep(0.005)
            most = max(most, received - taken)
            taken += len(fetched.data)

    asyncio.run(run())
    assert taken == sum(map(len, objects.values()))
    assert most <= 100_000 + 2 * 60_000


def test_what_is_wanted_is_read_no_further_than_needed(origin: str) -> None:
    asked = 0

    def endless() -> Iterator[Wanted]:
        nonlocal asked
        while True:
            asked += 1
            yield Wanted("o/000.jpg", label=str(asked))

    async def run() -> None:
        store = Place.of(origin).store()
        fetched = fetch(store, endless(), manners=Manners(concurrency=4))
        for _ in range(10):
            await anext(fetched)
        await asyncio.sleep(0.3)
        await fetched.aclose()  # type: ignore[attr-defined]

    asyncio.run(run())
    assert asked <= 10 + 3 * 4


def test_progress_counts_objects_bytes_and_repetitions(origin: str, objects: Mapping[str, bytes]) -> None:
    few = dict(list(objects.items())[:10])
    seen: list[FetchCounts] = []
    with FaultyProxy(
        origin, lambda request: Truncated() if request.nth == 1 and request.path.startswith("/o/") else None
    ) as proxy:
        get(proxy.address, wanted(few), progress=seen.append)
    assert seen[-1] == FetchCounts(objects=10, bytes=sum(map(len, few.values())), retries=10)


def test_a_fault_of_the_caller_is_not_swallowed(origin: str) -> None:
    def broken() -> Iterator[Wanted]:
        yield Wanted("o/000.jpg")
        raise RuntimeError("the list of wanted objects is broken")

    with pytest.raises(RuntimeError, match="is broken"):
        get(origin, broken())
