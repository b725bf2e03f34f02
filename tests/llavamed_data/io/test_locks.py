"""A lock is held by one process, and ends with it however it ends."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from llavamed_data.errors import LlavaMedError, UsageError
from llavamed_data.io.locks import exclusive_lock, lock_work_folder
from tests.conftest import CHECKOUT

HOLDER = """
import subprocess, sys, time
from pathlib import Path
from llavamed_data.io.locks import exclusive_lock
with exclusive_lock(Path(sys.argv[1]), busy="busy") as lock:
    if sys.argv[2] == "child":
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(2)"], pass_fds=(lock,))
    print("held", flush=True)
    time.sleep(60)
"""


def hold(path: Path, how: str) -> subprocess.Popen[str]:
    """A process that holds the lock, with or without a child that inherits it."""
    command = [sys.executable, "-c", HOLDER, str(path), how]
    holder = subprocess.Popen(command, cwd=CHECKOUT, stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    return holder


def is_free(path: Path) -> bool:
    try:
        with exclusive_lock(path, busy="the lock is held"):
            return True
    except LlavaMedError:
        return False


def test_a_second_holder_is_told_at_once(tmp_path: Path) -> None:
    with exclusive_lock(tmp_path / "lock", busy="no"):
        assert not is_free(tmp_path / "lock")
        with (
            pytest.raises(LlavaMedError, match="^wait for it$"),
            exclusive_lock(tmp_path / "lock", busy="wait for it"),
        ):
            pass
    assert is_free(tmp_path / "lock")


def test_a_killed_process_releases_its_lock(tmp_path: Path) -> None:
    holder = hold(tmp_path / "lock", "alone")
    assert not is_free(tmp_path / "lock")
    holder.kill()
    holder.wait()
    assert is_free(tmp_path / "lock")


def test_a_child_that_was_given_the_lock_keeps_it(tmp_path: Path) -> None:
    holder = hold(tmp_path / "lock", "child")
    holder.kill()
    holder.wait()
    assert not is_free(tmp_path / "lock")
    until = time.monotonic() + 30
    while not is_free(tmp_path / "lock"):
        assert time.monotonic() < until
        time.sleep(0.05)


def test_a_work_folder_is_made_and_has_one_user(tmp_path: Path) -> None:
    work = tmp_path / "new" / "work"
    with (
        lock_work_folder(work),
        pytest.raises(LlavaMedError, match="another run is using .*choose another --work"),
        lock_work_folder(work),
    ):
        pass
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(UsageError, match="cannot work in .*another folder with --work"),
        lock_work_folder(tmp_path / "file"),
    ):
        pass
