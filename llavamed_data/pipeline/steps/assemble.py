"""Rows and image files → Parquet shards and a card: a folder that is a Hub dataset repository as it lies.

Image bytes go in as they are, uncompressed and plain; row groups of 100 rows keep the Hub's viewer and streaming
quick; content-defined chunking lets a changed set upload only what changed.
"""

import math
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from llavamed_data.dataset.columns import arrow_schema
from llavamed_data.errors import LlavaMedError
from llavamed_data.pipeline.steps.image_store import digest_of
from llavamed_data.pipeline.steps.step import Manifest, Outcome, Station
from llavamed_data.reasons import Tally
from llavamed_data.recipes import DOMAINS

SHARD_BYTES = 300_000_000
"""Image bytes a shard, about: what the Hub's viewer and resumable uploads like."""

GROUP_ROWS = 100
"""Rows a row group: about 10 MB of images, the unit of random access and of streaming."""

IMAGE_COLUMN = "images.list.element.bytes"


class ImageChangedError(LlavaMedError):
    """An image on the shelf is not what it was when it was fetched; it is off the shelf now."""


@dataclass(frozen=True, slots=True)
class Record:
    """One row to be: every column but `images`, and the file of its image.

    Attributes:
        row: column → value, without `images`.
        image: the file; None where the image is lost (the evaluation set alone).
        image_name: the name it has in the source.
        image_bytes: its size.
        image_digest: its checksum, verified when it is read.
    """

    row: Mapping[str, Any]
    image: Path | None = None
    image_name: str | None = None
    image_bytes: int = 0
    image_digest: str | None = None


@dataclass(frozen=True, slots=True)
class Written:
    """What the shards hold: what the card states and `validate` checks.

    Attributes:
        rows: in all shards.
        bytes: of the Arrow tables, as `dataset_info` counts them.
        download_bytes: of the Parquet files.
        digests: of its distinct images.
        domains: domain → rows.
        licenses: licence → rows.
    """

    rows: int
    bytes: int
    download_bytes: int
    digests: frozenset[str]
    domains: Mapping[str, int]
    licenses: Mapping[str, int]

    @property
    def images(self) -> int:
        """Distinct images."""
        return len(self.digests)


def assemble(
    records: Callable[[], Iterable[Record]],
    folder: Path,
    *,
    schema: str,
    split: str,
    card: Callable[[Written], Mapping[str, str]],
    fingerprint: str,
    manifest: Path,
    acquired: Path,
    tally_unit: str = "rows",
) -> Manifest:
    """Writes `data/<split>-0000i-of-0000n.parquet` and the card into `folder`, which appears whole or not at all.

    Args:
        records: called twice, gives the same rows in the same order.
        folder: the dataset's folder.
        schema: which of `llavamed_data.dataset.schema.KINDS` the rows follow.
        split: `train` or `test`.
        card: makes the card and the metadata beside it from what was written: file name → text.
        fingerprint: of all inputs.
        manifest: where to keep the station's manifest, outside the dataset.
        acquired: the manifest of the station that fetched the images: forgotten where one of them has changed.
        tally_unit: what a record is called in the counts.

    Raises:
        ImageChangedError: an image on the shelf is not what it was when it was fetched.
    """

    return assemble_splits(
        {split: records},
        folder,
        schema=schema,
        card=lambda written: card(written[split]),
        fingerprint=fingerprint,
        manifest=manifest,
        acquired=acquired,
        tally_unit=tally_unit,
    )


def assemble_splits(
    splits: Mapping[str, Callable[[], Iterable[Record]]],
    folder: Path,
    *,
    schema: str,
    card: Callable[[Mapping[str, Written]], Mapping[str, str]],
    fingerprint: str,
    manifest: Path,
    acquired: Path,
    tally_unit: str = "rows",
) -> Manifest:
    """Writes the shards of several splits into one folder; see `assemble`.

    Args:
        splits: split → its records, called twice.
        card: as for `assemble`, from what was written of each split.

    The other arguments and errors are those of `assemble`.
    """

    def work(partial: Path) -> Outcome:
        try:
            written = {
                split: write_shards(records, partial / "data", schema=schema, split=split)
                for split, records in splits.items()
            }
        except ImageChangedError:
            acquired.unlink(missing_ok=True)
            raise
        for name, text in card(written).items():
            (partial / name).write_text(text, encoding="utf-8")
        rows = sum(each.rows for each in written.values())
        return Outcome({tally_unit: Tally(kept=rows)}, facts=_facts(written.values(), rows))

    return Station(folder, fingerprint, manifest=manifest).run(work)


def _facts(written: Collection[Written], rows: int) -> dict[str, Any]:
    domains = sum((Counter(each.domains) for each in written), Counter[str]())
    return {
        "rows": rows,
        "images": len(frozenset[str]().union(*(each.digests for each in written))),
        "domains": {domain: domains[domain] for domain in DOMAINS if domains[domain]},
    }


