"""The work folder: one user at a time, one sub-folder a source."""

import fcntl
import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from llavamed_data.errors import LlavaMedError, UsageError
from llavamed_data.sources.base import ArticleSource


@contextmanager
def alone(work: Path) -> Iterator[None]:
    """Makes the work folder and keeps other runs out of it.

    Raises:
        LlavaMedError: another run is in it.
        UsageError: it cannot be written.
    """
    try:
        work.mkdir(parents=True, exist_ok=True)
        lock = (work / "lock").open("a")
    except OSError as error:
        raise UsageError(
            f"cannot work in {work} ({error.strerror}): choose another folder with --work"
        ) from error
    with lock:
        try:
            # a record lock: unlike flock's it is not inherited, so it ends with this process, however that ends
            fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise LlavaMedError(
                f"another run is using {work}: wait for it, or choose another --work"
            ) from None
        yield


def source_folder(
    work: Path,
    source: ArticleSource,
    spec: str,
    *,
    licenses: Sequence[str] = (),
    limit: int | None = None,
    choice: str = "",
) -> Path:
    """The sub-folder of a source: two sources, or two ways to read one, never share it.

    Args:
        work: the work folder.
        source: the source itself.
        spec: as the user named it.
        licenses, limit: how it is read.
        choice: where the list of articles comes from (`ChosenArticles.name`).
    """
    scheme, _, path = spec.rpartition(":")
    named = spec if "://" in spec else f"{scheme}:{Path(path).absolute()}"
    way = (named, sorted(licenses), limit, *filter(None, (choice,)))
    digest = hashlib.sha256(repr(way).encode()).hexdigest()
    return work / f"{source.name}-{digest[:8]}"
