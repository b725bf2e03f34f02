"""Files below a folder are listed once each, and a digest changes with every change that a listing can show."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from llavamed_data.errors import UsageError
from llavamed_data.io.locks import lock_work_folder
from llavamed_data.reasons import Reason
from llavamed_data.sources import Bucket, JatsFiles, Packages, open_source
from llavamed_data.sources.folders import digest_of_files, files_below, is_not_hidden
from tests.llavamed_data.sources.corpus import article, inventory, lay_out


def paths(folder: Path, **options: object) -> list[str]:
    return sorted(path for path, _ in files_below(folder, **options))  # type: ignore[arg-type]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in ("a.txt", "sub/b.txt", "sub/deeper/c.txt", ".hidden/d.txt"):
        (tmp_path / "tree" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "tree" / name).write_text(name)
    return tmp_path / "tree"


def test_every_file_is_listed_with_its_path(tree: Path) -> None:
    assert paths(tree) == [".hidden/d.txt", "a.txt", "sub/b.txt", "sub/deeper/c.txt"]
    assert paths(tree, enter=is_not_hidden) == ["a.txt", "sub/b.txt", "sub/deeper/c.txt"]
    assert paths(tree, enter=lambda path: path != "sub/deeper") == [".hidden/d.txt", "a.txt", "sub/b.txt"]


def test_a_work_folder_inside_a_source_is_no_part_of_it(tree: Path) -> None:
    before = digest_of_files(files_below(tree))
    with lock_work_folder(tree / "sub/work"):
        (tree / "sub/work/image.jpg").write_bytes(b"fetched")
        assert paths(tree) == [".hidden/d.txt", "a.txt", "sub/b.txt", "sub/deeper/c.txt"]
    assert digest_of_files(files_below(tree)) == before
    assert "image.jpg" in paths(tree / "sub/work")  # who asks for the folder itself gets it


@pytest.mark.parametrize("suffix", [".xml", ".tar.gz"])
def test_what_is_no_file_is_an_article_that_is_dropped(suffix: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / f"PMC1{suffix}")
    (tmp_path / f"PMC2{suffix}").symlink_to("nowhere")
    (tmp_path / f"PMC3{suffix}").symlink_to("/dev/zero")
    (tmp_path / f"PMC4{suffix}").write_bytes(b"<article/>")
    source = JatsFiles(tmp_path) if suffix == ".xml" else Packages(tmp_path)
    handles = list(source.handles())
    assert handles == [f"PMC{number}{suffix}" for number in (1, 2, 3, 4)]
    reason = Reason.NO_XML if suffix == ".xml" else Reason.ARCHIVE_UNREADABLE
    drops = [got[1] for got in source.read(handles[:3]) if isinstance(got, tuple)]
    assert [(drop.reason, drop.detail) for drop in drops] == [
        (reason, "it is a named pipe and not a file"),
        (reason, "No such file or directory"),
        (reason, "it is a device and not a file"),
    ]
    assert source.fingerprint() == source.fingerprint()


def test_links_and_special_files(tree: Path) -> None:
    (tree / "link.txt").symlink_to("a.txt")
    (tree / "broken.txt").symlink_to("nowhere")
    (tree / "folder").symlink_to("sub")
    (tree / "sub" / "loop").symlink_to("..")
    os.mkfifo(tree / "pipe.txt")
    assert paths(tree, enter=is_not_hidden) == ["a.txt", "link.txt", "sub/b.txt", "sub/deeper/c.txt"]
    followed = paths(tree, enter=is_not_hidden, follow_links=True)
    assert {"folder/b.txt", "sub/b.txt", "link.txt"} <= set(followed)
    assert len(followed) < 20  # a loop of links ends


@pytest.mark.skipif(os.geteuid() == 0, reason="root can read every folder")
def test_a_folder_that_cannot_be_read_is_an_error_or_left_out(tree: Path) -> None:
    (tree / "sub").chmod(0)
    try:
        with pytest.raises(PermissionError):
            paths(tree)
        assert paths(tree, skip_unreadable=True) == [".hidden/d.txt", "a.txt"]
        with pytest.raises(UsageError, match="cannot be read"):
            JatsFiles(tree).fingerprint()
    finally:
        (tree / "sub").chmod(0o755)


def edit(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b" ")


def touch(path: Path) -> None:
    os.utime(path, ns=(0, path.stat().st_mtime_ns + 1))


def replace_with_equal_size_and_time(path: Path) -> None:
    state, new = path.stat(), path.with_name("new")
    new.write_bytes(bytes(state.st_size))
    os.utime(new, ns=(state.st_atime_ns, state.st_mtime_ns))
    new.replace(path)


def rename(path: Path) -> None:
    path.rename(path.with_name("renamed.jpg"))


def add_beside(path: Path) -> None:
    path.with_name("added.jpg").write_bytes(b"")


@pytest.mark.parametrize(
    "change", [edit, touch, replace_with_equal_size_and_time, rename, add_beside, Path.unlink]
)
@pytest.mark.parametrize(
    "key",
    [
        "PMC1.1/x.jpg",
        "PMC1.1/PMC1.1.xml",
        "PMC1.1/PMC1.1.json",
        "metadata/PMC1.1.json",
        "inventory-reports/pmc-oa-opendata/metadata/2026-11-01T01-00Z/manifest.json",
    ],
)
def test_any_change_of_an_article_in_a_folder_is_seen(
    key: str, change: Callable[[Path], None], tmp_path: Path
) -> None:
    objects = article("PMC1.1", {"x.jpg": b"one"}) | article("PMC2.1")
    lay_out(objects | inventory(objects), tmp_path)
    before = open_source(str(tmp_path)).fingerprint()
    assert open_source(str(tmp_path)).fingerprint() == before
    change(tmp_path / key)
    assert open_source(str(tmp_path)).fingerprint() != before


def test_other_folders_beside_the_articles_do_not_count(tmp_path: Path) -> None:
    lay_out(article("PMC1.1"), tmp_path)
    before = Bucket(tmp_path).fingerprint()
    for name in (".llavamed/images/x.jpg", "llava-med/60k/README.md", "metadata-notes/a.json"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    assert Bucket(tmp_path).fingerprint() == before


def test_articles_behind_links_count(tmp_path: Path) -> None:
    lay_out(article("PMC1.1", {"x.jpg": b"one"}), tmp_path / "elsewhere")
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    for name in ("PMC1.1", "metadata"):
        (mirror / name).symlink_to(tmp_path / "elsewhere" / name)
    before = Bucket(mirror).fingerprint()
    edit(tmp_path / "elsewhere" / "PMC1.1" / "x.jpg")
    assert Bucket(mirror).fingerprint() != before


def test_the_digest_does_not_depend_on_the_order(tree: Path) -> None:
    files = list(files_below(tree))
    assert digest_of_files(files) == digest_of_files(reversed(files))


def test_two_sources_have_one_identity_only_if_they_are_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lay_out(article("PMC1.1"), tmp_path / "one")
    lay_out(article("PMC1.1"), tmp_path / "other")
    monkeypatch.chdir(tmp_path)
    different = [
        open_source("sample"),
        open_source("pmc-cloud"),
        open_source("s3://other"),
        open_source("one"),
        open_source("one", licenses=["cc0"]),
        open_source("other"),
        Packages("one"),
        JatsFiles("one"),
    ]
    assert len({source.identity for source in different}) == len(different)
    assert open_source("one").identity == open_source(f"file://{tmp_path}/one").identity
    assert open_source("one", licenses=["CC0"]).identity == open_source("one", licenses=["cc0"]).identity
    monkeypatch.chdir("/")
    assert open_source("sample").identity == different[0].identity
