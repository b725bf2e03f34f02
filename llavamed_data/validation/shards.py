"""The Parquet files: are all there, have they the right columns, and what is in their rows."""

import json
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from llavamed_data.validation.checks import Check
from llavamed_data.validation.report import Fault, Finding

NAME = re.compile(r"(?P<split>[a-z]+)-(?P<index>\d{5})-of-(?P<count>\d{5})\.parquet")
BATCH_ROWS = 64
"""Rows in memory at a time: a few MB of images."""

BUFFER_BYTES = 1 << 20

UNREADABLE = (pa.ArrowException, OSError, ValueError, OverflowError)
"""What Arrow raises on files and values that are not what they say; bad UTF-8 is a ValueError."""

Values = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Shard:
    """A file of the dataset; `name` is its path relative to the dataset's folder."""

    path: Path
    name: str
    split: str
    index: int
    count: int


@dataclass(frozen=True, slots=True)
class UnreadableRow:
    """Stands for a row of which the column `field` cannot be turned into plain values."""

    field: str
    reason: str


def find_shards(folder: Path) -> tuple[list[Shard], list[Fault]]:
    """The files under `data/` that are named as shards, in order, and a fault for each that is not."""
    data = folder / "data"
    shards: list[Shard] = []
    faults: list[Fault] = []
    try:
        paths = sorted(data.iterdir())
    except OSError as error:
        return [], [Fault(Check.SHARDS, f"there are no shards: {error.strerror}", file="data")]
    for path in paths:
        name = f"data/{path.name}"
        match = NAME.fullmatch(path.name)
        if match and path.is_file():
            shards.append(Shard(path, name, match["split"], int(match["index"]), int(match["count"])))
        else:
            faults.append(Fault(Check.SHARDS, "is not a shard, SPLIT-0000i-of-0000n.parquet", file=name))
    if not shards:
        faults.append(Fault(Check.SHARDS, "there are no shards", file="data"))
    return shards, faults


def name_faults(shards: Sequence[Shard], splits: Sequence[str] | None) -> Iterator[Fault]:
    """What is wrong with the names taken together: the splits (any goes for None), the shards that each counts."""
    numbers: defaultdict[tuple[str, int], set[int]] = defaultdict(set)
    for shard in shards:
        numbers[shard.split, shard.count].add(shard.index)
    for split in sorted({split for split, _ in numbers}):
        counts = sorted(count for name, count in numbers if name == split)
        if splits is not None and split not in splits:
            yield Fault(Check.SHARDS, f"{split} is not a split of this kind of set", file="data")
        if len(counts) > 1:
            yield Fault(Check.SHARDS, f"names of the split {split} count {counts} shards", file="data")
    for (split, count), there in numbers.items():
        for index in sorted(there ^ set(range(count))):
            fault = "is missing" if index < count else "is beyond the count in its name"
            yield Fault(Check.SHARDS, fault, file=f"data/{split}-{index:05d}-of-{count:05d}.parquet")


def open_shard(path: Path) -> pq.ParquetFile:
    """Opens a shard so that it is read page by page: by default pyarrow keeps all that it has read."""
    return pq.ParquetFile(path, pre_buffer=False, buffer_size=BUFFER_BYTES, page_checksum_verification=True)


def column_findings(there: pa.Schema, wanted: pa.Schema) -> Iterator[Finding]:
    """What is wrong with a shard's columns, their types and the `huggingface` metadata."""
    for name in wanted.names:
        if name not in there.names:
            yield Finding(Check.COLUMNS, name, "is missing")
    for name in there.names:
        if name not in wanted.names:
            yield Finding(Check.COLUMNS, name, "is not a column of this kind of set")
    if there.names != wanted.names and set(there.names) == set(wanted.names):
        yield Finding(Check.COLUMNS, None, f"are in the order {', '.join(there.names)}"[:300])
    for field in wanted:
        for index in there.get_all_field_indices(field.name):
            if there.field(index).type != field.type:
                yield Finding(
                    Check.TYPES, field.name, f"is {there.field(index).type}, not {field.type}"[:300]
                )
    if _declared(there) != _declared(wanted):
        yield Finding(
            Check.TYPES, None, "the huggingface metadata do not declare the features of this kind of set"
        )


def _declared(schema: pa.Schema) -> object:
    try:
        return json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
    except (KeyError, TypeError, ValueError, RecursionError):
        return None


def batches_of(file: pq.ParquetFile) -> Iterator[list[Values | UnreadableRow]]:
    """The rows as plain values, 64 at a time; a row that holds what cannot be read is an `UnreadableRow`."""
    for batch in file.iter_batches(batch_size=BATCH_ROWS, use_threads=False):
        try:
            yield batch.to_pylist()
        except UNREADABLE:
            yield [_row(batch, index) for index in range(batch.num_rows)]


def _row(batch: pa.RecordBatch, index: int) -> Values | UnreadableRow:
    row = {}
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        try:
            row[name] = column[index].as_py()
        except UNREADABLE as error:
            return UnreadableRow(name, f"cannot be read: {error}"[:200])
    return row


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
