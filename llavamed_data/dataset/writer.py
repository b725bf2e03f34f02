"""Writes rows as the Parquet shards of a published dataset.

Image bytes go in as they are, plain and uncompressed; row groups of 100 rows keep the Hub's viewer and streaming quick;
content-defined chunking lets a changed dataset upload only what changed. Pages carry checksums, which pyarrow verifies
with `page_checksum_verification=True`.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from llavamed_data.dataset.layout import shard_name

SHARD_BYTES = 300_000_000
"""Bytes of a shard, about: what the Hub's viewer and resumable uploads like."""

GROUP_ROWS = 100
"""Rows of a row group: about 10 MB of images, the unit of random access and of streaming."""

_IMAGE_COLUMN = "images.list.element.bytes"


def write_shards(
    tables: Iterable[pa.Table],
    data: Path,
    split: str,
    schema: pa.Schema,
    *,
    shard_rows: Sequence[int] | None = None,
    shard_bytes: int = SHARD_BYTES,
) -> int:
    """Writes `<split>-0000i-of-0000n.parquet` into the folder `data`.

    Args:
        tables: the rows in order, at most `GROUP_ROWS` in each table; each becomes one row group.
        data: the folder, which is made.
        split: name of the split.
        schema: the columns.
        shard_rows: how many rows each shard has, in order; no table may reach across the end of a shard. If None, a
            shard ends before it would be larger than `shard_bytes`.
        shard_bytes: bytes of a shard in memory, about.

    Returns:
        How many rows there are. Without rows there is one shard, which is empty.

    Raises:
        pa.ArrowException: a value is not of its column's type.
    """
    data.mkdir(parents=True, exist_ok=True)
    waiting = iter(tables)
    parts: list[Path] = []
    total = 0
    table: pa.Table | None = next(waiting, schema.empty_table())
    while table is not None:
        part = data / f".{split}-{len(parts):05d}.part"
        rows, size = 0, 0
        with pq.ParquetWriter(part, schema, **writer_options(schema)) as writer:
            while table is not None:
                writer.write_table(table, row_group_size=GROUP_ROWS)
                rows, size = rows + table.num_rows, size + table.nbytes
                table = next(waiting, None)
                if shard_rows is not None:
                    if rows == shard_rows[len(parts)]:
                        break
                elif table is not None and size + table.nbytes > shard_bytes:
                    break
        parts.append(part)
        total += rows
    for number, part in enumerate(parts):
        part.rename(data / shard_name(split, number, len(parts)))
    return total


def tables_of(rows: Iterable[dict[str, Any]], schema: pa.Schema) -> Iterator[pa.Table]:
    """Yields rows as tables of at most `GROUP_ROWS` rows."""
    rest = iter(rows)
    while group := list(islice(rest, GROUP_ROWS)):
        yield pa.Table.from_pylist(group, schema)


def writer_options(schema: pa.Schema) -> dict[str, Any]:
    """Parquet options: image bytes are plain and uncompressed, other columns dictionary-encoded and snappy."""
    sink = pa.BufferOutputStream()
    pq.write_table(schema.empty_table(), sink)
    leaves = pq.ParquetFile(pa.BufferReader(sink.getvalue())).schema
    others = [leaves.column(i).path for i in range(len(leaves)) if leaves.column(i).path != _IMAGE_COLUMN]
    images = {_IMAGE_COLUMN: "none"} if "images" in schema.names else {}
    return {
        "compression": {**images, **dict.fromkeys(others, "snappy")},
        "use_dictionary": others,
        "write_statistics": others,
        "write_page_index": True,
        "write_page_checksum": True,
        "use_content_defined_chunking": True,
    }