def write_shards(
    records: Callable[[], Iterable[Record]],
    data: Path,
    *,
    schema: str,
    split: str,
    shard_bytes: int = SHARD_BYTES,
) -> Written:
    """Writes the shards alone; see `assemble`."""
    data.mkdir(parents=True, exist_ok=True)
    count = _Count()
    shards = _shard_rows([record.image_bytes for record in records()], shard_bytes)
    rows = iter(records())
    arrow = arrow_schema(schema)
    for index, size in enumerate(shards):
        path = data / f"{split}-{index:05d}-of-{len(shards):05d}.parquet"
        with pq.ParquetWriter(path, arrow, **_options(arrow)) as writer:
            for table in _tables(_groups(rows, size), arrow, count):
                writer.write_table(table, row_group_size=GROUP_ROWS)
    return count.written(sum(path.stat().st_size for path in data.glob(f"{split}-*")))


def _shard_rows(sizes: Sequence[int], shard_bytes: int) -> list[int]:
    """Rows of each shard, so that all are of about equal bytes and none is empty."""
    total = sum(sizes)
    if not total:
        return [len(sizes)]
    shards = math.ceil(total / shard_bytes)
    ends = np.searchsorted(np.cumsum(sizes), np.arange(1, shards) * (total / shards)) + 1
    rows = np.diff(ends, prepend=0, append=len(sizes))
    return [int(count) for count in rows if count]


def _options(schema: pa.Schema) -> dict[str, Any]:
    """Image bytes plain, uncompressed and without statistics; all other columns snappy and dictionary-encoded."""
    sink = pa.BufferOutputStream()
    pq.write_table(schema.empty_table(), sink)
    leaves = pq.ParquetFile(pa.BufferReader(sink.getvalue())).schema
    others = [leaves.column(i).path for i in range(len(leaves)) if leaves.column(i).path != IMAGE_COLUMN]
    return {
        "compression": {IMAGE_COLUMN: "none", **dict.fromkeys(others, "snappy")},
        "use_dictionary": others,
        "write_statistics": others,
        "write_page_index": True,
        "use_content_defined_chunking": True,
    }


def _groups(rows: Iterator[Record], size: int) -> Iterator[list[Record]]:
    for start in range(0, size, GROUP_ROWS):
        yield [next(rows) for _ in range(min(GROUP_ROWS, size - start))]


def _tables(groups: Iterable[list[Record]], schema: pa.Schema, count: "_Count") -> Iterator[pa.Table]:
    """The row groups as tables; while one is written, the next one's images are read and checked."""
    with ThreadPoolExecutor(max_workers=1) as reader:
        waiting: list[Future[pa.Table]] = []
        for group in groups:
            waiting.append(reader.submit(_table, group, schema))
            count.add(group)
            if len(waiting) > 1:
                yield count.measured(waiting.pop(0).result())
        for reading in waiting:
            yield count.measured(reading.result())


def _table(group: Sequence[Record], schema: pa.Schema) -> pa.Table:
    columns = [name for name in schema.names if name != "images"]
    arrays = {
        name: pa.array([record.row[name] for record in group], schema.field(name).type) for name in columns
    }
    arrays["images"] = _images(group, schema.field("images").type)
    return pa.table([arrays[name] for name in schema.names], schema=schema)


def _images(group: Sequence[Record], of: pa.DataType) -> pa.Array:
    """The column of images: each file is read straight into the one buffer that Parquet takes its bytes from."""
    held = [record for record in group if record.image is not None]
    ends = np.cumsum([0, *(record.image_bytes for record in held)], dtype=np.int32)
    buffer = pa.allocate_buffer(int(ends[-1]))
    memory = memoryview(buffer)
    for record, start, stop in zip(held, ends, ends[1:], strict=False):
        _read_into(record, memory[start:stop])
    contents = pa.Array.from_buffers(pa.binary(), len(held), [None, pa.py_buffer(ends), buffer])
    names = pa.array([record.image_name for record in held], pa.string())
    images = pa.StructArray.from_arrays([contents, names], names=["bytes", "path"])
    counts = np.cumsum([0, *(record.image is not None for record in group)], dtype=np.int32)
    return pa.ListArray.from_arrays(pa.array(counts), images).cast(of)


def _read_into(record: Record, memory: memoryview) -> None:
    if record.image is None:
        return
    try:
        with record.image.open("rb", buffering=0) as file:
            whole = file.readinto(memory) == len(memory) and not file.read(1)
    except FileNotFoundError:
        whole = False
    if not whole or digest_of(memory) != record.image_digest:
        record.image.unlink(missing_ok=True)
        raise ImageChangedError(
            f"the image {record.image} of {record.row['id']} has changed since it was fetched and was thrown away: "
            "run the same command again, it is fetched anew"
        )


class _Count:
    """What was written, counted on the way."""

    def __init__(self) -> None:
        self.rows = 0
        self.bytes = 0
        self.images: set[str] = set()
        self.domains: Counter[str] = Counter()
        self.licenses: Counter[str] = Counter()

    def add(self, group: Sequence[Record]) -> None:
        self.rows += len(group)
        self.images.update(record.image_digest for record in group if record.image_digest)
        self.domains.update(record.row["domain"] for record in group if record.row["domain"])
        self.licenses.update(record.row["license"] for record in group)

    def measured(self, table: pa.Table) -> pa.Table:
        self.bytes += table.nbytes
        return table

    def written(self, download_bytes: int) -> Written:
        domains = {domain: self.domains[domain] for domain in DOMAINS if self.domains[domain]}
        licenses = dict(sorted(self.licenses.items()))
        return Written(self.rows, self.bytes, download_bytes, frozenset(self.images), domains, licenses)
