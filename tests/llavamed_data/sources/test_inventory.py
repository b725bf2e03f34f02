"""What a bucket holds: the newest version of every article, however the inventory is cut and ordered."""

import itertools
import json
import os
import tracemalloc
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llavamed_data.errors import LlavaMedError, UsageError
from llavamed_data.sources import Bucket, inventory
from llavamed_data.sources.locations import BucketLocation
from tests.llavamed_data.sources import corpus
from tests.servers import files, s3
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


def etags(objects: Mapping[str, bytes]) -> dict[str, str]:
    """The ETags from an inventory of these objects on a server."""
    with s3.bucket("dated", objects | corpus.inventory(objects, parts=3)) as server:
        where = BucketLocation.of(f"{server}/dated")
        found = inventory.newest_inventory(where)
        return dict(inventory.current_versions_with_etags(where, found))


def test_an_etag_is_that_of_the_metadata_or_changes_with_any_version() -> None:
    before = listing(["PMC10.2", "PMC10.10", "PMC9.1"])
    plain, older, newer = (
        etags(before | changed)
        for changed in ({}, {"metadata/PMC10.2.json": b"old"}, {"metadata/PMC10.10.json": b"new"})
    )
    assert plain.keys() == {"PMC9.1", "PMC10.10"}
    assert {tags["PMC9.1"] for tags in (plain, older, newer)} == {corpus.md5(b"PMC9.1")}
    assert len({tags["PMC10.10"] for tags in (plain, older, newer)}) == 3


@pytest.mark.parametrize(
    "changed", ["metadata/PMC1.1.json", "PMC1.1/PMC1.1.json", "PMC1.1/PMC1.1.xml", "PMC1.1/x.jpg"]
)
def test_an_etag_of_a_folder_changes_with_any_file_of_the_article(changed: str, tmp_path: Path) -> None:
    objects = corpus.article("PMC1.1", {"x.jpg": b"one"}) | corpus.article("PMC2.1", {"x.jpg": b"two"})
    where = place(objects | corpus.inventory(objects), tmp_path)

    def now() -> dict[str, str]:
        return dict(inventory.current_versions_with_etags(where, inventory.newest_inventory(where)))

    before = now()
    (tmp_path / changed).write_bytes(b"changed")
    after = now()
    assert before["PMC1.1"] != after["PMC1.1"]
    assert before["PMC2.1"] == after["PMC2.1"]


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


PARTLY_LISTED = {
    "metadata/PMC1.1.json": b"",
    "PMC2.1/PMC2.1.json": b"",
    "PMC2.2/PMC2.2.xml": b"without metadata",
    "PMC3.1/x.jpg": b"",
    "PMC4.1/PMC4.1.json": b"",
    "metadata/PMC4.1.json": b"",
    "PMC5.1/deeper/x.jpg": b"",
    "work/PMC6.1/PMC6.1.json": b"of something else",
    "PMC07.1/PMC07.1.json": b"no PMCID",
    "PMC8.1.json": b"no article folder",
}


def test_every_article_folder_of_a_part_of_a_bucket_is_named(tmp_path: Path) -> None:
    """Whether `metadata/` and the inventory, if there are any, know of it or not."""
    expected = ["PMC1.1", "PMC2.2", "PMC3.1", "PMC4.1", "PMC5.1"]
    (tmp_path / "copy/PMC9.1").mkdir(parents=True)
    where = place(PARTLY_LISTED, tmp_path / "copy")
    assert list(inventory.current_versions(where, None)) == [*expected, "PMC9.1"]
    assert [handle for handle, _ in inventory.current_versions_with_etags(where, None)] == [
        *expected,
        "PMC9.1",
    ]
    listed_elsewhere = corpus.inventory(listing(["PMC1.1", "PMC100.1"]))
    where = place(PARTLY_LISTED | listed_elsewhere, tmp_path / "with inventory")
    found = inventory.newest_inventory(where)
    assert list(inventory.current_versions(where, found)) == [*expected, "PMC100.1"]
    with s3.bucket("part", PARTLY_LISTED) as server:
        where = BucketLocation.of(f"{server}/part")
        assert list(inventory.current_versions(where, None)) == expected
        assert [handle for handle, _ in inventory.current_versions_with_etags(where, None)] == expected


@pytest.mark.parametrize("order", ["Key, ETag, LastModifiedDate, Bucket", "ETag,Bucket , Size,Key"])
def test_columns_and_keys_are_read_as_s3_writes_them(order: str, tmp_path: Path) -> None:
    """The manifest states the order of the columns; keys are URL-encoded, with `+` for a blank."""
    etag = corpus.md5(b"any")
    versioned = f"{order}, IsLatest, IsDeleteMarker"
    lines = ""
    for key, latest, deleted in (
        ("metadata%2FPMC1.1.json", "true", "false"),
        ("metadata/PMC2.1.json", "true", "false"),
        ("metadata%2Fa+b%20c.json", "true", "false"),
        ("metadata%2FPMC3.1.json", "false", "false"),
        ("metadata%2FPMC4.1.json", "true", "true"),
    ):
        values = {"Key": key, "ETag": etag, "IsLatest": latest, "IsDeleteMarker": deleted}
        lines += ",".join(f'"{values.get(name.strip(), "x")}"' for name in versioned.split(",")) + "\n"
    objects = corpus.inventory({})
    part = next(key for key in objects if key.endswith(".gz"))
    manifest = {
        "fileFormat": "CSV",
        "fileSchema": versioned,
        "files": [{"key": part, "MD5checksum": corpus.md5(packed := corpus.gzip.compress(lines.encode()))}],
    }
    objects = {
        part: packed,
        f"{inventory.REPORTS}/2026-11-01T01-00Z/manifest.json": json.dumps(manifest).encode(),
    }
    where = place(objects, tmp_path)
    found = inventory.newest_inventory(where)
    assert found is not None
    assert list(found.rows(where)) == [
        ("metadata/PMC1.1.json", etag),
        ("metadata/PMC2.1.json", etag),
        ("metadata/a b c.json", etag),
    ]
    assert list(inventory.current_versions(where, found)) == ["PMC1.1", "PMC2.1"]


