"""A file or folder appears under its name complete, or not at all."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from llavamed_data.errors import LlavaMedError, UsageError
from llavamed_data.io.atomic import (
    atomic_folder,
    atomic_path,
    recover_folder,
    remove_temporary_files,
    replace_folder,
    write_text,
)
from tests.conftest import CHECKOUT


class Interrupted(Exception):  # noqa: N818  (not an error of the code)
    """What stops a block in the middle."""


def test_a_file_appears_when_the_block_succeeds(tmp_path: Path) -> None:
    with atomic_path(tmp_path / "a.txt") as temporary:
        temporary.write_text("new")
        assert not (tmp_path / "a.txt").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]
    assert (tmp_path / "a.txt").read_text() == "new"


def test_a_block_that_fails_leaves_the_old_file_and_nothing_beside_it(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("old")

    def write() -> None:
        with atomic_path(tmp_path / "a.txt", durable=True) as temporary:
            temporary.write_text("half")
            raise Interrupted

    with pytest.raises(Interrupted):
        write()
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"a.txt": "old"}


WRITER = """
import sys
from pathlib import Path
from llavamed_data.io.atomic import write_text
number = 0
while True:
    number += 1
    write_text(Path(sys.argv[1]), (sys.argv[2] * 200_000) + "\\n")
"""


def test_readers_and_kills_never_meet_half_a_file(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    command = [sys.executable, "-c", WRITER, str(path)]
    writers = [subprocess.Popen([*command, letter], cwd=CHECKOUT) for letter in "ab"]
    until = time.monotonic() + 30
    while not path.exists():
        assert time.monotonic() < until
    for _ in range(200):
        text = path.read_text()
        assert text in ("a" * 200_000 + "\n", "b" * 200_000 + "\n")
    for writer in writers:
        writer.send_signal(signal.SIGKILL)
        writer.wait()
    assert len(path.read_text()) == 200_001
    remove_temporary_files(tmp_path)
    assert [each.name for each in tmp_path.iterdir()] == ["a.txt"]


def test_text_is_written_with_its_own_line_ends_and_its_folder_is_made(tmp_path: Path) -> None:
    write_text(tmp_path / "new" / "a.txt", "one\r\ntwo\nthree\r")
    assert (tmp_path / "new" / "a.txt").read_bytes() == b"one\r\ntwo\nthree\r"


def test_a_folder_appears_when_the_block_succeeds(tmp_path: Path) -> None:
    with atomic_folder(tmp_path / "deep" / "set") as folder:
        (folder / "a").write_text("1")
        assert not (tmp_path / "deep" / "set").exists()
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["set"]


def test_a_folder_whose_block_fails_leaves_nothing(tmp_path: Path) -> None:
    def write() -> None:
        with atomic_folder(tmp_path / "set") as folder:
            (folder / "a").write_text("1")
            raise Interrupted

    with pytest.raises(Interrupted):
        write()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["file", "full", "link"])
def test_what_is_there_is_never_written_over(tmp_path: Path, kind: str) -> None:
    out = tmp_path / "set"
    if kind == "file":
        out.write_text("mine")
    elif kind == "full":
        out.mkdir()
        (out / "mine").write_text("mine")
    else:
        (tmp_path / "elsewhere").mkdir()
        out.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UsageError, match="exists already: remove it"), atomic_folder(out):
        pass
    assert out.exists()


def test_a_folder_is_replaced_whole_only_when_the_block_succeeds(tmp_path: Path) -> None:
    def write(text: str, *, fail: bool) -> None:
        with atomic_folder(tmp_path / "set", replace=True) as folder:
            (folder / text).write_text(text)
            if fail:
                raise Interrupted

    write("old", fail=False)
    with pytest.raises(Interrupted):
        write("half", fail=True)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["old"]
    write("new", fail=False)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["new"]


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LlavaMedError, match="file"), atomic_folder(tmp_path / "file" / "set"):
        pass


def test_a_kill_between_the_two_renames_is_undone(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "a").write_text("old")
    (tmp_path / "set").rename(tmp_path / ".set.old")  # where a kill left it
    recover_folder(tmp_path / "set")
    assert (tmp_path / "set" / "a").read_text() == "old"
    made = tmp_path / "made"
    made.mkdir()
    (made / "a").write_text("new")
    replace_folder(made, tmp_path / "set")
    recover_folder(tmp_path / "set")
    assert {path.name for path in tmp_path.iterdir()} == {"set"}
    assert (tmp_path / "set" / "a").read_text() == "new"


def test_temporary_names_tell_processes_apart(tmp_path: Path) -> None:
    with atomic_path(tmp_path / "a") as temporary:
        assert str(os.getpid()) in temporary.name
        temporary.touch()
