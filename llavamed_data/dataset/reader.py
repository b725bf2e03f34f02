"""A dataset's Parquet files for who only looks: columns alone, or one row, never a whole file."""

import bisect
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from llavamed_data.console.printable import printable_line
from llavamed_data.dataset.layout import UNREADABLE, Shard, find_shards, local_folder, open_shard
from llavamed_data.errors import LlavaMedError, UsageError

Row = dict[str, Any]

BATCH_ROWS = 1_000
"""Rows of text columns in memory at a time: a few MB."""


class Dataset:
    """The shards of a set as one sequence of rows, numbered from 0 in the order of the files.

    Args:
        path_or_repo: the set's folder, or the name of a dataset repository on the Hub (`OWNER/NAME`).

    Attributes:
        folder: where it lies here.
        given: the folder or repository as it was named.
        bare_name: the name of the folder or repository, without its owner.
        name: as people call it.
        shards: its files, in order.

    Raises:
        UsageError: there are no shards.
        LlavaMedError: a shard cannot be read, or their columns differ.
    """

    def __init__(self, path_or_repo: str) -> None:
        self.folder, self.given = local_folder(path_or_repo), path_or_repo
        self.name = self.folder.resolve().name if Path(path_or_repo).is_dir() else path_or_repo
        self.bare_name = self.name.rpartition("/")[2]
        self.shards: list[Shard] = find_shards(self.folder)[0]
        if not self.shards:
            raise UsageError(
                f"{path_or_repo} holds no data/SPLIT-0000i-of-0000n.parquet: name a dataset's folder"
            )
        self._starts, self.schema = self._layout()

    def __len__(self) -> int:
        return self._starts[-1][0]

    @cached_property
    def splits(self) -> tuple[str, ...]:
        """The splits there are, in alphabetical order."""
        return tuple(sorted({shard.split for shard in self.shards}))

    def batches(
        self, columns: Sequence[str], *, split: str | None = None, size: int = BATCH_ROWS
    ) -> Iterator[pa.RecordBatch]:
        """The rows in order with `columns` alone: the bytes of others are not read.

        Args:
            columns: names, or paths such as `images.list.element.path`; those that are not there are left out.
            split: rows of this split only.
            size: most rows of a batch.
        """
        for _, batch in self._batches(columns, split, size):
            yield batch

    def rows(
        self, columns: Sequence[str], *, split: str | None = None, size: int = BATCH_ROWS
    ) -> Iterator[Row]:
        """The same as plain values, row by row."""
        for shard, batch in self._batches(columns, split, size):
            with _readable(shard):
                rows = batch.to_pylist()
            yield from rows

    def row(self, number: int, columns: Sequence[str] | None = None) -> Row:
        """One row, of which only its row group is read; all columns by default.

        Raises:
            IndexError: there is no row of that number.
        """
        if not 0 <= number < len(self):
            raise IndexError(number)
        place = bisect.bisect_right(self._starts, number, key=lambda entry: entry[0]) - 1
        start, shard, group = self._starts[place]
        there = self._there(columns or self.schema.names)
        path = self.shards[shard].path
        with _readable(self.shards[shard]), open_shard(path, _footer(path)) as file:
            at, left = 0, number - start
            for batch in file.iter_batches(row_groups=[group], columns=there, batch_size=16):
                if left < at + batch.num_rows:
                    row: Row = batch.slice(left - at, 1).to_pylist()[0]
                    return row
                at += batch.num_rows
        raise IndexError(number)

    def find(self, ids: Sequence[str]) -> dict[str, int]:
        """id → number of the first row that has it; ids that no row has are left out."""
        wanted, found, start = pa.array(list(ids), pa.string()), dict[str, int](), 0
        for batch in self.batches(["id"]):
            if batch.num_columns:
                hits = pc.indices_nonzero(pc.is_in(batch.column(0).cast(pa.string()), value_set=wanted))
                for hit in hits.to_pylist():
                    found.setdefault(batch.column(0)[hit].as_py(), start + hit)
            start += batch.num_rows
        return found

    def _there(self, columns: Sequence[str]) -> list[str]:
        """Those of the names, and of the paths into columns, that the set has."""
        return [name for name in columns if name.partition(".")[0] in self.schema.names]

    def _batches(
        self, columns: Sequence[str], split: str | None, size: int
    ) -> Iterator[tuple[Shard, pa.RecordBatch]]:
        there = self._there(columns)
        for shard in self.shards:
            if split is None or shard.split == split:
                with _readable(shard), open_shard(shard.path) as file:
                    for batch in file.iter_batches(batch_size=size, columns=there, use_threads=False):
                        yield shard, batch

    def _layout(self) -> tuple[list[tuple[int, int, int]], pa.Schema]:
        """(number of the first row, shard, row group) for each row group and for the end; the columns."""
        starts, row, schema = [], 0, None
        for index, shard in enumerate(self.shards):
            with _readable(shard), open_shard(shard.path) as file:
                if schema is not None and file.schema_arrow != schema:
                    raise LlavaMedError(
                        f"{shard.name} has other columns than {self.shards[0].name}: run validate"
                    )
                schema = file.schema_arrow
                for group in range(file.num_row_groups):
                    starts.append((row, index, group))
                    row += file.metadata.row_group(group).num_rows
        return [*starts, (row, len(self.shards), 0)], schema


def _footer(path: Path) -> pq.FileMetaData:
    """What the end of a shard states, of which the last few are kept: it takes as long to read as a row does."""
    state = path.stat()
    return _footer_of(path, state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=24)
def _footer_of(path: Path, _changed: int, _size: int) -> pq.FileMetaData:
    with open_shard(path) as file:
        return file.metadata


@contextmanager
def _readable(shard: Shard) -> Iterator[None]:
    """Tells of a broken shard in one line."""
    try:
        yield
    except UNREADABLE as error:
        raise LlavaMedError(
            f"{shard.name} cannot be read: {printable_line(str(error), 200)}: run validate"
        ) from error
