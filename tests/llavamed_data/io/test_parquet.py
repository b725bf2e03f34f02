"""Rows go into Parquet files and come back, a batch in memory at a time."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from llavamed_data.io.dropped import write_dropped
from llavamed_data.io.parquet import read_batches, read_rows, row_writer, write_rows
from llavamed_data.reasons import Dropped

SCHEMA = pa.schema([("number", pa.int64()), ("text", pa.string())])


def test_rows_come_back_in_order_from_several_files(tmp_path: Path) -> None:
    rows = [{"number": number, "text": str(number)} for number in range(700)]
    assert write_rows(tmp_path / "a.parquet", SCHEMA, rows[:600]) == 600
    assert write_rows(tmp_path / "b.parquet", SCHEMA, iter(rows[600:])) == 100
    paths = [tmp_path / "a.parquet", tmp_path / "b.parquet"]
    assert list(read_rows(paths)) == rows
    assert [row["text"] for row in read_rows(paths, ["text"])] == [row["text"] for row in rows]
    assert [batch.num_rows for batch in read_batches(paths, rows=300)] == [300, 300, 100]


def test_an_empty_file_has_the_columns_and_no_rows(tmp_path: Path) -> None:
    assert write_rows(tmp_path / "a.parquet", SCHEMA, []) == 0
    assert pq.read_schema(tmp_path / "a.parquet").equals(SCHEMA)
    assert list(read_rows([tmp_path / "a.parquet"])) == []


def test_the_batch_decides_the_row_groups(tmp_path: Path) -> None:
    with row_writer(tmp_path / "a.parquet", SCHEMA, batch_rows=400) as add:
        for number in range(1_000):
            add({"number": number})
    metadata = pq.read_metadata(tmp_path / "a.parquet")
    assert [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)] == [400, 400, 200]


def test_a_writer_that_fails_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(pa.ArrowInvalid):
        write_rows(tmp_path / "a.parquet", SCHEMA, [{"number": "no number"}])
    with pytest.raises(pa.ArrowInvalid), row_writer(tmp_path / "b.parquet", SCHEMA) as add:
        add({"number": "no number"})
    assert list(tmp_path.iterdir()) == []


def test_what_was_dropped_is_listed_with_reason_and_detail(tmp_path: Path) -> None:
    assert write_dropped(tmp_path / "d.parquet", [Dropped("1_F1", "no image", "PMC1")]) == 1
    assert pq.read_table(tmp_path / "d.parquet").to_pylist() == [
        {"id": "1_F1", "reason": "no image", "detail": "PMC1"}
    ]
