"""Shards hold the files' own bytes, in the layout that readers and the Hub want."""

from pathlib import Path
from typing import Any

import datasets
import pyarrow.parquet as pq
import pytest
from PIL import Image

from llavamed_data.dataset.messages import messages, provenance
from llavamed_data.dataset.writer import GROUP_ROWS
from llavamed_data.errors import LlavaMedError
from llavamed_data.pipeline.steps.assemble import Record, write_split
from llavamed_data.pipeline.steps.image_store import digest_of


def records(folder: Path, count: int, **changes: Any) -> list[Record]:
    made = []
    for number in range(count):
        path = folder / f"{number}.png"
        Image.new("RGB", (8, 8), (number % 256, 0, 0)).save(path)
        data = path.read_bytes()
        row = {
            "id": f"{number}_F1",
            "messages": messages([("What is shown?", "A CT."), ("And?", "No more.")]),
            "domain": "ct_scan",
            "caption": "Axial CT.",
            "inline_mentions": ["CT was done."],
            "figure_label": "Figure 1",
            "pmcid": "PMC1",
            "pmid": None,
            "license": "CC BY",
            "provenance": provenance("60k", "sample", None, "offline"),
            **changes,
        }
        made.append(Record(row, path, path.name, len(data), digest_of(data)))
    return made


def test_rows_come_back_as_they_went_in_with_the_file_s_own_bytes(tmp_path: Path) -> None:
    given = records(tmp_path, 3)
    written = write_split(lambda: given, tmp_path / "data", schema="instruct", split="train")
    rows = pq.read_table(tmp_path / "data" / "train-00000-of-00001.parquet").to_pylist()
    assert [row["images"][0]["bytes"] for row in rows] == [record.image.read_bytes() for record in given]
    assert [row["images"][0]["path"] for row in rows] == ["0.png", "1.png", "2.png"]
    assert rows[0]["messages"][0]["content"] == [
        {"type": "image", "text": None},
        {"type": "text", "text": "What is shown?"},
    ]
    assert (written.rows, written.images, written.domains, written.licenses) == (
        3,
        3,
        {"ct_scan": 3},
        {"CC BY": 3},
    )


def test_shards_are_cut_by_bytes_and_named_with_their_number(tmp_path: Path) -> None:
    given = records(tmp_path, 10)
    limit = sum(record.image_bytes for record in given) // 3
    write_split(lambda: given, tmp_path / "data", schema="instruct", split="train", shard_bytes=limit)
    names = sorted(path.name for path in (tmp_path / "data").iterdir())
    assert names == [f"train-{i:05d}-of-{len(names):05d}.parquet" for i in range(len(names))]
    assert len(names) in (3, 4)
    ids = [
        row["id"]
        for name in names
        for row in pq.read_table(tmp_path / "data" / name, columns=["id"]).to_pylist()
    ]
    assert ids == [f"{n}_F1" for n in range(10)]


def test_row_groups_are_small_and_image_bytes_lie_plain(tmp_path: Path) -> None:
    given = records(tmp_path, 250)
    write_split(lambda: given, tmp_path / "data", schema="instruct", split="train")
    metadata = pq.ParquetFile(tmp_path / "data" / "train-00000-of-00001.parquet").metadata
    assert [metadata.row_group(i).num_rows for i in range(3)] == [GROUP_ROWS, GROUP_ROWS, 50]
    group = metadata.row_group(0)
    columns = {group.column(i).path_in_schema: group.column(i) for i in range(group.num_columns)}
    assert columns["images.list.element.bytes"].compression == "UNCOMPRESSED"
    assert "RLE_DICTIONARY" not in columns["images.list.element.bytes"].encodings
    assert columns["caption"].compression == "SNAPPY"
    assert columns["id"].has_offset_index


def test_the_same_records_give_the_same_bytes(tmp_path: Path) -> None:
    given = records(tmp_path, 120)
    for name in ("a", "b"):
        write_split(lambda: given, tmp_path / name, schema="instruct", split="train")
    shard = "train-00000-of-00001.parquet"
    assert (tmp_path / "a" / shard).read_bytes() == (tmp_path / "b" / shard).read_bytes()


@pytest.mark.parametrize("damage", ["other bytes", "shorter", "longer", "gone"])
def test_an_image_that_changed_since_it_was_fetched_is_never_written(tmp_path: Path, damage: str) -> None:
    given = records(tmp_path, 2)
    path = tmp_path / "1.png"
    data = path.read_bytes()
    path.unlink()
    if damage != "gone":
        path.write_bytes(
            {"other bytes": data[:-1] + b"x", "shorter": data[:-1], "longer": data + b"x"}[damage]
        )
    with pytest.raises(LlavaMedError, match="1.png of 1_F1 has changed since it was fetched"):
        write_split(lambda: given, tmp_path / "data", schema="instruct", split="train")


def test_a_lost_image_of_the_eval_set_is_an_empty_list(tmp_path: Path) -> None:
    first, second = records(tmp_path, 2, question_id=0, question_type="conversation")
    second.row["messages"] = second.row["messages"][:2]
    first.row["messages"] = first.row["messages"][:2]
    lost = Record(second.row)
    write_split(lambda: [first, lost], tmp_path / "data", schema="eval", split="test")
    loaded = datasets.load_dataset("parquet", data_files=str(tmp_path / "data" / "*.parquet"), split="train")
    assert [len(row["images"]) for row in loaded] == [1, 0]
    assert loaded[0]["images"][0].getpixel((0, 0)) == (0, 0, 0)
