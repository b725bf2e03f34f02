"""A bucket gives the same articles and images from a folder, an S3 server and a plain web mirror, faults or not."""

import asyncio
import hashlib
import json
import os
import pickle
import random
import re
import stat
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from llavamed_data.console.progress import FetchCounts
from llavamed_data.errors import UsageError
from llavamed_data.reasons import Drop, Reason
from llavamed_data.sources import Bucket, SourceArticle, open_source
from llavamed_data.sources.fetch import FetchPolicy
from llavamed_data.sources.sample import corpus_path
from tests.llavamed_data.sources import corpus
from tests.llavamed_data.sources.corpus import article, inventory, lay_out, md5
from tests.servers import files, s3
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

ARTICLES = 120
HASTY = FetchPolicy(
    concurrency=24,
    attempts=5,
    request_seconds=0.7,
    min_bytes_per_second=1e6,
    first_pause=0.02,
    longest_pause=0.3,
)


def picture(name: str, size: int = 400) -> bytes:
    return random.Random(name).randbytes(size)


def expected_of(number: int) -> tuple[str, Reason | None]:
    """Handle and outcome of article `number`, as `synthetic` makes it."""
    version = 10 if number % 10 == 0 else 2 if number % 3 == 0 else 1
    outcomes = {
        7: Reason.RETRACTED,
        11: Reason.NOT_OPEN_ACCESS,
        13: Reason.METADATA_UNREADABLE,
        17: Reason.NO_XML,
        19: Reason.XML_CHECKSUM,
    }
    reason = next((reason for divisor, reason in outcomes.items() if number % divisor == 0), None)
    return f"PMC{8_000_000 + number}.{version}", reason


@pytest.fixture(scope="module")
def synthetic() -> dict[str, bytes]:
    """120 articles in about 200 versions; see `expected_of`. Images: one in 20 absent, one in 25 with a wrong MD5."""
    objects: dict[str, bytes] = {}
    for number in range(1, ARTICLES + 1):
        newest, reason = expected_of(number)
        pmcid, _, highest = newest.partition(".")
        for version in {1, int(highest), max(1, int(highest) - 1)}:
            handle = f"{pmcid}.{version}"
            media = {name: picture(f"{handle}/{name}") for name in ("g001.jpg", "G002.JPG", "g003.gif")}
            media["s001.pdf"] = b"no image"
            objects |= article(
                handle,
                media,
                absent=["g001.jpg"] if number % 20 == 0 else (),
                wrong_md5=["G002.JPG"] if number % 25 == 0 else (),
                without_md5=["g003.gif"],
                license_code=("CC BY", "CC BY-NC", "CC0")[number % 3],
                is_retracted=reason is Reason.RETRACTED,
                is_pmc_openaccess=reason is not Reason.NOT_OPEN_ACCESS,
            )
            if reason is Reason.METADATA_UNREADABLE:
                objects[f"{handle}/{handle}.json"] = b'{"pmcid": '
            if reason is Reason.NO_XML:
                del objects[f"{handle}/{handle}.xml"]
            if reason is Reason.XML_CHECKSUM:
                objects[f"{handle}/{handle}.xml"] += b" "
    return objects | inventory(objects)


