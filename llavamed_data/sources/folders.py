"""The files below a folder: listed in one pass, as a digest that changes when one does, and as a source of articles."""

import hashlib
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import ClassVar
from urllib.parse import quote, unquote

from hub_cards import BUILT_BY
from llavamed_data.dataset.layout import CARD, WRITTEN
from llavamed_data.errors import UsageError
from llavamed_data.io.locks import WORK_FOLDER_MARK
from llavamed_data.reasons import Drop
from llavamed_data.sources.article import SourceArticle


def files_below(
    folder: str | os.PathLike[str],
    *,
    enter: Callable[[str], bool] = lambda _: True,
    follow_links: bool = False,
    skip_unreadable: bool = False,
    also_no_files: bool = False,
) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Yields the files below a folder in no order: the path relative to it, with `/` between names, and the entry.

    A link to a file counts as a file; sockets, pipes and devices are left out. Work folders (`--work`) are never
    entered, for what a run writes there is no part of a source.

    Args:
        folder: where to look.
        enter: told the relative path of each sub-folder; those for which it is false are left out.
        follow_links: also enter links to folders, each linked folder once.
        skip_unreadable: leave out folders that cannot be read.
        also_no_files: also yield what has a name and is neither file nor folder, such as a pipe or a link to nothing,
            so that it can be dropped with a reason.

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
                        if enter(name) and not Path(entry.path, WORK_FOLDER_MARK).exists():
                            folders.append((name + "/", entry.path))
                    elif also_no_files or entry.is_file():
                        yield name, entry
        except OSError:
            if not skip_unreadable:
                raise


def is_not_hidden(path: str) -> bool:
    """Whether the name of a file or folder does not begin with a point; for `files_below(enter=…)`."""
    return not path.rpartition("/")[2].startswith(".")


def is_built(folder: Path) -> bool:
    """Whether `build` wrote a folder, as `--out` inside a source makes: a dataset, or what it kept of earlier ones."""
    if (folder / WRITTEN).is_file():
        return True
    card = folder / CARD
    return card.is_file() and BUILT_BY in card.read_text(encoding="utf-8", errors="replace")


def digest_of_files(files: Iterable[tuple[str, os.DirEntry[str] | Path]]) -> str:
    """Hex digest of the paths, sizes, times of change and inode numbers of files, in whatever order they come.

    Their contents are not read. The digests of single files are added up, so no list of them is kept.
    """
    total = 0
    for path, entry in files:
        try:
            state = entry.stat()
        except FileNotFoundError:  # a link to nothing
            state = entry.stat(follow_symlinks=False)
        described = f"{path}\0{state.st_size}\0{state.st_mtime_ns}\0{state.st_ino}"
        total += int.from_bytes(hashlib.sha256(described.encode("utf-8", "surrogateescape")).digest())
    return f"{total % 2**256:064x}"


class FolderSource(ABC):
    """A source whose articles are in the files in a folder and all folders below it, or in one file.

    An article's handle is the path of its file, percent-encoded; of a file that holds several, `#` and the article's
    place in it follow.

    Args:
        path: folder or file.

    Raises:
        UsageError: `path` does not exist.
    """

    name: ClassVar[str]
    suffixes: ClassVar[tuple[str, ...]]
    """Of the files, in lower case; names match in either case."""

    date = None

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path).expanduser()
        if not self.path.exists():
            raise UsageError(f"{self.path} does not exist: check the path")
        self._is_file = self.path.is_file()

    @property
    def identity(self) -> str:
        """The kind and the absolute path."""
        return f"{self.name} {self.path.absolute()}"

    def fingerprint(self) -> str:
        """Hex digest of the paths, sizes and times of change of the files."""
        return digest_of_files(self._files())

    def handles(self) -> Iterator[str]:
        """Yields the handles in order.

        Raises:
            UsageError: there is no such file, or a folder cannot be read.
        """
        names = (
            quote(path, safe="/ !$&'()*+,;=:@~[]{}^|", errors="surrogateescape") for path, _ in self._files()
        )
        files = sorted(names, key=self._order)
        if not files:
            suffixes = " or ".join(self.suffixes)
            raise UsageError(f"no {suffixes} file in {self.path}: give the folder that holds them")
        for file in files:
            yield from self._handles_of(file)

    def read(self, handles: Sequence[str]) -> Iterator[SourceArticle | tuple[str, Drop]]:
        """Yields the articles of `handles` in that order."""
        for handle in handles:
            try:
                yield self._article(handle)
            except Drop as drop:
                yield handle, drop

    def _order(self, handle: str) -> tuple[int, str]:
        """The key by which handles are sorted."""
        return 0, handle

    def _handles_of(self, file: str) -> Iterator[str]:
        """Yields the handles of the articles in the file with the handle `file`; at least one."""
        yield file

    @abstractmethod
    def _article(self, handle: str) -> SourceArticle:
        """Reads one article; raises Drop."""

    def _locate(self, handle: str) -> Path:
        """The path of the file that holds the article with this handle."""
        path = unquote(handle.partition("#")[0], errors="surrogateescape")
        return (self.path.parent if self._is_file else self.path) / path

    def _files(self) -> Iterator[tuple[str, os.DirEntry[str] | Path]]:
        if self._is_file:
            yield self.path.name, self.path
            return
        try:
            for path, entry in files_below(self.path, also_no_files=True):
                if entry.name.lower().endswith(self.suffixes) and is_not_hidden(entry.name):
                    yield path, entry
        except OSError as error:
            raise UsageError(f"{error.filename} cannot be read: {error.strerror}") from error
