"""What a bucket holds: the newest version of every article, however the inventory is cut and ordered."""

import itertools
import tracemalloc
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llavamed_data.errors import LlavaMedError, UsageError
from llavamed_data.sources import inventory
from llavamed_data.sources.locations import BucketLocation
from tests.llavamed_data.sources import corpus
from tests.servers import s3
from tests.servers.faults import Fault, FaultyProxy, Reset, Status, Truncated


def listing(handles: list[str]) -> dict[str, bytes]:
    return {f"metadata/{handle}.json": handle.encode() for handle in handles}


def place(objects: Mapping[str, bytes], folder: Path) -> BucketLocation:
    return BucketLocation.of(corpus.lay_out(objects, folder))


def test_the_highest_version_counts_as_a_number(tmp_path: Path) -> None:
    objects = listing(["PMC10.2", "PMC10.10", "PMC9.1", "PMC100.1", "PMC10.9"])
    where = place(objects | corpus.inventory(objects), tmp_path)
    assert list(inventory.current_versions(where, inventory.newest_inventory(where))) == [
        "PMC9.1",
        "PMC10.10",
        "PMC100.1",
    ]


def test_an_etag_is_that_of_the_highest_version(tmp_path: Path) -> None:
    objects = listing(["PMC10.2", "PMC10.10", "PMC9.1"])
    where = place(objects | corpus.inventory(objects, parts=3), tmp_path)
    assert list(inventory.current_versions_with_etags(where, inventory.newest_inventory(where))) == [
        ("PMC9.1", corpus.md5(b"PMC9.1")),
        ("PMC10.10", corpus.md5(b"PMC10.10")),
    ]


@settings(max_examples=25, deadline=None)
@given(
    versions=st.sets(st.tuples(st.integers(1, 40), st.integers(1, 12)), min_size=1, max_size=80),
    parts=st.integers(1, 4),
)
def test_no_article_is_lost_however_the_parts_are_cut(
    versions: set[tuple[int, int]], parts: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    objects = listing([f"PMC{article}.{version}" for article, version in versions])
    where = place(objects | corpus.inventory(objects, parts=parts), tmp_path_factory.mktemp("bucket"))
    expected = [f"PMC{a}.{max(v for b, v in versions if b == a)}" for a in sorted({a for a, _ in versions})]
    found = inventory.newest_inventory(where)
    assert list(inventory.current_versions(where, found)) == expected
    assert [handle for handle, _ in inventory.current_versions_with_etags(where, found)] == expected
    assert list(inventory.current_versions(where, None)) == expected


def test_the_newest_whole_inventory_is_taken(tmp_path: Path) -> None:
    old, new = listing(["PMC1.1"]), listing(["PMC1.1", "PMC2.1"])
    where = place(
        new | corpus.inventory(old, "2026-10-30T01-00Z") | corpus.inventory(new, "2026-10-31T01-00Z"),
        tmp_path,
    )
    (tmp_path / inventory.REPORTS / "2026-11-01T01-00Z").mkdir()  # begun, its manifest not there yet
    (tmp_path / inventory.REPORTS / "hive").mkdir()
    found = inventory.newest_inventory(where)
    assert found is not None
    assert found.date == "2026-10-31"
    assert list(inventory.current_versions(where, found)) == ["PMC1.1", "PMC2.1"]


def test_without_inventory_it_is_listed_by_metadata_or_by_prefixes(tmp_path: Path) -> None:
    where = place(listing(["PMC2.1", "PMC1.1", "PMC1.2"]), tmp_path / "metadata-only")
    assert inventory.newest_inventory(where) is None
    assert list(inventory.current_versions(where, None)) == ["PMC1.2", "PMC2.1"]
    where = place(
        {"PMC7.1/PMC7.1.json": b"", "PMC7.1/PMC8.1.json": b"", "PMC7.1/x.jpg": b"", "notes.json": b""},
        tmp_path / "prefixes",
    )
    assert list(inventory.current_versions(where, None)) == ["PMC7.1"]


@pytest.mark.slow
def test_faults_while_listing_and_reading_lose_nothing() -> None:
    handles = [f"PMC{number}.1" for number in range(1, 2_201)]
    objects = listing(handles)
    kinds: list[Fault] = [Truncated(), Reset(), Status(503), Status(500)]
    with (
        s3.bucket("listed", objects) as listed,
        s3.bucket("dated", objects | corpus.inventory(objects)) as dated,
    ):
        for address, bucket in ((listed, "listed"), (dated, "dated")):
            tries = itertools.count()
            with FaultyProxy(
                address,
                lambda _, tries=tries: kinds[n // 2] if (n := next(tries)) < 8 and n % 2 == 0 else None,
            ) as proxy:
                where = BucketLocation.of(f"{proxy.address}/{bucket}")
                found = inventory.newest_inventory(where)
                assert (found is not None) == (bucket == "dated")
                assert list(inventory.current_versions(where, found)) == handles


def test_a_damaged_part_of_an_inventory_is_an_error_that_names_it(tmp_path: Path) -> None:
    objects = listing(["PMC1.1", "PMC2.1", "PMC3.1"])
    reports = corpus.inventory(objects, parts=1)
    part = next(key for key in reports if key.endswith(".gz"))
    for number, damaged in enumerate(
        (reports[part][:-20], b"no gzip at all", corpus.gzip.compress(b'"a","b"\n'), None)
    ):
        where = place(objects | reports, tmp_path / str(number))
        assert where.folder is not None
        if damaged is None:
            (where.folder / part).unlink()
        else:
            (where.folder / part).write_bytes(damaged)
        with pytest.raises(LlavaMedError, match=part.rpartition("/")[2]):
            list(inventory.current_versions(where, inventory.newest_inventory(where)))


def test_an_inventory_part_with_a_wrong_checksum_is_refused(tmp_path: Path) -> None:
    objects = listing(["PMC1.1", "PMC2.1"])
    reports = corpus.inventory(objects, parts=1)
    part = next(key for key in reports if key.endswith(".gz"))
    where = place(objects | reports | {part: corpus.inventory(listing(["PMC1.1"]), parts=1)[part]}, tmp_path)
    with pytest.raises(LlavaMedError, match="checksum differs"):
        list(inventory.current_versions(where, inventory.newest_inventory(where)))


@pytest.mark.parametrize(
    "manifest",
    [
        b"{",
        b"[]",
        b"{}",
        b'{"fileFormat": "ORC", "files": []}',
        b'{"fileFormat": "CSV", "fileSchema": "Bucket", "files": []}',
    ],
)
def test_a_manifest_that_cannot_be_used_is_named(manifest: bytes, tmp_path: Path) -> None:
    where = place({f"{inventory.REPORTS}/2026-11-01T01-00Z/manifest.json": manifest}, tmp_path)
    with pytest.raises(UsageError, match="2026-11-01T01-00Z"):
        inventory.newest_inventory(where)


def test_memory_stays_at_a_few_bytes_an_article(tmp_path: Path) -> None:
    count = 100_000
    objects = listing([f"PMC{number}.1" for number in range(1, count + 1)])
    where = BucketLocation.of(corpus.lay_out(corpus.inventory(objects), tmp_path))
    del objects
    found = inventory.newest_inventory(where)
    tracemalloc.start()
    try:
        assert sum(1 for _ in inventory.current_versions(where, found)) == count
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 40 * count
