"""The Parquet shards of a dataset: their names, and opening them without keeping in memory what was read."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

SHARD_NAME = re.compile(r"(?P<split>[a-z]+)-(?P<index>\d{5})-of-(?P<count>\d{5})\.parquet")
BUFFER_BYTES = 1 << 20

UNREADABLE = (pa.ArrowException, OSError, ValueError, OverflowError)
"""What Arrow raises on files and values that are not what they say; bad UTF-8 is a ValueError."""


@dataclass(frozen=True, slots=True)
class Shard:
    """A file of the dataset; `name` is its path relative to the dataset's folder."""

    path: Path
    name: str
    split: str
    index: int
    count: int


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


def open_shard(path: Path) -> pq.ParquetFile:
    """Opens a shard so that it is read page by page: by default pyarrow keeps all that it has read."""
    return pq.ParquetFile(path, pre_buffer=False, buffer_size=BUFFER_BYTES, page_checksum_verification=True)


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
