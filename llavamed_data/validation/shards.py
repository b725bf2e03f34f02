"""Checks of the Parquet files: their names, their columns, and whether their rows can be read."""

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from llavamed_data.dataset.digests import METADATA, BadMetadataError, file_digest, stated_digests
from llavamed_data.dataset.layout import UNREADABLE, Shard, find_shards
from llavamed_data.dataset.reader import Row
from llavamed_data.validation.report import Check, DatasetFault

BATCH_ROWS = 64
"""Rows in memory at a time: a few MB of images."""


@dataclass(frozen=True, slots=True)
class UnreadableRow:
    """Stands for a row whose column `field` cannot be turned into plain values."""

    field: str
    reason: str


def shards_and_faults(folder: Path) -> tuple[list[Shard], list[DatasetFault]]:
    """Finds the shards of a dataset, and a fault for each other file in the folder of the shards."""
    try:
        shards, others = find_shards(folder)
    except OSError as error:
        return [], [DatasetFault(Check.SHARDS, f"cannot be read: {error.strerror}", file="data")]
    faults = [
        DatasetFault(Check.SHARDS, "is not a shard, SPLIT-0000i-of-0000n.parquet", file=name)
        for name in others
    ]
    if not shards:
        faults.append(DatasetFault(Check.SHARDS, "there are no shards", file="data"))
    return shards, faults


def name_faults(shards: Sequence[Shard], splits: Sequence[str] | None) -> Iterator[DatasetFault]:
    """What is wrong with the names of all shards together.

    Args:
        shards: all shards of the dataset.
        splits: the splits that this kind of dataset has; None allows any.
    """
    numbers: defaultdict[tuple[str, int], set[int]] = defaultdict(set)
    for shard in shards:
        numbers[shard.split, shard.count].add(shard.index)
    for split in sorted({split for split, _ in numbers}):
        counts = sorted(count for name, count in numbers if name == split)
        if splits is not None and split not in splits:
            yield DatasetFault(Check.SHARDS, f"{split} is not a split of this kind of set", file="data")
        if len(counts) > 1:
            yield DatasetFault(Check.SHARDS, f"names of the split {split} count {counts} shards", file="data")
    for (split, count), there in numbers.items():
        for index in sorted(there ^ set(range(count))):
            message = "is missing" if index < count else "is beyond the count in its name"
            yield DatasetFault(Check.SHARDS, message, f"data/{split}-{index:05d}-of-{count:05d}.parquet")


def digest_faults(folder: Path, shards: Sequence[Shard], pool: Executor) -> tuple[int, list[DatasetFault]]:
    """Compares the shards with the digests that the Croissant metadata state.

    Args:
        folder: the dataset's folder.
        shards: all its shards.
        pool: its threads read the files.

    Returns:
        How many shards were compared, none where the metadata state no digest, and what is wrong.
    """
    try:
        stated = stated_digests(folder)
    except BadMetadataError as error:
        return 0, [DatasetFault(Check.DIGESTS, str(error), file=METADATA)]
    if not stated:
        return 0, []
    faults = []
    for shard, found in zip(shards, pool.map(_digest_or_none, shards), strict=True):
        if shard.name not in stated:
            faults.append(DatasetFault(Check.DIGESTS, f"{METADATA} states no digest of it", file=shard.name))
        elif found != stated[shard.name]:
            message = (
                f"is not the file that {METADATA} describes: bytes have changed since it was written; delete it "
                f"and rerun `build`, or fetch it again (if the change is meant, delete {METADATA})"
            )
            faults.append(DatasetFault(Check.DIGESTS, message, file=shard.name))
    missing = sorted(stated.keys() - {shard.name for shard in shards})
    message = f"{METADATA} describes it, but it is not there"
    faults.extend(DatasetFault(Check.DIGESTS, message, file=name) for name in missing)
    return len(shards), faults


def _digest_or_none(shard: Shard) -> str | None:
    try:
        return file_digest(shard.path)
    except OSError:
        return None  # reported when its rows are read


def column_faults(there: pa.Schema, expected: pa.Schema) -> Iterator[DatasetFault]:
    """What is wrong with a shard's columns, their types and the `huggingface` metadata."""
    for name in expected.names:
        if name not in there.names:
            yield DatasetFault(Check.COLUMNS, "is missing", field=name)
    for name in there.names:
        if name not in expected.names:
            yield DatasetFault(Check.COLUMNS, "is not a column of this kind of set", field=name)
    if there.names != expected.names and set(there.names) == set(expected.names):
        yield DatasetFault(Check.COLUMNS, f"are in the order {', '.join(there.names)}"[:300])
    for column in expected:
        for index in there.get_all_field_indices(column.name):
            if (found := there.field(index).type) != column.type:
                yield DatasetFault(Check.TYPES, f"is {found}, not {column.type}"[:300], field=column.name)
    if _declared_features(there) != _declared_features(expected):
        message = "the huggingface metadata do not declare the features of this kind of set"
        yield DatasetFault(Check.TYPES, message)


def _declared_features(schema: pa.Schema) -> object:
    try:
        return json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
    except (KeyError, TypeError, ValueError, RecursionError):
        return None


def read_batches(file: pq.ParquetFile) -> Iterator[list[Row | UnreadableRow]]:
    """The rows as plain values, 64 at a time; a row with a value that cannot be read is an `UnreadableRow`."""
    for batch in file.iter_batches(batch_size=BATCH_ROWS, use_threads=False):
        try:
            yield batch.to_pylist()
        except UNREADABLE:
            yield [_read_row(batch, index) for index in range(batch.num_rows)]


def _read_row(batch: pa.RecordBatch, index: int) -> Row | UnreadableRow:
    row = {}
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        try:
            row[name] = column[index].as_py()
        except UNREADABLE as error:
            return UnreadableRow(name, f"cannot be read: {error}"[:200])
    return row