@pytest.fixture(scope="module")
def copy(synthetic: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return lay_out(synthetic, tmp_path_factory.mktemp("bucket"))


@pytest.fixture(scope="module")
def endpoint(synthetic: dict[str, bytes]) -> Iterator[str]:
    with s3.bucket("pmc-oa-opendata", synthetic) as address:
        yield address


Read = list[SourceArticle | tuple[str, Reason]]


def read(bucket: Bucket, handles: Sequence[str]) -> Read:
    return [
        got if isinstance(got, SourceArticle) else (got[0], got[1].reason) for got in bucket.read(handles)
    ]


def images(bucket: Bucket, articles: Read) -> dict[str, bytes | Reason]:
    locators = [
        locator for one in articles if isinstance(one, SourceArticle) for locator in one.media.values()
    ]

    async def run() -> dict[str, bytes | Reason]:
        return {
            name: got.reason if isinstance(got, Drop) else got async for name, got in bucket.images(locators)
        }

    got = asyncio.run(run())
    assert got.keys() == set(locators)
    return got


@pytest.fixture(scope="module")
def undisturbed(copy: Path) -> tuple[Read, dict[str, bytes | Reason]]:
    bucket = Bucket(copy)
    articles = read(bucket, list(bucket.handles()))
    return articles, images(bucket, articles)


def test_every_article_comes_once_at_its_highest_version_or_with_its_reason(
    undisturbed: tuple[Read, dict[str, bytes | Reason]],
) -> None:
    outcomes = [(one.handle, None) if isinstance(one, SourceArticle) else one for one in undisturbed[0]]
    assert outcomes == [expected_of(number) for number in range(1, ARTICLES + 1)]


def test_an_article_carries_what_its_metadata_say(
    undisturbed: tuple[Read, dict[str, bytes | Reason]],
) -> None:
    one = undisturbed[0][2]
    assert isinstance(one, SourceArticle)
    assert (one.handle, one.pmcid, one.pmid, one.license) == (
        "PMC8000003.2",
        "PMC8000003",
        "18000003",
        "CC BY",
    )
    assert one.xml == b"<article><body>PMC8000003.2</body></article>"
    assert one.media["G002.JPG"] == f"PMC8000003.2/G002.JPG?md5={md5(picture('PMC8000003.2/G002.JPG'))}"
    assert sorted(one.media) == ["G002.JPG", "g001.jpg", "g003.gif"]


def test_images_are_those_of_their_checksums_or_have_a_reason(
    undisturbed: tuple[Read, dict[str, bytes | Reason]],
) -> None:
    articles, fetched = undisturbed
    assert sum(isinstance(one, SourceArticle) for one in articles) * 3 == len(fetched)
    for locator, got in fetched.items():
        key = locator.partition("?")[0]
        number = int(key[3:10]) - 8_000_000
        if number % 20 == 0 and key.endswith("g001.jpg"):
            assert got is Reason.IMAGE_MISSING
        elif number % 25 == 0 and key.endswith("G002.JPG"):
            assert got is Reason.IMAGE_CHECKSUM
        else:
            assert got == picture(key)


def assert_same(bucket: Bucket, undisturbed: tuple[Read, dict[str, bytes | Reason]]) -> None:
    articles = read(bucket, list(bucket.handles()))
    assert articles == undisturbed[0]
    assert images(bucket, articles) == undisturbed[1]


def test_an_s3_server_gives_the_same(
    endpoint: str, undisturbed: tuple[Read, dict[str, bytes | Reason]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    bucket = open_source("pmc-cloud")
    assert isinstance(bucket, Bucket)
    assert (bucket.name, bucket.date) == ("pmc-cloud", "2026-11-01")
    assert_same(pickle.loads(pickle.dumps(bucket)), undisturbed)


def test_a_plain_web_mirror_gives_the_same(
    copy: Path, undisturbed: tuple[Read, dict[str, bytes | Reason]]
) -> None:
    with files.folder(copy) as address:
        bucket = Bucket(address)
        assert (bucket.name, bucket.date) == ("pmc-mirror", "2026-11-01")
        assert_same(bucket, undisturbed)


def test_an_s3_bucket_at_a_plain_address_gives_the_same(
    endpoint: str, undisturbed: tuple[Read, dict[str, bytes | Reason]]
) -> None:
    assert_same(Bucket(f"{endpoint}/pmc-oa-opendata/"), undisturbed)


@pytest.mark.slow
def test_faults_of_the_network_change_nothing(
    endpoint: str, undisturbed: tuple[Read, dict[str, bytes | Reason]], monkeypatch: pytest.MonkeyPatch
) -> None:
    kinds: list[Fault] = [
        Latency(0.1), Reset(), Status(503), Status(429, "0"), Truncated(), Corrupted(), Hang(),
    ]  # fmt: skip

    def faults(request: Request) -> Fault | None:
        number = int(hashlib.md5(request.path.encode()).hexdigest(), 16)
        disturbed = number % 3 == 0 and request.nth == 1 and "inventory-reports" not in request.path
        fault = kinds[number // 3 % len(kinds)]
        if isinstance(fault, Corrupted) and request.path.endswith((".json", ".gif")):
            return None  # without a checksum a wrong byte cannot be noticed
        return fault if disturbed else None

    with FaultyProxy(endpoint, faults) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.address)
        assert_same(Bucket("s3://pmc-oa-opendata", policy=HASTY), undisturbed)


@pytest.mark.slow
def test_an_outage_in_the_middle_changes_nothing(
    endpoint: str, undisturbed: tuple[Read, dict[str, bytes | Reason]], monkeypatch: pytest.MonkeyPatch
) -> None:
    with FaultyProxy(endpoint, lambda request: Latency(0.02)) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.address)
        bucket = Bucket(
            "s3://pmc-oa-opendata",
            policy=FetchPolicy(concurrency=8, attempts=2, first_pause=0.05, longest_pause=0.5),
        )
        handles = list(bucket.handles())
        outage = threading.Timer(0.2, proxy.down), threading.Timer(1.7, proxy.up)
        for timer in outage:
            timer.start()
        assert read(bucket, handles) == undisturbed[0]


def test_a_bucket_without_inventory_is_listed_beyond_a_thousand_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    handles = [f"PMC{number}.1" for number in range(1, 1_101)]
    objects = {f"copy/metadata/{handle}.json": b"{}" for handle in handles}
    with s3.bucket("mirror", objects) as address:
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        bucket = Bucket("s3://mirror/copy/")
        assert bucket.date is None
        assert list(bucket.handles()) == handles
        assert list(bucket.etags()) == [(handle, md5(b"{}")) for handle in handles]


def test_licences_limit_what_is_read(copy: Path) -> None:
    wanted = Bucket(copy, licenses=["CC-BY-nc", "cc0"])
    outcomes = read(wanted, ["PMC8000001.1", "PMC8000002.1", "PMC8000003.2"])  # CC BY-NC, CC0, CC BY
    assert [one.license if isinstance(one, SourceArticle) else one[1] for one in outcomes] == [
        "CC BY-NC",
        "CC0",
        Reason.LICENSE_EXCLUDED,
    ]
    assert wanted.fingerprint() != Bucket(copy).fingerprint()
    with pytest.raises(UsageError, match=r"unknown licence gpl: choose from cc0, cc-by, "):
        Bucket(copy, licenses=["cc-by", "GPL"])


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"license_code": "TDM"}, Reason.NOT_OPEN_ACCESS),
        ({"is_retracted": None}, Reason.METADATA_UNREADABLE),
        ({"is_retracted": "no"}, Reason.METADATA_UNREADABLE),
        ({"is_pmc_openaccess": None}, Reason.METADATA_UNREADABLE),
        ({"media_urls": 5}, Reason.METADATA_UNREADABLE),
        ({"pmcid": "PMC2"}, Reason.METADATA_UNREADABLE),
        ({"is_historical_ocr": "true"}, Reason.HISTORICAL_OCR),
        ({"is_manuscript": 7}, Reason.METADATA_UNREADABLE),
        ({"is_retracted": "True"}, Reason.RETRACTED),
        ({"media_urls": None, "pmid": None, "license_code": None, "xml_url": None}, None),
        ({"media_urls": [5, None, {}], "pmid": "none", "xml_url": [], "pmcid": 1, "is_retracted": 0}, None),
        ({"license_code": "CC BY 4.0"}, None),
    ],
    ids=str,
)
def test_metadata_decide_or_are_unreadable(
    changed: dict[str, object], reason: Reason | None, tmp_path: Path
) -> None:
    lay_out(article("PMC1.1", **changed), tmp_path)
    (got,) = read(Bucket(tmp_path), ["PMC1.1"])
    assert (None if isinstance(got, SourceArticle) else got[1]) is reason


