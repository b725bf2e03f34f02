"""Rows in Parquet files: a file appears whole or not at all, and is read and written one batch at a time."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from llavamed_data.io.atomic import atomic_path

BATCH_ROWS = 250
"""Rows in memory at a time while a file is read or written."""


def write_rows(path: Path, schema: pa.Schema, rows: Iterable[Mapping[str, Any]]) -> int:
    """Writes dictionaries as a Parquet file that appears whole or not at all, and returns how many there were."""
    count = 0
    with row_writer(path, schema) as add:
        for count, row in enumerate(rows, start=1):  # noqa: B007  (the last number is the count)
            add(row)
    return count


@contextmanager
def row_writer(
    path: Path, schema: pa.Schema, *, batch_rows: int = BATCH_ROWS
) -> Iterator[Callable[[Mapping[str, Any]], None]]:
    """Yields a function that adds a row to the Parquet file `path`, which appears when the block succeeds.

    Args:
        path: the file to be.
        schema: its columns.
        batch_rows: how many rows are in memory at a time and form a row group.
    """
    batch: list[Mapping[str, Any]] = []
    with atomic_path(path) as temporary, pq.ParquetWriter(temporary, schema, compression="zstd") as writer:

        def flush() -> None:
            if batch:
                writer.write_table(pa.Table.from_pylist(batch, schema=schema))
                batch.clear()

        def add(row: Mapping[str, Any]) -> None:
            batch.append(row)
            if len(batch) == batch_rows:
                flush()

        yield add
        flush()


def read_rows(paths: Iterable[Path], columns: Sequence[str] | None = None) -> Iterator[dict[str, Any]]:
    """Yields the rows of Parquet files in order, as dictionaries; one batch is in memory at a time."""
    for batch in read_batches(paths, columns):
        yield from batch.to_pylist()


def read_batches(
    paths: Iterable[Path], columns: Sequence[str] | None = None, *, rows: int = BATCH_ROWS
) -> Iterator[pa.RecordBatch]:
    """Yields the record batches of Parquet files in order, each of at most `rows` rows."""
    for path in paths:
        with pq.ParquetFile(path) as file:
            yield from file.iter_batches(batch_size=rows, columns=list(columns) if columns else None)
