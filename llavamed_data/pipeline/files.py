"""Parquet files between stations: written aside and renamed, read batch by batch."""

import os
import platform
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from llavamed_data.pipeline.tally import Dropped

PAIRS = pa.schema(
    [
        pa.field("pair_id", pa.string(), nullable=False),
        pa.field("pmcid", pa.string()),
        pa.field("pmid", pa.string()),
        pa.field("figure_id", pa.string(), nullable=False),
        pa.field("figure_label", pa.string(), nullable=False),
        pa.field("caption", pa.string(), nullable=False),
        pa.field("inline_mentions", pa.list_(pa.string()), nullable=False),
        pa.field("image", pa.string()),
        pa.field("license", pa.string()),
        pa.field("single_plot", pa.bool_(), nullable=False),
        pa.field("domain", pa.string()),
    ]
)
"""One row a figure: what `extract` leaves. `image` is a locator of the source, null where it offers none."""

DROPPED = pa.schema(
    [pa.field("id", pa.string()), pa.field("reason", pa.string()), pa.field("detail", pa.string())]
)

BATCH_ROWS = 250
"""Rows held at a time by a station that streams."""


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """A name to write to that becomes `path` only when the block ends well; two writers cannot mix."""
    aside = path.with_name(f".{path.name}.{platform.node()}-{os.getpid()}.part")
    try:
        yield aside
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


def write_text_whole(path: Path, text: str) -> None:
    """Writes a text file, whole and on the disk, or not at all; its folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(path) as aside, aside.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def write_rows(path: Path, schema: pa.Schema, rows: Iterable[Mapping[str, Any]]) -> int:
    """Writes dictionaries as Parquet, a batch at a time, and returns how many there were."""
    count = 0
    with written_whole(path) as aside, pq.ParquetWriter(aside, schema, compression="zstd") as writer:
        for batch in _batched(rows):
            writer.write_table(pa.Table.from_pylist(batch, schema=schema))
            count += len(batch)
    return count


@contextmanager
def row_writer(path: Path, schema: pa.Schema) -> Iterator[Callable[[Mapping[str, Any]], None]]:
    """A function that adds a row to `path`, for rows that come up beside others; a batch at a time is in memory."""
    batch: list[Mapping[str, Any]] = []
    with written_whole(path) as aside, pq.ParquetWriter(aside, schema, compression="zstd") as writer:

        def flush() -> None:
            if batch:
                writer.write_table(pa.Table.from_pylist(batch, schema=schema))
                batch.clear()

        def add(row: Mapping[str, Any]) -> None:
            batch.append(row)
            if len(batch) == BATCH_ROWS:
                flush()

        yield add
        flush()


def write_dropped(path: Path, dropped: Iterable[Dropped]) -> int:
    """Writes a `dropped` file: `id`, `reason`, `detail`, one row a drop."""
    return write_rows(path, DROPPED, (asdict(line) for line in dropped))


def read_rows(paths: Iterable[Path], columns: Sequence[str] | None = None) -> Iterator[dict[str, Any]]:
    """The rows of Parquet files in order, as dictionaries, a batch in memory at a time."""
    for batch in read_batches(paths, columns):
        yield from batch.to_pylist()


def read_batches(paths: Iterable[Path], columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
    """The record batches of Parquet files in order."""
    for path in paths:
        with pq.ParquetFile(path) as file:
            yield from file.iter_batches(batch_size=BATCH_ROWS, columns=list(columns) if columns else None)


def _batched(rows: Iterable[Mapping[str, Any]]) -> Iterator[list[Mapping[str, Any]]]:
    batch: list[Mapping[str, Any]] = []
    for row in rows:
        batch.append(row)
        if len(batch) == BATCH_ROWS:
            yield batch
            batch = []
    if batch:
        yield batch