@pytest.mark.parametrize(
    "address",
    [
        "s3://pmc-oa-opendata/PMC1.1/{name}?md5={md5}",
        "S3://a-mirror/copy/PMC1.1/{name}?MD5={MD5}",
        "https://pmc-oa-opendata.s3.amazonaws.com/PMC1.1/{name}?md5={md5}",
        "https://s3.us-east-1.amazonaws.com/pmc-oa-opendata/PMC1.1/{name}?versionId=a%2Fb&md5={md5}",
        "http://mirror.example.org:8080/PMC1.1/{name}?md5={md5}&x=PMC2.1/x.jpg",
        "//mirror.example.org/PMC1.1/{name}?md5={md5}",
        "/PMC1.1/{name}?md5={md5}",
        " PMC1.1%2F{name}?md5={md5} ",
    ],
)
@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("gr1.jpg", "gr1.jpg"),
        ("Fig 1.jpg", "Fig%201.jpg"),
        ("Fig 1.jpg", "Fig 1.jpg"),
        ("Abb. 1ä.jpg", "Abb.%201%C3%A4.jpg"),
        ("5%_a+b#c.jpg", "5%_a+b#c.jpg"),
        ("what?.jpg", "what?.jpg"),
        ("what?.jpg", "what%3F.jpg"),
    ],
)
def test_the_key_of_an_image_is_taken_from_its_address_however_it_is_written(
    address: str, name: str, written: str, tmp_path: Path
) -> None:
    data = picture("any")
    url = address.format(name=written, md5=md5(data), MD5=md5(data).upper())
    lay_out(article("PMC1.1", {name: data}, media_urls=[None, url, "", 7, [url]]), tmp_path)
    bucket = Bucket(tmp_path)
    articles = read(bucket, ["PMC1.1"])
    assert isinstance(articles[0], SourceArticle)
    assert articles[0].media == {name: f"PMC1.1/{name}?md5={md5(data)}"}
    assert images(bucket, articles) == {f"PMC1.1/{name}?md5={md5(data)}": data}


