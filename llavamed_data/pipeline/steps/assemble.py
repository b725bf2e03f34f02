"""Rows and image files → Parquet shards and a card: a folder that is a Hub dataset repository as it stands."""

import itertools
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from hub_cards import ExampleRow
from llavamed_data.dataset.digests import file_digest
from llavamed_data.dataset.layout import CARD, EXAMPLE
from llavamed_data.dataset.schema import arrow_schema
from llavamed_data.dataset.writer import GROUP_ROWS, SHARD_BYTES, write_shards
from llavamed_data.errors import LlavaMedError
from llavamed_data.pipeline.steps.image_store import digest_of
from llavamed_data.pipeline.steps.kept_files import keep_what_people_made, list_written
from llavamed_data.pipeline.steps.step import Step, StepOutput, StepResult, files_of
from llavamed_data.reasons import Tally
from llavamed_data.recipes import DOMAINS

_SHOWN_BY_PAGES = {b"\xff\xd8\xff": ".jpg", b"\x89PNG": ".png", b"GIF8": ".gif"}
_TRIED_AS_EXAMPLE = 100
_EXAMPLE_BYTES = 2_000_000


class ImageChangedError(LlavaMedError):
    """An image in the store is not what it was when it was fetched; it has been removed from the store."""


@dataclass(frozen=True, slots=True)
class ImageFile:
    """The file of an image.

    Attributes:
        path: where it is.
        name: its name in the source.
        bytes: its size.
        digest: by `digest_of`, verified when the file is read.
    """

    path: Path
    name: str | None
    bytes: int
    digest: str | None


@dataclass(frozen=True, slots=True)
class Record:
    """A row to be written: every column but `images`, and the file of its image.

    Attributes:
        row: column → value, without `images`.
        image: the file; None if the image is lost (in the evaluation set alone).
        image_name: its name in the source.
        image_bytes: its size.
        image_digest: its digest by `digest_of`, verified when the file is read.
        more: the images that follow, where a row has several.
    """

    row: Mapping[str, Any]
    image: Path | None = None
    image_name: str | None = None
    image_bytes: int = 0
    image_digest: str | None = None
    more: tuple[ImageFile, ...] = ()

    @property
    def files(self) -> tuple[ImageFile, ...]:
        """The files of all its images; none where its image is lost."""
        if self.image is None:
            return ()
        return (ImageFile(self.image, self.image_name, self.image_bytes, self.image_digest), *self.more)

    @property
    def total_bytes(self) -> int:
        """The size of all its images."""
        return self.image_bytes + sum(each.bytes for each in self.more)


Records = Callable[[], Iterable[Record]]
"""Gives the records of a split; called twice, gives the same ones in the same order."""


@dataclass(frozen=True, slots=True)
class Written:
    """What the shards of a split hold: what the card states and `validate` checks.

    Attributes:
        rows: how many rows.
        bytes: of the Arrow tables, as `dataset_info` counts them.
        download_bytes: of the Parquet files.
        digests: of the distinct images.
        domains: domain → rows.
        licenses: licence → rows.
        shards: name of a shard, relative to the dataset's folder → its SHA-256.
        example: of a dataset's first split, a row for the card.
    """

    rows: int
    bytes: int
    download_bytes: int
    digests: frozenset[str]
    domains: Mapping[str, int]
    licenses: Mapping[str, int]
    shards: Mapping[str, str]
    example: ExampleRow | None = None

    @property
    def images(self) -> int:
        """How many distinct images."""
        return len(self.digests)


def assemble(
    splits: Mapping[str, Records],
    folder: Path,
    *,
    schema: str,
    card: Callable[[Mapping[str, Written]], Mapping[str, str]],
    fingerprint: str,
    manifest: Path,
    images: StepOutput,
) -> StepOutput:
    """Writes `data/<split>-0000i-of-0000n.parquet` and the card into `folder`, which appears whole or not at all.

    What people put into the folder stays there, or is kept aside: see `kept_files`.

    Args:
        splits: split (`train`, `validation`, `test`) → its records.
        folder: the dataset's folder.
        schema: which of `llavamed_data.dataset.schema.KINDS` the rows follow.
        card: makes the card and the metadata beside it from what was written of each split: file name → text.
        fingerprint: of all inputs.
        manifest: where the step's manifest is kept, outside the dataset.
        images: the output of the step that fetched the images; its manifest is removed if an image has changed, so
            that a rerun fetches the image anew.

    Raises:
        ImageChangedError: an image in the store is not what it was when it was fetched.
    """

    def work(unfinished: Path) -> StepResult:
        try:
            written = {
                split: write_split(records, unfinished / "data", schema=schema, split=split)
                for split, records in splits.items()
            }
        except ImageChangedError:
            (images.folder / "manifest.json").unlink(missing_ok=True)
            raise
        first = next(iter(splits))
        written[first] = replace(written[first], example=_example(splits[first](), unfinished))
        for name, text in card(written).items():
            (unfinished / name).write_text(text, encoding="utf-8")
        shards = {name: digest for each in written.values() for name, digest in each.shards.items()}
        list_written(unfinished, shards)
        outputs = files_of(unfinished) | {CARD: None}
        kept = keep_what_people_made(folder, unfinished, shards)
        rows = sum(each.rows for each in written.values())
        domains = sum((Counter(each.domains) for each in written.values()), Counter[str]())
        facts = {
            "rows": rows,
            "images": len(frozenset[str]().union(*(each.digests for each in written.values()))),
            "domains": {domain: domains[domain] for domain in DOMAINS if domains[domain]},
            "kept": kept,
        }
        return StepResult({"rows": Tally(kept=rows)}, facts, outputs=outputs)

    return StepOutput(folder, Step(folder, fingerprint, manifest=manifest).run(work))


