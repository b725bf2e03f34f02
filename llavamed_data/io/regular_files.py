"""Files that are opened only if they are files: reading a named pipe, a socket or a device may never end."""

import errno
import os
import stat
from io import BufferedReader
from pathlib import Path

_KINDS = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFDIR: "a folder",
}
_OF_THE_SHELL = ("/dev/fd/", "/proc/self/fd/", "/dev/stdin")
"""How a pipe is named that the shell opens for a command, as in `--pmcids <(zcat list.gz)`."""


class NotAFileError(OSError):
    """What has this name is no file; `strerror` says what it is."""

    def __init__(self, path: str | os.PathLike[str], kind: int) -> None:
        super().__init__(
            errno.EINVAL, f"it is {_KINDS.get(kind, 'something else')} and not a file", os.fspath(path)
        )


def require_file(path: str | os.PathLike[str]) -> None:
    """Makes sure that `path`, if it exists, is a file or a link to one.

    Raises:
        NotAFileError: it is something else.
        OSError: it cannot be looked at; not if it is missing.
    """
    try:
        kind = stat.S_IFMT(Path(path).stat().st_mode)
    except FileNotFoundError:
        return
    if kind != stat.S_IFREG:
        raise NotAFileError(path, kind)


def open_file(path: Path) -> BufferedReader:
    """Opens a file for reading bytes.

    Raises:
        NotAFileError: it is no file.
        OSError: it is not there, or cannot be read.
    """
    require_file(path)
    return path.open("rb")


def require_settings_file(path: Path) -> None:
    """Makes sure that what the user names as a list or as settings is a file, or a pipe that the shell has opened.

    Raises:
        NotAFileError: it is neither.
        OSError: it cannot be looked at; not if it is missing.
    """
    if not os.fspath(path).startswith(_OF_THE_SHELL):
        require_file(path)


def read_settings(path: Path) -> str:
    """The text of a file of settings, or of a pipe that the shell has opened.

    Raises:
        NotAFileError: it is neither.
        OSError: it is not there, or cannot be read.
        UnicodeDecodeError: it is not text.
    """
    require_settings_file(path)
    return path.read_text(encoding="utf-8")