@pytest.mark.parametrize(
    ("stated", "used"),
    [(35, "35"), ("35", "35"), (" 0035 ", "35"), ([35], "35"), (35.0, "35"), ("PMID: 35", "35")]
    + [(odd, None) for odd in (0, "", "n/a", -3, True, {}, [], [1, 2], 3.5, "٣٥")],
)
def test_a_pmid_is_read_however_it_is_written_or_left_to_the_xml(
    stated: object, used: str | None, tmp_path: Path
) -> None:
    lay_out(article("PMC1.1", pmid=stated), tmp_path)
    (got,) = read(Bucket(tmp_path), ["PMC1.1"])
    assert isinstance(got, SourceArticle)
    assert got.pmid == used


@pytest.mark.parametrize("stated", ["null", '""', '"none"', '"NO-CC CODE"', "[]", '["CC BY", "CC0"]', "{}"])
def test_metadata_without_a_licence_say_that_there_is_none(stated: str, tmp_path: Path) -> None:
    objects = article("PMC1.1", license_code="HERE")
    lay_out({key: data.replace(b'"HERE"', stated.encode()) for key, data in objects.items()}, tmp_path)
    (got,) = read(Bucket(tmp_path), ["PMC1.1"])
    assert isinstance(got, SourceArticle)
    assert got.license == ""
    assert read(Bucket(tmp_path, licenses=["cc0"]), ["PMC1.1"]) == [("PMC1.1", Reason.LICENSE_EXCLUDED)]


def test_metadata_with_a_line_break_inside_a_text_are_read(tmp_path: Path) -> None:
    objects = article("PMC1.1", title="two lines")
    lay_out({key: data.replace(b"two lines", b"two\nlines") for key, data in objects.items()}, tmp_path)
    (got,) = read(Bucket(tmp_path), ["PMC1.1"])
    assert isinstance(got, SourceArticle)


