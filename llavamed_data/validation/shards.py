"""The Parquet files: are all there, have they the right columns, and what is in their rows."""

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from llavamed_data.dataset.layout import UNREADABLE, Shard, find_shards
from llavamed_data.validation.checks import Check
from llavamed_data.validation.report import Fault, Finding

BATCH_ROWS = 64
"""Rows in memory at a time: a few MB of images."""

Values = dict[str, Any]


@dataclass(frozen=True, slots=True)
class UnreadableRow:
    """Stands for a row of which the column `field` cannot be turned into plain values."""

    field: str
    reason: str


def shards_and_faults(folder: Path) -> tuple[list[Shard], list[Fault]]:
    """Finds the shards of a dataset, and a fault for each other file that lies between them."""
    try:
        shards, others = find_shards(folder)
    except OSError as error:
        return [], [Fault(Check.SHARDS, f"cannot be read: {error.strerror}", file="data")]
    faults = [
        Fault(Check.SHARDS, "is not a shard, SPLIT-0000i-of-0000n.parquet", file=name) for name in others
    ]
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