def write_split(
    records: Records, data: Path, *, schema: str, split: str, shard_bytes: int = SHARD_BYTES
) -> Written:
    """Writes the shards of one split into the folder `data`; see `assemble`."""
    sizes = [record.total_bytes for record in records()]
    shard_rows = _shard_rows(sizes, shard_bytes)
    arrow, count = arrow_schema(schema), _Count()
    write_shards(
        _tables(_groups(records(), shard_rows), arrow, count), data, split, arrow, shard_rows=shard_rows
    )
    shards = sorted(data.glob(f"{split}-*"))
    with ThreadPoolExecutor() as pool:
        digests = pool.map(file_digest, shards)
        stated = {f"{data.name}/{path.name}": digest for path, digest in zip(shards, digests, strict=True)}
    return count.written(sum(path.stat().st_size for path in shards), stated)


def _example(records: Iterable[Record], folder: Path) -> ExampleRow | None:
    """The first of some rows whose image a page can show; its image is copied into `folder`."""
    for record in itertools.islice(records, _TRIED_AS_EXAMPLE):
        if record.image is None or record.image_bytes > _EXAMPLE_BYTES:
            continue
        data = record.image.read_bytes()
        suffix = next((suffix for start, suffix in _SHOWN_BY_PAGES.items() if data.startswith(start)), None)
        if suffix:
            picture = f"{EXAMPLE}{suffix}"
            (folder / picture).write_bytes(data)
            return ExampleRow(record.row, picture)
    return None


def _shard_rows(sizes: Sequence[int], shard_bytes: int) -> list[int]:
    """Rows of each shard, so that all are of about equal bytes and none is empty."""
    total = sum(sizes)
    if not total:
        return [len(sizes)]
    shards = math.ceil(total / shard_bytes)
    ends = np.searchsorted(np.cumsum(sizes), np.arange(1, shards) * (total / shards)) + 1
    rows = np.diff(ends, prepend=0, append=len(sizes))
    return [int(count) for count in rows if count]


def _groups(records: Iterable[Record], shard_rows: Sequence[int]) -> Iterator[list[Record]]:
    """The records of one row group after the other; no group reaches across the end of a shard."""
    rest = iter(records)
    for rows in shard_rows:
        for start in range(0, rows, GROUP_ROWS):
            yield [next(rest) for _ in range(min(GROUP_ROWS, rows - start))]


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
    held = [(record, file) for record in group for file in record.files]
    ends = np.cumsum([0, *(file.bytes for _, file in held)], dtype=np.int32)
    buffer = pa.allocate_buffer(int(ends[-1]))
    memory = memoryview(buffer)
    for (record, file), start, stop in zip(held, ends, ends[1:], strict=False):
        _read_into(file, record.row["id"], memory[start:stop])
    contents = pa.Array.from_buffers(pa.binary(), len(held), [None, pa.py_buffer(ends), buffer])
    names = pa.array([file.name for _, file in held], pa.string())
    images = pa.StructArray.from_arrays([contents, names], names=["bytes", "path"])
    counts = np.cumsum([0, *(len(record.files) for record in group)], dtype=np.int32)
    return pa.ListArray.from_arrays(pa.array(counts), images).cast(of)


def read_image(record: Record) -> bytes:
    """The bytes of a record's first image, checked; none where it is lost.

    Raises:
        ImageChangedError: the image is not what it was when it was fetched.
    """
    if not record.files:
        return b""
    data = bytearray(record.image_bytes)
    _read_into(record.files[0], record.row["id"], memoryview(data))
    return bytes(data)


def _read_into(image: ImageFile, row_id: str, memory: memoryview) -> None:
    try:
        with image.path.open("rb", buffering=0) as file:
            whole = file.readinto(memory) == len(memory) and not file.read(1)
    except FileNotFoundError:
        whole = False
    if not whole or digest_of(memory) != image.digest:
        image.path.unlink(missing_ok=True)
        raise ImageChangedError(
            f"the image {image.path} of {row_id} has changed since it was fetched and was removed: "
            "rerun the same command, it is fetched anew"
        )


class _Count:
    """Counts what is written, row group by row group."""

    def __init__(self) -> None:
        self.rows = 0
        self.bytes = 0
        self.images: set[str] = set()
        self.domains: Counter[str] = Counter()
        self.licenses: Counter[str] = Counter()

    def add(self, group: Sequence[Record]) -> None:
        self.rows += len(group)
        self.images.update(file.digest for record in group for file in record.files if file.digest)
        self.domains.update(record.row["domain"] for record in group if record.row["domain"])
        self.licenses.update(record.row["license"] for record in group)

    def measured(self, table: pa.Table) -> pa.Table:
        self.bytes += table.nbytes
        return table

    def written(self, download_bytes: int, shards: Mapping[str, str]) -> Written:
        domains = {domain: self.domains[domain] for domain in DOMAINS if self.domains[domain]}
        licenses = dict(sorted(self.licenses.items()))
        images = frozenset(self.images)
        return Written(self.rows, self.bytes, download_bytes, images, domains, licenses, shards)
