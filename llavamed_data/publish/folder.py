"""The files of a dataset's folder, as they go to the Hub."""

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from llavamed_data.errors import LlavaMedError, UsageError

CARD = "README.md"


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A file to be published.

    Attributes:
        name: its path in the repository.
        content: where it lies, or its bytes where what is published is not what lies there (the card).
        size: in bytes.
        changed: its time of change in nanoseconds, to see that it stays what was checked.
    """

    name: str
    content: Path | bytes
    size: int
    changed: int = 0

    def sha256(self) -> str:
        """As the Hub names large files."""
        return _sha256_of(self)

    def git_oid(self) -> str:
        """As the Hub names small files."""
        data = self.content if isinstance(self.content, bytes) else self.content.read_bytes()
        return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()

    def check_unchanged(self) -> None:
        """Raises LlavaMedError where the file is not what it was when it was listed."""
        if isinstance(self.content, bytes):
            return
        found = self.content.stat() if self.content.is_file() else None
        if found is None or (found.st_size, found.st_mtime_ns) != (self.size, self.changed):
            raise LlavaMedError(
                f"{self.content} changed while it was published, so nothing was moved: run again"
            )


@lru_cache(maxsize=4096)
def _sha256_of(file: LocalFile) -> str:
    """Read once for all branches and tags that a file is held against."""
    if isinstance(file.content, bytes):
        return hashlib.sha256(file.content).hexdigest()
    with file.content.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def is_dataset(folder: Path) -> bool:
    """Whether a folder is laid out as a dataset."""
    return (folder / CARD).is_file() and any(folder.glob("data/*.parquet"))


def files_of(folder: Path) -> list[LocalFile]:
    """All files but hidden ones, in alphabetical order.

    Raises:
        UsageError: `folder` is no dataset's folder, or holds what no repository should: links that lead out of it,
            names with marks that cannot be printed.
    """
    if not is_dataset(folder):
        raise UsageError(f"{folder} is no dataset's folder: {CARD} and data/*.parquet make one up")
    return sorted(_walk(folder, folder.resolve()), key=lambda file: file.name)


def _walk(folder: Path, root: Path) -> Iterator[LocalFile]:
    for place, folders, names in os.walk(folder, followlinks=True):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in (*folders, *(name for name in names if not name.startswith("."))):
            path = Path(place, name)
            inner = path.relative_to(folder).as_posix()
            if not inner.isprintable() or "\\" in inner:
                raise UsageError(f"{inner!r} in {folder} is no name for the Hub: rename or remove it")
            if not path.resolve().is_relative_to(root):
                raise UsageError(
                    f"{path} is a link that leads out of {folder}: put the file itself there, or remove it"
                )
            if path.is_dir():
                continue
            found = path.stat()
            yield LocalFile(inner, path, found.st_size, found.st_mtime_ns)
