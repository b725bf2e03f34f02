"""Bare JATS files: each is an article, in a stable order, without any image."""

import asyncio
import os
import pickle
from pathlib import Path

import pytest

from llavamed_data.errors import UsageError
from llavamed_data.reasons import Drop, Reason
from llavamed_data.sources import JatsFiles, SourceArticle, jats_files


def test_every_file_below_the_folder_is_an_article(tmp_path: Path) -> None:
    names = ["b.xml", "a.NXML", "sub/deeper/c.nxml", "sub/d.XML", "note.txt", "e.xml.gz", "._a.nxml"]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
    source = pickle.loads(pickle.dumps(JatsFiles(tmp_path)))
    handles = list(source.handles())
    assert handles == ["a.NXML", "b.xml", "sub/d.XML", "sub/deeper/c.nxml"]
    assert list(source.read(handles)) == [SourceArticle(handle, handle.encode()) for handle in handles]


def test_a_single_file_is_a_source(tmp_path: Path) -> None:
    (tmp_path / "one.xml").write_bytes(b"<article/>")
    (tmp_path / "other.xml").write_bytes(b"<article/>")
    source = JatsFiles(tmp_path / "one.xml")
    assert list(source.read(list(source.handles()))) == [SourceArticle("one.xml", b"<article/>")]


def test_all_real_articles_are_read(shared_data: Path) -> None:
    source = JatsFiles(shared_data / "jats")
    articles = list(source.read(list(source.handles())))
    assert len(articles) == 267
    assert all(isinstance(one, SourceArticle) and b"<" in one.xml for one in articles)


def test_a_file_that_is_gone_or_too_large_is_dropped_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a.xml", "b.xml", "c.xml"):
        (tmp_path / name).write_bytes(b"<article/>")
    source = JatsFiles(tmp_path)
    handles = list(source.handles())
    (tmp_path / "a.xml").unlink()
    (tmp_path / "b.xml").write_bytes(b" " * 11)
    monkeypatch.setattr(jats_files, "MAX_XML_BYTES", 10)
    read = list(source.read(handles))
    outcomes = [one.handle if isinstance(one, SourceArticle) else (one[0], one[1].reason) for one in read]
    assert outcomes == [("a.xml", Reason.NO_XML), ("b.xml", Reason.XML_TOO_LARGE), "c.xml"]


def test_files_with_special_characters_in_their_names_are_read(tmp_path: Path) -> None:
    names = [b"two\nlines.xml", b"latin-\xe9.xml", b"per%20cent.xml", "größe.xml".encode()]
    for name in names:
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).write_bytes(name)
    source = JatsFiles(tmp_path)
    handles = list(source.handles())
    assert not any("\n" in handle for handle in handles)
    assert "\n".join(handles).encode()  # they can be written to a file
    assert {one.xml for one in source.read(handles) if isinstance(one, SourceArticle)} == set(names)


def test_bare_files_have_no_images(tmp_path: Path) -> None:
    async def run() -> list[tuple[str, bytes | Drop]]:
        return [got async for got in JatsFiles(tmp_path).images(["a", "b", "a"])]

    got = asyncio.run(run())
    assert [name for name, _ in got] == ["a", "b"]
    assert all(isinstance(one, Drop) and one.reason is Reason.IMAGE_MISSING for _, one in got)


def test_the_fingerprint_changes_with_any_file(tmp_path: Path) -> None:
    (tmp_path / "a.xml").write_bytes(b"1")
    source = JatsFiles(tmp_path)
    before = source.fingerprint()
    (tmp_path / "note.txt").write_bytes(b"1")
    assert source.fingerprint() == before
    (tmp_path / "a.xml").write_bytes(b"12")
    assert source.fingerprint() != before


def test_errors_name_the_path_that_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not exist"):
        JatsFiles(tmp_path / "none")
    with pytest.raises(UsageError, match="no .xml or .nxml file"):
        list(JatsFiles(tmp_path).handles())
