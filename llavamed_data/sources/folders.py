"""The files below a folder, listed in one pass, and a digest that changes when one of them does."""

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from urllib.parse import quote, unquote

from llavamed_data.errors import UsageError


def files_below(
    folder: str | os.PathLike[str],
    *,
    enter: Callable[[str], bool] = lambda _: True,
    follow_links: bool = False,
    skip_unreadable: bool = False,
) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Yields the files below a folder in no order: the path relative to it, with `/` between names, and the entry.

    A link to a file counts as a file; sockets, pipes and devices are left out.

    Args:
        folder: where to look.
        enter: told the relative path of each sub-folder; those for which it is false are left out.
        follow_links: also enter links to folders, each linked folder once.
        skip_unreadable: leave out folders that cannot be read.

    Raises:
        OSError: a folder cannot be read.
    """
    folders = [("", os.fspath(folder))]
    linked = set[tuple[int, int]]()
    while folders:
        prefix, path = folders.pop()
        try:
            with os.scandir(path) as entries:
                for entry in entries:
                    name = prefix + entry.name
                    if entry.is_dir(follow_symlinks=follow_links):
                        if follow_links and entry.is_symlink():
                            state = entry.stat()
                            if (state.st_dev, state.st_ino) in linked:
                                continue
                            linked.add((state.st_dev, state.st_ino))
                        if enter(name):
                            folders.append((name + "/", entry.path))
                    elif entry.is_file():
                        yield name, entry
        except OSError:
            if not skip_unreadable:
                raise


def file_entry(path: Path) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Yields the name and entry of one file, like `files_below`; nothing if there is no such file."""
    with os.scandir(path.parent) as entries:
        yield from ((entry.name, entry) for entry in entries if entry.name == path.name)


def is_not_hidden(path: str) -> bool:
    """Whether the name of a file or folder does not begin with a point; for `files_below(enter=…)`."""
    return not path.rpartition("/")[2].startswith(".")


def digest_of_files(files: Iterable[tuple[str, os.DirEntry[str]]]) -> str:
    """Hex digest of the paths, sizes, times of change and inode numbers of files, in whatever order they come.

    Their contents are not read. The digests of single files are added up, so no list of them is kept.
    """
    total = 0
    for path, entry in files:
        state = entry.stat()
        described = f"{path}\0{state.st_size}\0{state.st_mtime_ns}\0{state.st_ino}"
        total += int.from_bytes(hashlib.sha256(described.encode("utf-8", "surrogateescape")).digest())
    return f"{total % 2**256:064x}"


class FolderFiles:
    """The files below a folder whose names have certain suffixes, each by a handle: its path, percent-encoded.

    Args:
        path: the folder, or one file.
        suffixes: in lower case; names match in either case.

    Raises:
        UsageError: `path` does not exist.
    """

    def __init__(self, path: str | os.PathLike[str], suffixes: tuple[str, ...]) -> None:
        self.path = Path(path).expanduser()
        self.suffixes = suffixes
        if not self.path.exists():
            raise UsageError(f"{self.path} does not exist: check the path")

    def __iter__(self) -> Iterator[str]:
        """Yields the handles, in no order."""
        if self.path.is_file():
            yield _handle(self.path.name)
        else:
            yield from (_handle(path) for path, _ in self._files())

    @property
    def identity(self) -> str:
        """The absolute path."""
        return str(self.path.absolute())

    def locate(self, handle: str) -> Path:
        """The path of the file with this handle."""
        folder = self.path.parent if self.path.is_file() else self.path
        return folder / unquote(handle, errors="surrogateescape")

    def fingerprint(self) -> str:
        """Hex digest of paths, sizes and times of change."""
        return digest_of_files(file_entry(self.path) if self.path.is_file() else self._files())

    def _files(self) -> Iterator[tuple[str, os.DirEntry[str]]]:
        try:
            for path, entry in files_below(self.path):
                if entry.name.lower().endswith(self.suffixes) and is_not_hidden(entry.name):
                    yield path, entry
        except OSError as error:
            raise UsageError(f"{error.filename} cannot be read: {error.strerror}") from error


def _handle(path: str) -> str:
    return quote(path, safe="/ !$&'()*+,;=:@~[]{}^|", errors="surrogateescape")
