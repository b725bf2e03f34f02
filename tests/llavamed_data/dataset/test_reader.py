"""Rows by number and by id, without reading what is not asked for."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llavamed_data.console.printable import printable, printable_line
from llavamed_data.dataset.messages import rounds_of, turns_of
from llavamed_data.dataset.reader import Dataset
from llavamed_data.errors import LlavaMedError, UsageError
from tests.llavamed_data.validation.sets import instruct_row, sound_set, turn, write_set


def zeros_over(path: Path, group: int, column: str) -> None:
    """Destroys one column of one row group."""
    groups = pq.ParquetFile(path).metadata.row_group(group)
    chunk = next(
        each
        for each in map(groups.column, range(groups.num_columns))
        if each.path_in_schema.startswith(column)
    )
    start = chunk.dictionary_page_offset or chunk.data_page_offset
    with path.open("r+b") as file:
        file.seek(start)
        file.write(b"\0" * chunk.total_compressed_size)


def test_rows_have_the_order_of_the_files(tmp_path: Path) -> None:
    given = [instruct_row(number) for number in range(11)]
    dataset = Dataset(str(write_set(tmp_path / "set", given)))
    assert len(dataset) == 11
    assert [dataset.row(number) for number in range(11)] == given
    assert dataset.row(7, ["id", "caption", "nowhere"]) == {
        "id": "9007_F1",
        "caption": "A phantom made of noise.",
    }
    for number in (-1, 11):
        with pytest.raises(IndexError):
            dataset.row(number)


def test_ids_are_found_the_first_row_first(tmp_path: Path) -> None:
    dataset = Dataset(str(sound_set(tmp_path / "set", rows=11)))
    assert dataset.find(["9010_F1", "9000_F1", "nobody"]) == {"9010_F1": 10, "9000_F1": 0}
    assert dataset.find([]) == {}


def test_a_row_costs_its_own_row_group_and_a_column_itself_alone(tmp_path: Path) -> None:
    given = [instruct_row(number) for number in range(12)]
    folder = write_set(tmp_path / "set", given)
    first = folder / "data" / "train-00000-of-00002.parquet"
    zeros_over(first, 1, "images")
    dataset = Dataset(str(folder))
    assert dataset.row(0) == given[0]
    assert dataset.row(11) == given[11]
    assert dataset.row(5, ["caption"]) == {"caption": "A phantom made of noise."}
    assert len(list(dataset.rows(["id", "messages", "images.list.element.path"]))) == 12
    with pytest.raises(LlavaMedError, match="train-00000-of-00002.parquet cannot be read: .*: run validate"):
        dataset.row(5)


def test_what_is_no_dataset_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="name a dataset's folder"):
        Dataset(str(tmp_path))
    folder = sound_set(tmp_path / "set")
    (folder / "data" / "train-00001-of-00002.parquet").write_bytes(b"PAR1")
    with pytest.raises(LlavaMedError, match=r"^data/train-00001-of-00002.parquet cannot be read"):
        Dataset(str(folder))


def test_turns_and_rounds_of_what_may_be_anything() -> None:
    said = [turn("user", "One.", "Two.", image=True), turn("assistant", "Three."), turn("user", "Four?")]
    assert turns_of(said) == [("user", "One.\nTwo."), ("assistant", "Three."), ("user", "Four?")]
    assert rounds_of(said) == [("One.\nTwo.", "Three.")]
    assert turns_of(None) == turns_of("text") == turns_of([None, 3]) == []
    assert turns_of([{"role": None, "content": None}]) == [("None", "")]


@given(st.text())
def test_plain_text_has_nothing_that_acts(text: str) -> None:
    shown = printable(text)
    assert all(mark == "\n" or mark.isprintable() for mark in shown)
    assert printable(shown) == shown
    assert printable_line(text).isprintable()
    assert len(printable_line(text, 10)) <= 10