def test_an_older_inventory_serves_if_a_newer_manifest_is_no_use(tmp_path: Path) -> None:
    held = listing(["PMC1.1", "PMC2.1"])
    objects = corpus.inventory(held, "2026-10-28T01-00Z")
    for day, manifest in enumerate(
        (b'{"fileFormat": "Parquet", "fileSchema": "x", "files": []}', b"{", b"[]", b""), start=1
    ):
        objects[f"{inventory.REPORTS}/2026-11-0{day}T01-00Z/manifest.json"] = manifest
    where = place(held | objects, tmp_path)
    found = inventory.newest_inventory(where)
    assert found is not None
    assert found.date == "2026-10-28"


DAMAGES: dict[str, Callable[[bytes], bytes | None]] = {
    "cut off": lambda part: part[:-20],
    "no gzip": lambda _: b"no gzip at all",
    "another": lambda _: corpus.gzip.compress(b'"b","metadata/PMC9.1.json","x","y"\n'),
    "missing": lambda _: None,
    "empty": lambda _: b"",
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_an_older_inventory_serves_if_a_part_of_the_newest_is_damaged(damage: str) -> None:
    old, new = listing(["PMC1.1"]), listing(["PMC1.1", "PMC2.1"])
    objects = new | corpus.inventory(old, "2026-10-31T01-00Z") | corpus.inventory(new, "2026-11-01T01-00Z")
    part = next(key for key in objects if "/data/2026-11-01" in key)
    damaged = DAMAGES[damage](objects.pop(part))
    with s3.bucket("damaged", objects | ({part: damaged} if damaged is not None else {})) as server:
        bucket = Bucket(f"{server}/damaged")
        assert bucket.date == "2026-11-01"
        assert list(bucket.handles()) == ["PMC1.1"]
        assert bucket.date == "2026-10-31"  # which is what a card must state
        assert [handle for handle, _ in Bucket(f"{server}/damaged").etags()] == ["PMC1.1"]


def test_an_older_inventory_serves_if_the_newest_names_no_article(tmp_path: Path) -> None:
    """As of a run of S3 that was cut short: whole files, sound checksums, and no line of an article in them."""
    held = listing(["PMC1.1", "PMC2.1"])
    objects = held | corpus.inventory(held, "2026-10-31T01-00Z") | corpus.inventory({}, "2026-11-01T01-00Z")
    with s3.bucket("short", objects) as server:
        bucket = Bucket(f"{server}/short")
        assert list(bucket.handles()) == ["PMC1.1", "PMC2.1"]
        assert bucket.date == "2026-10-31"
    corpus.lay_out(held | corpus.inventory({}, "2026-11-01T01-00Z"), tmp_path)
    assert list(Bucket(tmp_path).handles()) == ["PMC1.1", "PMC2.1"]


def test_blank_lines_and_checksums_in_capitals_do_no_harm(tmp_path: Path) -> None:
    objects = corpus.inventory(listing(["PMC1.1", "PMC2.1"]), parts=1)
    part = next(key for key in objects if key.endswith(".gz"))
    lines = corpus.gzip.decompress(objects[part])
    objects[part] = corpus.gzip.compress(lines.replace(b"\n", b"\n\n"), mtime=0)
    manifest = next(key for key in objects if key.endswith("manifest.json"))
    stated = json.loads(objects[manifest])
    stated["files"][0]["MD5checksum"] = corpus.md5(objects[part]).upper()
    where = place(objects | {manifest: json.dumps(stated).encode()}, tmp_path)
    assert list(inventory.current_versions(where, inventory.newest_inventory(where))) == ["PMC1.1", "PMC2.1"]


def test_a_bucket_whose_inventories_are_no_use_is_listed_or_says_which_is_wrong(tmp_path: Path) -> None:
    held = listing(["PMC1.1", "PMC2.1"])
    objects = corpus.inventory(held, "2026-10-31T01-00Z")
    part = next(key for key in objects if key.endswith(".gz"))
    objects[part] = b"no gzip"
    objects[f"{inventory.REPORTS}/2026-11-01T01-00Z/manifest.json"] = b"{}"
    with s3.bucket("listed", held | objects) as server:
        bucket = Bucket(f"{server}/listed")
        assert list(bucket.handles()) == ["PMC1.1", "PMC2.1"]
        assert bucket.date is None
    corpus.lay_out(held | objects, tmp_path)
    assert list(Bucket(tmp_path).handles()) == ["PMC1.1", "PMC2.1"]
    says = pytest.raises(LlavaMedError, match=part.rpartition("/")[2])
    with files.folder(tmp_path) as address, says:  # a web server, which cannot list
        list(Bucket(address).handles())


def test_an_inventory_that_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    held = listing(["PMC1.1"])
    corpus.lay_out(held | corpus.inventory(held, "2026-10-31T01-00Z"), tmp_path)
    dated = tmp_path / inventory.REPORTS / "2026-11-01T01-00Z"
    dated.mkdir()
    os.mkfifo(dated / "manifest.json")
    part = next((tmp_path / inventory.REPORTS / "data").iterdir())
    part.unlink()
    os.mkfifo(part)
    assert list(Bucket(tmp_path).handles()) == ["PMC1.1"]


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
