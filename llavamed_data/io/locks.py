"""Locks that end with the process that holds them, however it ends."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO

from llavamed_data.errors import LlavaMedError, UsageError

WORK_FOLDER_MARK = ".llavamed-work-folder"
"""An empty file in every work folder: whoever looks for files of a source does not look there."""


@contextmanager
def exclusive_lock(path: Path, *, busy: str) -> Iterator[int]:
    """Holds an exclusive lock on the file `path` during the block, and does not wait for it.

    The system releases the lock when the last process that holds its file descriptor ends: child processes do not
    inherit it, unless they are started with `pass_fds` and so keep the lock when this process dies.

    Args:
        path: the lock file; it is made and stays, empty.
        busy: the error message if another process holds the lock.

    Yields:
        The file descriptor that holds the lock.

    Raises:
        LlavaMedError: another process holds the lock.
        OSError: the file cannot be opened for writing.
    """
    with path.open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LlavaMedError(busy) from None
        yield file.fileno()


@contextmanager
def locked_for_adding(path: Path) -> Iterator[BinaryIO]:
    """Opens the file `path` for reading and adding to its end, alone among processes, and waits for that.

    A file that is renamed over `path` meanwhile is the one that is opened.

    Raises:
        OSError: it cannot be opened for writing.
    """
    while True:
        with path.open("a+b", buffering=0) as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if _is_open_at(path, file):
                yield file
                return


@contextmanager
def lock_work_folder(work: Path) -> Iterator[None]:
    """Makes the work folder `--work` and keeps other runs out of it during the block.

    Raises:
        LlavaMedError: another run is using it.
        UsageError: it cannot be written.
    """
    busy = f"another run is using {work}: wait for it, or choose another --work"
    with ExitStack() as held:
        try:
            work.mkdir(parents=True, exist_ok=True)
            held.enter_context(exclusive_lock(work / "lock", busy=busy))
            (work / WORK_FOLDER_MARK).touch()
        except OSError as error:
            raise UsageError(
                f"cannot work in {work} ({error.strerror}): choose another folder with --work"
            ) from error
        yield


def _is_open_at(path: Path, file: BinaryIO) -> bool:
    """Whether the open file is still the one at `path`."""
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False
