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
from llavamed_data.sources.fetch import (
    Fetcher,
    FetchPolicy,
    FetchProblem,
    FetchRequest,
    FetchResult,
    ask_retry_after,
)
from llavamed_data.sources.locations import BucketLocation
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

HASTY = FetchPolicy(
    concurrency=16,
    attempts=4,
    request_seconds=0.6,
    min_bytes_per_second=1e6,
    outage_seconds=20,
    first_pause=0.02,
    longest_pause=0.2,
)


def get(
    address: str,
    requests: Iterable[FetchRequest],
    policy: FetchPolicy = HASTY,
    on_counts: Callable[[FetchCounts], None] | None = None,
) -> dict[str, FetchResult]:
    async def run() -> dict[str, FetchResult]:
        store = BucketLocation.of(address).store()
        fetched = Fetcher(store, policy=policy, address=address, on_counts=on_counts).get_all(requests)
        return {one.request.key: one async for one in fetched}

    return asyncio.run(run())


def data(fetched: Mapping[str, FetchResult]) -> dict[str, bytes]:
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


def requests(objects: Mapping[str, bytes]) -> list[FetchRequest]:
    return [FetchRequest(key, hashlib.md5(content).hexdigest()) for key, content in objects.items()]


def test_every_object_comes_once_with_its_own_bytes(origin: str, objects: Mapping[str, bytes]) -> None:
    assert data(get(origin, requests(objects))) == objects


def test_an_empty_object_is_no_failure(origin: str) -> None:
    assert data(get(origin, [FetchRequest("empty")])) == {"empty": b""}


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


def test_temporary_faults_change_nothing(origin: str, objects: Mapping[str, bytes]) -> None:
    def faults(request: Request) -> Fault | None:
        number = int(hashlib.md5(request.path.encode()).hexdigest(), 16)
        return FAULTS[number % len(FAULTS)] if request.nth == 1 and "/o/" in request.path else None

    with FaultyProxy(origin, faults) as proxy:
        assert data(get(proxy.address, requests(objects))) == objects
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
        assert data(get(proxy.address, requests(few))) == few


@pytest.mark.parametrize(
    "fault", [Reset(), Status(503), Status(500), Truncated(), Hang(), Hang(0.5)], ids=repr
)
def test_an_object_that_always_fails_is_given_up_alone(
    fault: Fault, origin: str, objects: Mapping[str, bytes]
) -> None:
    few = dict(list(objects.items())[:20])
    poisoned = next(iter(few))
    with FaultyProxy(origin, lambda request: fault if request.path == f"/{poisoned}" else None) as proxy:
        fetched = get(proxy.address, requests(few), replace(HASTY, attempts=3))
        asked = sum(1 for request in proxy.log if request.method == "GET" and request.path == f"/{poisoned}")
    assert fetched.pop(poisoned).problem is FetchProblem.UNREACHABLE
    assert asked == 3
    assert data(fetched) == {key: few[key] for key in few if key != poisoned}


def test_a_missing_object_is_reported_without_repetition(origin: str) -> None:
    with FaultyProxy(origin) as proxy:
        fetched = get(proxy.address, [FetchRequest("o/none.jpg"), FetchRequest("../outside")])
        assert [request.path for request in proxy.log] == ["/o/none.jpg"]
    assert {one.problem for one in fetched.values()} == {FetchProblem.MISSING}


def test_a_refusal_is_not_repeated(origin: str) -> None:
    with FaultyProxy(origin, lambda request: Status(403)) as proxy:
        assert (
            get(proxy.address, [FetchRequest("o/000.jpg")])["o/000.jpg"].problem is FetchProblem.UNREACHABLE
        )
        assert len(proxy.log) == 1


def test_bytes_that_are_not_those_of_the_checksum_are_refused(origin: str) -> None:
    with FaultyProxy(origin) as proxy:
        fetched = get(proxy.address, [FetchRequest("o/000.jpg", "0" * 32)])
        assert len(proxy.log) == 2
    assert fetched["o/000.jpg"] == FetchResult(
        FetchRequest("o/000.jpg", "0" * 32), problem=FetchProblem.CHECKSUM
    )


def test_a_large_object_is_not_read_to_its_end(origin: str) -> None:
    with FaultyProxy(origin) as proxy:
        fetched = get(proxy.address, [FetchRequest("large", max_bytes=1 << 20)])
        time.sleep(0.2)
        assert proxy.sent < 6 << 20  # what the sockets' buffers take
    assert fetched["large"].problem is FetchProblem.TOO_LARGE


