"""How a dataset lies on disk: a folder, here or brought from the Hub, with a card and Parquet shards."""

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from llavamed_data.dataset.digests import METADATA
from llavamed_data.errors import LlavaMedError, UsageError

CARD = "README.md"
"""The file of a dataset's card, in its folder."""

WRITTEN = ".llavamed.json"
"""The hidden file that lists what the toolkit wrote into a folder."""

EXAMPLE = "example"
"""The name, without its suffix, of the picture of the row that a card shows."""

REPORT_FOLDER = "stats"
"""The folder of a statistics report within a dataset's folder."""

REPO_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
"""The name of a repository on the Hub: `OWNER/NAME`."""

SHARD_NAME = re.compile(r"(?P<split>[a-z]+(?:_[a-z]+)*)-(?P<index>\d{5})-of-(?P<count>\d{5})\.parquet")
_BUFFER_BYTES = 1 << 20

UNREADABLE = (pa.ArrowException, OSError, ValueError, OverflowError)
"""What Arrow raises on files and values that are not what they say; bad UTF-8 is a ValueError."""


@dataclass(frozen=True, slots=True)
class Shard:
    """A Parquet file of a dataset.

    Attributes:
        path: where it is.
        name: its path relative to the dataset's folder.
        split: the split that its name states.
        index: its number among the shards of the split, from 0.
        count: how many shards of the split its name counts.
    """

    path: Path
    name: str
    split: str
    index: int
    count: int


def shard_name(split: str, index: int, count: int) -> str:
    """The file name of a shard, as `datasets` writes it.

    >>> shard_name("train", 0, 12)
    'train-00000-of-00012.parquet'
    """
    return f"{split}-{index:05d}-of-{count:05d}.parquet"


def is_shard(name: str) -> bool:
    """Whether a path relative to a dataset's folder is that of a shard.

    >>> is_shard("data/train-00000-of-00012.parquet"), is_shard("data/notes.txt")
    (True, False)
    """
    folder, _, file = name.rpartition("/")
    return folder == "data" and SHARD_NAME.fullmatch(file) is not None


def find_shards(folder: Path) -> tuple[list[Shard], list[str]]:
    """Finds the shards of a dataset.

    Args:
        folder: the dataset's folder.

    Returns:
        The files under `data/` that are named as shards, in order, and the names of the others; none where there is
        no folder `data/`.

    Raises:
        OSError: the folder cannot be read.
    """
    shards: list[Shard] = []
    others: list[str] = []
    data = folder / "data"
    for path in sorted(data.iterdir()) if data.is_dir() else ():
        name = f"data/{path.name}"
        match = SHARD_NAME.fullmatch(path.name)
        if match and path.is_file():
            shards.append(Shard(path, name, match["split"], int(match["index"]), int(match["count"])))
        else:
            others.append(name)
    return shards, others


def open_shard(path: Path, footer: pq.FileMetaData | None = None) -> pq.ParquetFile:
    """Opens a shard so that it is read page by page: by default pyarrow keeps all that it has read.

    Args:
        path: the file.
        footer: what its end states, if that has been read.
    """
    return pq.ParquetFile(
        path, metadata=footer, pre_buffer=False, buffer_size=_BUFFER_BYTES, page_checksum_verification=True
    )


def articles_of(path: Path) -> Iterator[str]:
    """The `pmcid` and `pmid` values of a shard; raises one of `UNREADABLE` where they cannot be read."""
    with open_shard(path) as file:
        columns = [name for name in ("pmcid", "pmid") if name in file.schema_arrow.names]
        for batch in file.iter_batches(columns=columns, use_threads=False) if columns else ():
            for column in batch.columns:
                yield from (value for value in column.unique().to_pylist() if isinstance(value, str))


def recipe_of(path: Path) -> str | None:
    """The recipe that the first row states; None if it states none or there is no row.

    Raises one of `UNREADABLE` where the file cannot be read.
    """
    with open_shard(path) as file:
        columns = [name for name in file.schema_arrow.names if name == "provenance"]
        for batch in file.iter_batches(batch_size=1, columns=columns) if columns else ():
            provenance = batch.to_pylist()[0]["provenance"]
            recipe = provenance.get("recipe") if isinstance(provenance, dict) else None
            return recipe if isinstance(recipe, str) else None
    return None


def local_folder(path_or_repo: str) -> Path:
    """The folder of a dataset: the one of that name, else a copy of the dataset repository of that name on the Hub.

    A folder comes first, as it does for `load_dataset`.

    Raises:
        UsageError: neither a folder nor a repository's name.
        LlavaMedError: the Hub cannot be reached, or has no such repository that this login may read.
    """
    path = Path(path_or_repo)
    if path.is_dir():
        return path
    if path.exists() or not REPO_ID.fullmatch(path_or_repo):
        raise UsageError(
            f"{path_or_repo!r} is not a dataset's folder, nor the name of a repository (OWNER/NAME): build it with "
            "python -m llavamed_data build, or correct the name"
        )
    from huggingface_hub import snapshot_download

    try:
        with _bars_on_terminals_alone():
            wanted = [CARD, METADATA, "data/*"]
            copy = snapshot_download(path_or_repo, repo_type="dataset", allow_patterns=wanted)
        return Path(copy)
    except Exception as error:  # the client's own errors, its HTTP library's, and those of its Rust half
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise LlavaMedError(
            f"{path_or_repo!r} is not a folder here, and the Hub does not give it: {reason} "
            "(check the name, HF_TOKEN and the network)"
        ) from error


@contextmanager
def _bars_on_terminals_alone() -> Iterator[None]:
    """Keeps the Hub client's progress bars from logs and pipes, where each change would be a line."""
    from huggingface_hub.utils.tqdm import (
        are_progress_bars_disabled,
        disable_progress_bars,
        enable_progress_bars,
    )

    silent = not (sys.stderr and sys.stderr.isatty()) and not are_progress_bars_disabled()
    if silent:
        disable_progress_bars()
    try:
        yield
    finally:
        if silent:
            enable_progress_bars()


def neighbours(folder: Path) -> list[Path]:
    """The dataset folders beside `folder`, in alphabetical order."""
    here = folder.resolve()
    beside = (each for each in here.parent.iterdir() if each != here and not each.name.startswith("."))
    return sorted(each for each in beside if any(each.glob("data/*.parquet")))