OPEN = {"is_pmc_openaccess": True, "is_manuscript": False, "license_code": "CC BY"}
MANUSCRIPT = OPEN | {"is_manuscript": True}
MINING = {"is_pmc_openaccess": False, "is_manuscript": True, "license_code": "TDM"}
CLOSED = {"is_pmc_openaccess": False, "is_manuscript": False, "license_code": None}
RETRACTED = OPEN | {"is_retracted": True}


@pytest.mark.parametrize(
    ("versions", "current"),
    [
        ({1: OPEN, 2: OPEN}, 2),
        ({1: OPEN, 2: MINING}, 1),  # the manuscript came after the published article
        ({1: MINING, 2: OPEN}, 2),
        ({2: OPEN, 3: MANUSCRIPT}, 2),  # published wins over a higher manuscript, and 1 is not there
        ({1: OPEN, 3: OPEN, 5: MINING, 10: MINING}, 3),
        ({1: MANUSCRIPT, 2: MANUSCRIPT}, 2),
        ({1: MANUSCRIPT, 2: CLOSED}, 1),
        ({1: OPEN, 2: CLOSED, 3: MANUSCRIPT}, 1),
        ({1: RETRACTED, 2: MANUSCRIPT}, 2),
        ({1: RETRACTED, 2: MINING}, Reason.NOT_OPEN_ACCESS),
        ({1: OPEN, 2: RETRACTED}, Reason.RETRACTED),
        ({1: MINING, 2: MINING}, Reason.NOT_OPEN_ACCESS),
        ({2: MINING}, Reason.NOT_OPEN_ACCESS),
    ],
)
def test_the_current_version_is_the_published_one_then_the_highest(
    versions: dict[int, dict[str, object]], current: int | Reason, tmp_path: Path
) -> None:
    for number, stated in versions.items():
        lay_out(article(f"PMC1.{number}", **stated), tmp_path)
    bucket = Bucket(tmp_path)
    (handle,) = bucket.handles()
    assert handle == f"PMC1.{max(versions)}"
    (got,) = read(bucket, [handle])
    assert (int(got.handle[5:]) if isinstance(got, SourceArticle) else got[1]) == current


def test_texts_that_ocr_read_from_old_journals_are_kept_out_unless_asked_for(tmp_path: Path) -> None:
    lay_out(article("PMC1.1", is_historical_ocr=True, license_code="CC0") | article("PMC2.1"), tmp_path)
    usual, all_of_them = Bucket(tmp_path), Bucket(tmp_path, historical_ocr=True)
    assert read(usual, ["PMC1.1"]) == [("PMC1.1", Reason.HISTORICAL_OCR)]
    assert isinstance(read(all_of_them, ["PMC1.1"])[0], SourceArticle)
    assert usual.identity != all_of_them.identity
    assert usual.fingerprint() != all_of_them.fingerprint()


@pytest.mark.parametrize("what", ["json", "xml", "jpg"])
@pytest.mark.parametrize("kind", ["a named pipe", "a socket", "a device", "a folder"])
def test_what_is_no_file_is_dropped_and_never_waited_for(what: str, kind: str, tmp_path: Path) -> None:
    lay_out(article("PMC1.1", {"x.jpg": b"one"}) | article("PMC2.1", {"x.jpg": b"two"}), tmp_path)
    (tmp_path / "metadata/PMC1.1.json").unlink()
    place = tmp_path / ("PMC1.1/x.jpg" if what == "jpg" else f"PMC1.1/PMC1.1.{what}")
    place.unlink()
    put_instead(place, kind)
    bucket = Bucket(tmp_path)
    articles = read(bucket, list(bucket.handles()))
    assert isinstance(articles[1], SourceArticle)
    if what == "jpg":
        assert set(images(bucket, articles).values()) == {Reason.IMAGE_UNREADABLE, b"two"}
    else:
        reason = Reason.NO_XML if what == "xml" else Reason.METADATA_UNREADABLE
        assert articles[0] == ("PMC1.1", reason)


