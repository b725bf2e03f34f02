"""Shards are cut as asked, named as `datasets` names them, and hold all rows in order."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from llavamed_data.dataset.layout import find_shards, shard_name
from llavamed_data.dataset.writer import tables_of, write_shards

SCHEMA = pa.schema([("id", pa.string())])


def tables(count: int) -> list[pa.Table]:
    return list(tables_of(({"id": f"{number:04d}"} for number in range(count)), SCHEMA))


def ids(folder: Path) -> list[list[str]]:
    shards, others = find_shards(folder)
    assert others == []
    return [pq.read_table(shard.path)["id"].to_pylist() for shard in shards]


def test_rows_become_tables_of_a_hundred() -> None:
    assert [table.num_rows for table in tables(250)] == [100, 100, 50]


def test_shards_hold_the_rows_that_are_planned(tmp_path: Path) -> None:
    assert write_shards(tables(300), tmp_path / "data", "train", SCHEMA, shard_rows=[200, 100]) == 300
    first, second = ids(tmp_path)
    assert (len(first), second[0]) == (200, "0200")


def test_a_shard_ends_before_it_would_grow_beyond_its_bytes(tmp_path: Path) -> None:
    size = tables(100)[0].nbytes
    assert write_shards(tables(500), tmp_path / "data", "test", SCHEMA, shard_bytes=2 * size) == 500
    assert [len(shard) for shard in ids(tmp_path)] == [200, 200, 100]
    assert [path.name for path in sorted((tmp_path / "data").iterdir())] == [
        shard_name("test", number, 3) for number in range(3)
    ]


def test_no_rows_make_one_empty_shard(tmp_path: Path) -> None:
    assert write_shards([], tmp_path / "data", "train", SCHEMA) == 0
    assert ids(tmp_path) == [[]]


def test_a_value_of_another_type_is_an_error_of_arrow(tmp_path: Path) -> None:
    with pytest.raises(pa.ArrowException):
        write_shards(tables_of([{"id": 1}], SCHEMA), tmp_path / "data", "train", SCHEMA)