def test_retry_after_holds_back_every_request(origin: str, objects: Mapping[str, bytes]) -> None:
    few = dict(list(objects.items())[:40])
    start = time.monotonic()

    def busy_for_a_second(request: Request) -> Fault | None:
        return Status(429, "2") if request.time - start < 1 else None

    with FaultyProxy(origin, busy_for_a_second) as proxy:
        assert data(get(proxy.address, requests(few))) == few
        asked = [request.time for request in proxy.log]
    last_refused = max(moment for moment in asked if moment - start < 1)
    assert min(moment for moment in asked if moment > last_refused) - last_refused >= 1.8
    # one round of requests, one that asks for how long, one whether anything is answered, then each object
    assert len(asked) <= 16 + 2 + len(few)


def test_retry_after_may_be_a_date(origin: str) -> None:
    with FaultyProxy(origin, lambda request: Status(503, formatdate(time.time() + 60, usegmt=True))) as proxy:
        assert 55 < ask_retry_after(f"{proxy.address}/x", timeout=5) <= 60
    with FaultyProxy(origin, lambda request: Status(503, "soon")) as proxy:
        assert ask_retry_after(f"{proxy.address}/x", timeout=5) == 0


def test_a_burst_of_503_loses_no_object(origin: str, objects: Mapping[str, bytes]) -> None:
    start = time.monotonic()
    policy = replace(HASTY, attempts=2)
    with FaultyProxy(origin, lambda request: Status(503) if request.time - start < 1.5 else None) as proxy:
        assert data(get(proxy.address, requests(objects), policy)) == objects


def test_a_server_that_restarts_loses_no_object(origin: str, objects: Mapping[str, bytes]) -> None:
    policy = replace(HASTY, attempts=2, concurrency=8)
    with FaultyProxy(origin, lambda request: Latency(0.05)) as proxy:
        outage = threading.Timer(0.3, proxy.down), threading.Timer(2.5, proxy.up)
        for timer in outage:
            timer.start()
        start = time.monotonic()
        assert data(get(proxy.address, requests(objects), policy)) == objects
        assert time.monotonic() - start > 2


def test_an_unreachable_server_is_given_up_after_outage_seconds(objects: Mapping[str, bytes]) -> None:
    policy = replace(HASTY, outage_seconds=1.5)
    start = time.monotonic()
    fetched = get("http://127.0.0.1:9", requests(objects), policy)
    assert 1.5 <= time.monotonic() - start < 60
    assert {one.problem for one in fetched.values()} == {FetchProblem.UNREACHABLE}
    assert len(fetched) == len(objects)


def test_no_more_requests_at_once_than_allowed(origin: str, objects: Mapping[str, bytes]) -> None:
    with FaultyProxy(origin, lambda request: Latency(0.05)) as proxy:
        data(get(proxy.address, requests(objects), FetchPolicy(concurrency=5)))
        assert proxy.most_at_once == 5


def test_bytes_in_flight_are_bounded_for_a_slow_consumer(origin: str, objects: Mapping[str, bytes]) -> None:
    """A slow consumer: what has arrived and was not taken is never more than allowed, and one object."""
    received = taken = most = 0

    def count(progress: FetchCounts) -> None:
        nonlocal received
        received = progress.bytes

    async def run() -> None:
        nonlocal taken, most
        store = BucketLocation.of(origin).store()
        policy = FetchPolicy(concurrency=16, bytes_in_flight=100_000)
        async for fetched in Fetcher(store, policy=policy, on_counts=count).get_all(requests(objects)):
            await asyncio.sleep(0.005)
            most = max(most, received - taken)
            taken += len(fetched.data)

    asyncio.run(run())
    assert taken == sum(map(len, objects.values()))
    assert most <= 100_000 + 2 * 60_000


def test_requests_are_read_no_further_than_needed(origin: str) -> None:
    asked = 0

    def endless() -> Iterator[FetchRequest]:
        nonlocal asked
        while True:
            asked += 1
            yield FetchRequest("o/000.jpg", label=str(asked))

    async def run() -> None:
        store = BucketLocation.of(origin).store()
        fetched = Fetcher(store, policy=FetchPolicy(concurrency=4)).get_all(endless())
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
        get(proxy.address, requests(few), on_counts=seen.append)
    assert seen[-1] == FetchCounts(objects=10, bytes=sum(map(len, few.values())), retries=10)


def test_an_error_in_the_requests_is_raised(origin: str) -> None:
    def broken() -> Iterator[FetchRequest]:
        yield FetchRequest("o/000.jpg")
        raise RuntimeError("the list of requests objects is broken")

    with pytest.raises(RuntimeError, match="is broken"):
        get(origin, broken())
