"""Rows into the shards of a dataset, in the layout that `build` gives them."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from llavamed_data.dataset.reader import Row
from llavamed_data.pipeline.steps.assemble import GROUP_ROWS, IMAGE_COLUMN, SHARD_BYTES

PLAIN = "none"


def write_split(
    rows: Iterable[Row], data: Path, split: str, schema: pa.Schema, *, shard_bytes: int = SHARD_BYTES
) -> int:
    """Writes `<split>-0000i-of-0000n.parquet` into `data` and returns how many rows there were.

    Args:
        rows: values that `schema` takes.
        data: the folder, which is there.
        split: name of the split.
        schema: the columns.
        shard_bytes: bytes of a shard, about.

    Raises:
        pa.ArrowException: a value is not of its column's type.
    """
    waiting = iter(_tables(rows, schema))
    paths: list[Path] = []
    count = 0
    table: pa.Table | None = next(waiting, schema.empty_table())
    while table is not None:
        path = data / f".{split}-{len(paths):05d}.part"
        paths.append(path)
        held = 0
        with pq.ParquetWriter(path, schema, **_options(schema)) as writer:
            while table is not None and (not held or held + table.nbytes <= shard_bytes):
                writer.write_table(table, row_group_size=GROUP_ROWS)
                held, count = held + table.nbytes, count + table.num_rows
                table = next(waiting, None)
    for index, path in enumerate(paths):
        path.rename(data / f"{split}-{index:05d}-of-{len(paths):05d}.parquet")
    return count


def _tables(rows: Iterable[Row], schema: pa.Schema) -> Iterator[pa.Table]:
    group: list[Row] = []
    for row in rows:
        group.append(row)
        if len(group) == GROUP_ROWS:
            yield pa.Table.from_pylist(group, schema)
            group = []
    if group:
        yield pa.Table.from_pylist(group, schema)


def _options(schema: pa.Schema) -> dict[str, Any]:
    """As `assemble` has them: image bytes plain and uncompressed, the other columns small."""
    sink = pa.BufferOutputStream()
    pq.write_table(schema.empty_table(), sink)
    leaves = pq.ParquetFile(pa.BufferReader(sink.getvalue())).schema
    others = [leaves.column(i).path for i in range(len(leaves)) if leaves.column(i).path != IMAGE_COLUMN]
    held = {IMAGE_COLUMN: PLAIN} if "images" in schema.names else {}
    return {
        "compression": {**held, **dict.fromkeys(others, "snappy")},
        "use_dictionary": others,
        "write_statistics": others,
        "write_page_index": True,
        "use_content_defined_chunking": True,
    }
