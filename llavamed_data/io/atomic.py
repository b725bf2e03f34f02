"""Files and folders that appear under their name only when they are complete.

Everything is written under a temporary name in the same folder and renamed when it is whole, so that whoever looks
under the final name finds all of it or nothing, whatever kills the process.
"""

import os
import platform
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from llavamed_data.errors import LlavaMedError, UsageError, explain


@contextmanager
def atomic_path(path: Path, *, durable: bool = False) -> Iterator[Path]:
    """Yields a temporary path beside `path`; it is renamed to `path` when the block succeeds, and removed otherwise.

    Two processes, also on two machines, may write the same path: the one that ends last wins, and neither sees a mix.

    Args:
        path: the file to be; its folder must exist.
        durable: also flush the file and its folder to the disk, so that a power failure cannot lose it.
    """
    temporary = path.with_name(f".{path.name}.{platform.node()}-{os.getpid()}.part")
    try:
        yield temporary
        if durable:
            sync(temporary)
        temporary.replace(path)
        if durable:
            sync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str, *, durable: bool = False) -> None:
    """Writes a UTF-8 text file that appears whole or not at all; missing parent folders are made.

    Args:
        path: the file to be.
        text: its content; line ends are written as they are.
        durable: see `atomic_path`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path, durable=durable) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="")


def remove_temporary_files(folder: Path) -> None:
    """Removes what killed processes left of files that they were writing with `atomic_path` in `folder`."""
    for path in folder.glob(".*.part"):
        path.unlink(missing_ok=True)


@contextmanager
def atomic_folder(final: Path, *, replace: bool = False) -> Iterator[Path]:
    """Yields an empty temporary folder beside `final`; it is renamed to `final` when the block succeeds.

    Args:
        final: the folder to be; missing parents are made.
        replace: an older folder of this name, which the caller has looked at, is replaced.

    Raises:
        UsageError: `final` is a file, a link, or a folder that holds something and is not to be replaced.
        LlavaMedError: it cannot be written.
    """
    recover_folder(final)
    if not replace or not final.is_dir():
        require_free(final)
    temporary = final.with_name(f".{final.name}.part")
    try:
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        yield temporary
        replace_folder(temporary, final)
    except OSError as error:
        raise LlavaMedError(explain(error, final)) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def require_free(folder: Path) -> None:
    """Checks that a new folder can take this name without replacing anything.

    Raises:
        UsageError: `folder` is a file, a link, or a folder that holds something.
    """
    if folder.is_symlink() or (folder.exists() and (not folder.is_dir() or any(folder.iterdir()))):
        raise UsageError(f"{folder} exists already: remove it, or choose another folder with --out")


def replace_folder(made: Path, final: Path) -> None:
    """Renames the complete folder `made` to `final`; an older `final` is deleted only after that.

    All bytes of `made` are flushed to the disk first. A kill between the two renames leaves the older folder under a
    hidden name, from which `recover_folder` brings it back.

    Args:
        made: the complete folder, on the same file system as `final`.
        final: the name that it takes.
    """
    for path in made.rglob("*"):
        if not path.is_symlink() and (path.is_file() or path.is_dir()):  # opening a pipe may never end
            sync(path)
    sync(made)
    old = _old_name(final)
    shutil.rmtree(old, ignore_errors=True)
    if final.exists():
        final.rename(old)
    made.rename(final)
    sync(final.parent)
    shutil.rmtree(old, ignore_errors=True)


def recover_folder(final: Path) -> None:
    """Undoes the half of a `replace_folder` that was killed between its two renames."""
    old = _old_name(final)
    if old.exists() and not final.exists():
        old.rename(final)


def sync(path: Path) -> None:
    """Flushes a file's or folder's bytes to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _old_name(final: Path) -> Path:
    return final.parent / f".{final.name}.old"