def put_instead(place: Path, kind: str) -> None:
    """Puts something at `place` that is no file."""
    if kind == "a named pipe":
        os.mkfifo(place)
    elif kind == "a socket":
        os.mknod(place, stat.S_IFSOCK | 0o600)
    elif kind == "a device":
        place.symlink_to("/dev/zero")
    else:
        place.mkdir()


def test_metadata_are_also_found_in_their_own_folder(tmp_path: Path) -> None:
    lay_out(article("PMC1.1"), tmp_path)
    (tmp_path / "PMC1.1/PMC1.1.json").unlink()
    (got,) = read(Bucket(tmp_path), ["PMC1.1"])
    assert isinstance(got, SourceArticle)
    (tmp_path / "metadata/PMC1.1.json").unlink()
    assert read(Bucket(tmp_path), ["PMC1.1"]) == [("PMC1.1", Reason.METADATA_UNREADABLE)]


def test_nothing_outside_the_article_is_ever_named(tmp_path: Path) -> None:
    (tmp_path / "secret.jpg").write_bytes(b"secret")
    urls = [
        "s3://b/../secret.jpg",
        "s3://b/PMC1.1/../../secret.jpg",
        "/etc/passwd.jpg",
        "s3://b/PMC2.1/x.jpg",
        "s3://b/PMC1.1/.jpg/",
    ]
    lay_out(article("PMC1.1", media_urls=urls, xml_url="s3://b/PMC2.1/PMC2.1.xml"), tmp_path / "bucket")
    bucket = Bucket(tmp_path / "bucket")
    (got,) = read(bucket, ["PMC1.1"])
    assert isinstance(got, SourceArticle)
    assert got.media == {}

    async def stolen() -> list[bytes | Drop]:
        return [got async for _, got in bucket.images(["../secret.jpg", "PMC1.1/../../secret.jpg"])]

    assert all(isinstance(got, Drop) for got in asyncio.run(stolen()))


def test_a_locator_without_checksum_changes_with_the_metadata(tmp_path: Path) -> None:
    """`images_version` never changes, so every locator must tell when its bytes may have."""
    made = {"x.jpg": b"one"}
    before, after = (
        read(
            Bucket(lay_out(article("PMC1.1", made, without_md5=made, title=title), tmp_path / title)),
            ["PMC1.1"],
        )[0]
        for title in ("first", "second")
    )
    assert isinstance(before, SourceArticle)
    assert isinstance(after, SourceArticle)
    assert before.media != after.media


def test_an_xml_or_image_beyond_its_limit_is_dropped(tmp_path: Path) -> None:
    media = {"x.jpg": bytes(3_000)}
    lay_out(article("PMC1.1", media, xml=bytes(2_500)) | article("PMC2.1", media), tmp_path)
    bucket = Bucket(tmp_path, policy=FetchPolicy(max_bytes=2_000))
    articles = read(bucket, ["PMC1.1", "PMC2.1"])
    assert articles[0] == ("PMC1.1", Reason.XML_TOO_LARGE)
    assert list(images(bucket, articles).values()) == [Reason.IMAGE_TOO_LARGE]


def test_little_memory_in_flight_only_slows_it_down(
    copy: Path, undisturbed: tuple[Read, dict[str, bytes | Reason]]
) -> None:
    assert_same(Bucket(copy, policy=FetchPolicy(bytes_in_flight=500)), undisturbed)


