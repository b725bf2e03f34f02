"""Old packages: real ones, broken ones, and hostile ones, of which nothing ever reaches the disk."""

import asyncio
import gzip
import io
import os
import pickle
import random
import resource
import tarfile
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llavamed_data.reasons import Drop, Reason
from llavamed_data.sources import Packages, SourceArticle
from llavamed_data.sources.archive import ArchiveLimits
from llavamed_data.sources.article import resolve_graphic

XML = b"<article/>"


def tar(*members: tarfile.TarInfo | tuple[str, bytes], format: int = tarfile.GNU_FORMAT) -> bytes:  # noqa: A002
    """An archive of files (name and bytes) and of members as given, without bodies."""
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w", format=format) as archive:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                archive.addfile(member)
            else:
                header = tarfile.TarInfo(member[0])
                header.size = len(member[1])
                archive.addfile(header, io.BytesIO(member[1]))
    return written.getvalue()


def special(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    header = tarfile.TarInfo(name)
    header.type, header.linkname = kind, target
    return header


def package(folder: Path, content: bytes, name: str = "PMC1.tar.gz") -> Packages:
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(content)
    return Packages(folder)


def read(packages: Packages, handle: str = "PMC1.tar.gz") -> SourceArticle | Drop:
    (got,) = packages.read([handle])
    return got if isinstance(got, SourceArticle) else got[1]


def images(packages: Packages, *locators: str) -> dict[str, bytes | Drop]:
    async def run() -> dict[str, bytes | Drop]:
        return {name: got async for name, got in packages.images(locators)}

    return asyncio.run(run())


def everything(folder: Path) -> dict[str, bytes | None]:
    return {
        str(path): path.read_bytes() if path.is_file() and not path.is_symlink() else None
        for path in sorted(folder.rglob("*"))
    }


def test_an_article_and_its_images_come_out_whole(tmp_path: Path) -> None:
    pictures = {"a.g001.jpg": b"one", "A.G002.JPG": b"two", "thumb.gif": b"three"}
    content = tar(
        ("PMC1/a.nxml", XML), ("PMC1/a.pdf", b"pdf"), *((f"PMC1/{n}", d) for n, d in pictures.items())
    )
    packages = pickle.loads(pickle.dumps(package(tmp_path, gzip.compress(content))))
    article = read(packages)
    assert isinstance(article, SourceArticle)
    assert (article.handle, article.pmcid, article.xml, article.incomplete) == (
        "PMC1.tar.gz",
        "PMC1",
        XML,
        False,
    )
    assert article.media.keys() == pictures.keys()
    assert images(packages, *article.media.values()) == {article.media[n]: d for n, d in pictures.items()}


def test_an_archive_of_several_articles_is_dropped_with_its_reason(tmp_path: Path) -> None:
    got = read(package(tmp_path, gzip.compress(tar(("a/PMC1.xml", XML), ("a/PMC2.xml", XML)))))
    assert isinstance(got, Drop)
    assert got.reason is Reason.SEVERAL_ARTICLES


@pytest.mark.parametrize(
    "documents", [[XML, b"<data/>"], [b"<data/>", XML], [XML, b"<data>" + b"x" * 100_000]]
)
def test_a_supplement_in_xml_is_not_taken_for_the_article(documents: list[bytes], tmp_path: Path) -> None:
    members = [(f"a/{number}.xml", document) for number, document in enumerate(documents)]
    packages = package(tmp_path, gzip.compress(tar(*members)))
    packages.limits = ArchiveLimits(xml_bytes=50_000)
    got = read(packages)
    assert isinstance(got, SourceArticle)
    assert got.xml == XML


def test_real_packages(shared_data: Path) -> None:
    """Four whole ones and one truly cut off inside its third figure's neighbour: three of four full figures."""
    packages = Packages(shared_data / "pmc_packages")
    handles = list(packages.handles())
    assert [handle.partition(".")[0] for handle in handles] == [
        "PMC1762412", "PMC2270912", "PMC2467486", "PMC3003633", "PMC10802347",
    ]  # fmt: skip
    articles = [read(packages, handle) for handle in handles]
    media = [len(one.media) for one in articles if isinstance(one, SourceArticle)]
    assert [one.incomplete for one in articles if isinstance(one, SourceArticle)] == [False] * 4 + [True]
    assert media == [12, 5, 9, 3, 6]
    cut = articles[-1]
    assert isinstance(cut, SourceArticle)
    figures = [f"nihpp-2023.12.31.573776v1-f000{number}" for number in (1, 2, 3, 4)]
    found = [resolve_graphic(href, cut.media) for href in figures]
    assert [locator and locator[-3:] for locator in found] == [None, "jpg", "jpg", "jpg"]
    got = images(packages, *filter(None, found), f"{cut.handle}#{figures[0]}")
    sizes = [len(one) if isinstance(one, bytes) else one.reason for one in got.values()]
    assert sorted(sizes, key=str) == [110784, 133246, 162514, Reason.ARCHIVE_TRUNCATED]


HOSTILE = {
    "traversal": [("PMC1/a.nxml", XML), ("PMC1/../../out.jpg", b"x")],
    "traversal alone": [("../out.nxml", XML)],
    "windows traversal": [("PMC1\\..\\..\\out.jpg", b"x"), ("PMC1/a.nxml", XML)],
    "absolute": [("PMC1/a.nxml", XML), ("/tmp/out.jpg", b"x")],
    "drive": [("C:\\out.jpg", b"x"), ("PMC1/a.nxml", XML)],
    "symlink": [("PMC1/a.nxml", XML), special("PMC1/b.jpg", tarfile.SYMTYPE, "/etc/passwd")],
    "symlink first": [special("PMC1", tarfile.SYMTYPE, "/tmp"), ("PMC1/a.nxml", XML)],
    "long symlink": [("PMC1/a.nxml", XML), special("PMC1/b.jpg", tarfile.SYMTYPE, "/" + "x" * 200)],
    "hardlink": [("PMC1/a.nxml", XML), special("PMC1/b.jpg", tarfile.LNKTYPE, "PMC1/a.nxml")],
    "character device": [("PMC1/a.nxml", XML), special("PMC1/b.jpg", tarfile.CHRTYPE)],
    "block device": [("PMC1/a.nxml", XML), special("PMC1/b.jpg", tarfile.BLKTYPE)],
    "fifo": [("PMC1/a.nxml", XML), special("PMC1/b.jpg", tarfile.FIFOTYPE)],
    "sparse": [("PMC1/a.nxml", XML), special("PMC1/b.jpg", tarfile.GNUTYPE_SPARSE)],
    "unknown kind": [("PMC1/a.nxml", XML), special("PMC1/b.jpg", b"Z")],
    "folder outside": [special("../PMC1", tarfile.DIRTYPE), ("PMC1/a.nxml", XML)],
}


@pytest.mark.parametrize("format", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT], ids=["gnu", "pax"])
@pytest.mark.parametrize("members", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_member_drops_the_article_and_nothing_is_written(
    members: list[tarfile.TarInfo | tuple[str, bytes]],
    format: int,  # noqa: A002
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    packages = package(tmp_path / "in", gzip.compress(tar(*members, format=format)))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    before = everything(tmp_path)
    got = read(packages)
    assert isinstance(got, Drop)
    assert got.reason is Reason.ARCHIVE_HOSTILE
    asked = images(packages, "PMC1.tar.gz#PMC1/b.jpg", "PMC1.tar.gz#../../out.jpg", "PMC1.tar.gz#/etc/passwd")
    assert all(isinstance(one, Drop) for one in asked.values())
    assert everything(tmp_path) == before
    assert not Path("/tmp/out.jpg").exists()


def packed_zeros(count: int) -> bytes:
    """Several gzip streams in a row, which is a gzip file too."""
    return gzip.compress(bytes(1 << 20)) * (count >> 20)


def header(name: str, size: int, kind: bytes = tarfile.REGTYPE) -> bytes:
    made = special(name, kind)
    made.size = size
    return made.tobuf(tarfile.GNU_FORMAT)


def bombs() -> Iterator[tuple[str, Callable[[], bytes]]]:
    gigabyte = 1 << 30
    yield "image", lambda: gzip.compress(header("PMC1/a.jpg", gigabyte)) + packed_zeros(gigabyte)
    yield "xml", lambda: gzip.compress(header("PMC1/a.nxml", gigabyte)) + packed_zeros(gigabyte)
    yield (
        "name",
        lambda: gzip.compress(header("PMC1/a", gigabyte, tarfile.GNUTYPE_LONGNAME)) + packed_zeros(gigabyte),
    )
    yield "pax", lambda: gzip.compress(header("PMC1/a", gigabyte, tarfile.XHDTYPE)) + packed_zeros(gigabyte)
    yield "after the end", lambda: gzip.compress(tar(("PMC1/a.nxml", XML))) + packed_zeros(gigabyte)
    yield "members", lambda: gzip.compress(header("PMC1/a.jpg", 0) * 200_000, 6)
    yield "nested names", lambda: gzip.compress(header("PMC1/a", 0, tarfile.XHDTYPE) * 100_000, 6)


@pytest.mark.slow
@pytest.mark.parametrize(("build"), [build for _, build in bombs()], ids=[name for name, _ in bombs()])
def test_a_bomb_is_refused_in_bounded_time_and_memory(build: Callable[[], bytes], tmp_path: Path) -> None:
    packages = package(tmp_path, build())
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # of whatever else this process has run
    tracemalloc.start()
    start = time.perf_counter()
    try:
        got = read(packages)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert isinstance(got, Drop)
    assert got.reason in (Reason.ARCHIVE_HOSTILE, Reason.XML_TOO_LARGE)
    assert peak < 64 << 20
    assert time.perf_counter() - start < 20  # a gigabyte in full takes much longer under tracing
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - most < 512 << 10  # KiB


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", Reason.ARCHIVE_UNREADABLE),
        (b"<html>404</html>", Reason.ARCHIVE_UNREADABLE),
        (gzip.compress(b""), Reason.ARCHIVE_UNREADABLE),
        (gzip.compress(b"not a tar file" * 100), Reason.ARCHIVE_UNREADABLE),
        (gzip.compress(tar()), Reason.NO_XML),
        (gzip.compress(tar(("PMC1/a.jpg", b"x"))), Reason.NO_XML),
        (
            gzip.compress(tar(("PMC1/a.jpg", b"x" * 2000), ("PMC1/a.nxml", XML)))[:-40],
            Reason.ARCHIVE_TRUNCATED,
        ),
    ],
    ids=["empty", "HTML", "empty gzip", "text", "empty tar", "no XML", "cut off"],
)
def test_a_file_that_is_no_package_is_dropped_with_its_reason(
    content: bytes, reason: Reason, tmp_path: Path
) -> None:
    got = read(package(tmp_path, content))
    assert isinstance(got, Drop)
    assert got.reason is reason


