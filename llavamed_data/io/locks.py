"""Locks that end with the process that holds them, however it ends."""

import fcntl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

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