def test_reading_may_stop_anywhere(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    bucket = Bucket("s3://pmc-oa-opendata")
    articles = bucket.read(list(bucket.handles()))
    next(articles)
    articles.close()  # type: ignore[attr-defined]
    assert "bucket-reader" not in {thread.name for thread in threading.enumerate()}


def test_the_fingerprint_changes_with_any_file(tmp_path: Path) -> None:
    objects = article("PMC1.1", {"x.jpg": b"one"})
    lay_out(objects | inventory(objects), tmp_path)
    before = Bucket(tmp_path).fingerprint()
    (tmp_path / "work").mkdir()
    (tmp_path / "work/pairs.parquet").write_bytes(b"not of the bucket")
    assert Bucket(tmp_path).fingerprint() == before
    (tmp_path / "PMC1.1/x.jpg").write_bytes(b"two!")
    assert Bucket(tmp_path).fingerprint() != before


def test_fetches_are_counted(copy: Path) -> None:
    seen: list[FetchCounts] = []
    bucket = Bucket(copy, on_counts=seen.append)
    images(bucket, read(bucket, ["PMC8000001.1"]))
    assert seen[-1] == FetchCounts(objects=3, bytes=1_200)


def test_the_sample_is_a_bucket() -> None:
    bucket = open_source("sample")
    assert (bucket.name, bucket.date) == ("sample", "2026-11-01")
    handles = list(bucket.handles())
    assert "PMC9000013.2" in handles
    assert "PMC9000013.1" not in handles
    drops = {got[0]: got[1].reason for got in bucket.read(handles) if not isinstance(got, SourceArticle)}
    assert drops == {"PMC9000011.1": Reason.RETRACTED, "PMC9000012.1": Reason.NOT_OPEN_ACCESS}


def test_what_cannot_be_opened_says_why_and_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "xml").mkdir()
    (tmp_path / "xml/a.nxml").write_bytes(b"<article/>")
    (tmp_path / "tar").mkdir()
    (tmp_path / "tar/PMC1.tar.gz").write_bytes(b"")
    (tmp_path / "empty").mkdir()
    (tmp_path / "hollow/metadata").mkdir(parents=True)
    wrong = {
        "": "use sample, pmc-cloud",
        f"{tmp_path}/none": "is not there",
        f"{tmp_path}/xml/a.nxml": "is not a folder",
        f"file://{tmp_path}/none": "is not there",
        f"{tmp_path}/xml": f"use jats:{tmp_path}/xml",
        f"{tmp_path}/tar": f"use packages:{tmp_path}/tar",
        f"{tmp_path}/empty": "holds no article",
        f"jats:{tmp_path}/empty": "no .xml or .nxml file",
        f"packages:{tmp_path}/empty": "no .tar.gz or .tgz file",
        f"packages:{tmp_path}/none": "does not exist",
        "jats:": "use jats:PATH",
        "ftp://host/x": "unknown kind of address ftp://",
        "s3://": "names no bucket",
        "package:somewhere": "unknown kind of source package: (use sample",
        "http://example.org/bucket": "is not encrypted",
        "released:x.json": "finished rows",
        f"{tmp_path}/hollow": "holds no article",
        "http://127.0.0.1:9/bucket": "cannot be reached",
    }
    monkeypatch.setattr("llavamed_data.sources.inventory._FIRST_CONTACT_SECONDS", 0.2)
    for spec, message in wrong.items():
        with pytest.raises(UsageError, match=re.escape(message)):
            list(open_source(spec).handles())
    with pytest.raises(UsageError, match="--license"):
        open_source(f"jats:{corpus_path()}", licenses=["cc0"])


def test_a_mirror_without_listing_or_inventory_is_an_error(tmp_path: Path) -> None:
    objects = article("PMC1.1")
    with (
        files.folder(lay_out(objects, tmp_path)) as address,
        pytest.raises(UsageError, match="cannot be listed"),
    ):
        list(Bucket(address).handles())


def test_made_up_metadata_have_the_fields_of_the_bundled_ones() -> None:
    """The synthetic articles here have the fields of the bundled ones, so that both test the same reader."""
    bundled = json.loads((corpus_path() / "PMC9000001.1/PMC9000001.1.json").read_text())
    made = json.loads(corpus.article("PMC1.1")["metadata/PMC1.1.json"])
    assert made.keys() <= bundled.keys()