def test_a_false_member_size_ends_the_archive_there(tmp_path: Path) -> None:
    whole = tar(("PMC1/a.nxml", XML), ("PMC1/a.jpg", b"x" * 1000), ("PMC1/b.jpg", b"y" * 1000))
    larger = bytearray(whole)
    larger[1024:1536] = header("PMC1/a.jpg", 10**6)
    smaller = bytearray(whole)
    smaller[1024:1536] = header("PMC1/a.jpg", 3)
    for lie in (larger, smaller):
        article = read(package(tmp_path, gzip.compress(bytes(lie))))
        assert isinstance(article, SourceArticle)
        assert article.incomplete
        assert "b.jpg" not in article.media
        got = images(Packages(tmp_path), "PMC1.tar.gz#b")
        assert [one.reason for one in got.values() if isinstance(one, Drop)] == [Reason.ARCHIVE_TRUNCATED]


@pytest.mark.parametrize("size", [-512, -1, 1 << 62])
def test_a_size_beyond_reason_is_refused(size: int, tmp_path: Path) -> None:
    lying = tarfile.TarInfo("PMC1/a.jpg")
    lying.pax_headers = {"size": str(size)}
    content = tar(("PMC1/a.nxml", XML), lying, ("PMC1/b.jpg", b"y"), format=tarfile.PAX_FORMAT)
    got = read(package(tmp_path, gzip.compress(content)))
    assert isinstance(got, Drop)
    assert got.reason is Reason.ARCHIVE_HOSTILE


def test_limits_hold_for_the_whole_archive(tmp_path: Path) -> None:
    noise = random.Random(3).randbytes(300_000)
    content = gzip.compress(tar(("PMC1/a.nxml", XML), *((f"PMC1/{n}.jpg", noise) for n in range(4))))
    (tmp_path / "PMC1.tar.gz").write_bytes(content)
    for limits in (ArchiveLimits(total_bytes=1_000_000), ArchiveLimits(members=4)):
        got = read(Packages(tmp_path, limits=limits))
        assert isinstance(got, Drop)
        assert got.reason is Reason.ARCHIVE_HOSTILE
    packages = Packages(tmp_path, limits=ArchiveLimits(image_bytes=200_000, total_bytes=2_000_000, members=5))
    article = read(packages)
    assert isinstance(article, SourceArticle)
    got_images = images(packages, *article.media.values()).values()
    assert [one.reason for one in got_images if isinstance(one, Drop)] == [Reason.IMAGE_TOO_LARGE] * 4
    got = read(Packages(tmp_path, limits=ArchiveLimits(xml_bytes=5)))
    assert isinstance(got, Drop)
    assert got.reason is Reason.XML_TOO_LARGE


@settings(max_examples=60, deadline=None)
@given(cut=st.integers(0, 100), flip=st.booleans())
def test_everything_before_a_break_is_read_or_has_a_reason(
    cut: int, flip: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Cut anywhere, or with a byte changed: each image is its own bytes or has a reason; none is lost unsaid."""
    pictures = {f"g{number}.jpg": random.Random(number).randbytes(5_000) for number in range(5)}
    content = gzip.compress(tar(("PMC1/a.nxml", XML), *((f"PMC1/{n}", d) for n, d in pictures.items())))
    at = min(len(content) * cut // 100, len(content) - 1)
    broken = content[:at] + (bytes([content[at] ^ 1]) + content[at + 1 :] if flip else b"")
    packages = package(tmp_path_factory.mktemp("broken"), broken)
    article = read(packages)
    if isinstance(article, Drop):
        assert article.reason in (Reason.ARCHIVE_UNREADABLE, Reason.ARCHIVE_TRUNCATED, Reason.ARCHIVE_HOSTILE)
        return
    assert article.xml == XML
    assert article.incomplete or flip
    locators = {name: article.media.get(name) or f"PMC1.tar.gz#{name[:-4]}" for name in pictures}
    got = images(packages, *locators.values())
    whole = 0
    for name, locator in locators.items():
        one = got[locator]
        if isinstance(one, bytes):
            whole += one == pictures[name]
            assert one == pictures[name] or flip
        else:
            assert one.reason is Reason.ARCHIVE_TRUNCATED
    if not flip:
        assert whole >= 5 * at // len(content) - 1


def test_images_with_special_characters_in_their_names_are_found(tmp_path: Path) -> None:
    strange = {"a#b.jpg": b"1", "a?md5=0.jpg": b"2", "a%20b.jpg": b"3", "a b.jpg": b"4", "é\n.jpg": b"5"}
    (tmp_path / "sub#1").mkdir()
    content = gzip.compress(tar(("PMC1/a.nxml", XML), *((f"PMC1/{n}", d) for n, d in strange.items())))
    (tmp_path / "sub#1" / "PMC1 ?\n.tar.gz").write_bytes(content)
    packages = Packages(tmp_path)
    (handle,) = packages.handles()
    assert "\n" not in handle
    article = read(packages, handle)
    assert isinstance(article, SourceArticle)
    assert not any("\n" in locator or "?" in locator for locator in article.media.values())
    assert images(packages, *article.media.values()) == {article.media[n]: d for n, d in strange.items()}


def test_each_archive_is_read_once_however_many_images_are_wanted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in (1, 2):
        content = gzip.compress(tar(("P/a.nxml", XML), *((f"P/{n}.jpg", b"x") for n in range(9))))
        package(tmp_path, content, f"PMC{number}.tar.gz")
    opened: list[str] = []
    plain = Path.open

    def counting(path: Path, *arguments: str) -> io.BufferedReader:
        opened.append(path.name)
        return plain(path, *arguments)  # type: ignore[call-overload, no-any-return]

    monkeypatch.setattr(Path, "open", counting)
    wanted = [f"PMC{archive}.tar.gz#P/{number}.jpg" for number in range(9) for archive in (1, 2)]
    assert images(Packages(tmp_path), *wanted, *wanted) == dict.fromkeys(wanted, b"x")
    assert sorted(opened) == ["PMC1.tar.gz", "PMC2.tar.gz"]


def test_handles_are_sorted_and_the_fingerprint_changes_with_any_archive(tmp_path: Path) -> None:
    for name in ("b/PMC20.tar.gz", "PMC3.tar.gz", "a/PMC100.TGZ", "a/notes.txt", "other.tar.gz"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    packages = Packages(tmp_path)
    assert list(packages.handles()) == ["other.tar.gz", "PMC3.tar.gz", "b/PMC20.tar.gz", "a/PMC100.TGZ"]
    prints = [packages.fingerprint()]
    os.utime(tmp_path / "PMC3.tar.gz", (1, 1))
    prints.append(packages.fingerprint())
    (tmp_path / "a/PMC100.TGZ").write_bytes(b"xy")
    prints.append(packages.fingerprint())
    (tmp_path / "b/PMC20.tar.gz").rename(tmp_path / "b/PMC21.tar.gz")
    prints.append(packages.fingerprint())
    assert len(set(prints)) == 4


def test_one_archive_alone(tmp_path: Path) -> None:
    package(tmp_path, gzip.compress(tar(("PMC7/a.nxml", XML), ("PMC7/a.jpg", b"x"))), "PMC7.tar.gz")
    packages = Packages(tmp_path / "PMC7.tar.gz")
    (handle,) = packages.handles()
    article = read(packages, handle)
    assert isinstance(article, SourceArticle)
    assert (handle, article.pmcid) == ("PMC7.tar.gz", "PMC7")
    assert list(images(packages, *article.media.values()).values()) == [b"x"]
    (tmp_path / "PMC7.tar.gz").unlink()
    got = read(packages, handle)
    assert isinstance(got, Drop)
    assert got.reason is Reason.ARCHIVE_UNREADABLE
