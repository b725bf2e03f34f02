"""An export that is imported again loses nothing: no row, no column, no byte of an image."""

import tempfile
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llavamed_data.dataset.schema import arrow_schema
from llavamed_data.exchange import FORMATS, export_dataset, import_dataset
from llavamed_data.validation import validate
from tests.llavamed_data.exchange.rows import read, rows, same, write
from tests.llavamed_data.validation.sets import MAKERS, card, sound_set


@pytest.mark.parametrize("form", FORMATS)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(given_rows=st.lists(rows, min_size=0, max_size=5))
def test_any_rows_come_back_unchanged(form: str, given_rows: list[dict[str, Any]]) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        write(folder / "set", given_rows)
        exported = export_dataset(str(folder / "set"), form, folder / "out" / "there")
        imported = import_dataset(folder / "out" / "there", form, folder / "back")
        assert exported.rows == imported.rows == {"train": len(given_rows)}
        before, after = read(folder / "set"), read(folder / "back")
        assert after.schema.equals(before.schema, check_metadata=True)
        assert same(after.to_pylist(), before.to_pylist())
        assert sorted(path.name for path in folder.iterdir()) == ["back", "out", "set"]
        assert [path.name for path in (folder / "out").iterdir()] == ["there"]


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("kind", MAKERS)
def test_a_valid_set_comes_back_valid_with_its_card(tmp_path: Path, form: str, kind: str) -> None:
    folder = sound_set(tmp_path / "set", kind)
    export_dataset(str(folder), form, tmp_path / "out")
    imported = import_dataset(tmp_path / "out", form, tmp_path / "back")
    assert (imported.tally.kept, imported.tally.dropped, imported.dropped) == (12, {}, None)
    split = "test" if kind == "eval" else "train"
    assert read(tmp_path / "back", split).to_pylist() == read(folder, split).to_pylist()
    assert (tmp_path / "back" / "README.md").read_bytes() == (folder / "README.md").read_bytes()
    assert validate(str(tmp_path / "back"), beside=()).ok


@pytest.mark.parametrize("form", FORMATS)
def test_splits_stay_apart(tmp_path: Path, form: str) -> None:
    folder = tmp_path / "set"
    for split, number in (("train", 3), ("test", 7)):
        made = MAKERS["vqa"](number)
        write(folder, [made], arrow_schema("vqa"), split)
    (folder / "README.md").write_text(card(train=1, test=1))
    export_dataset(str(folder), form, tmp_path / "out")
    import_dataset(tmp_path / "out", form, tmp_path / "back")
    assert [row["id"] for row in read(tmp_path / "back", "train").to_pylist()] == ["9003_F1"]
    assert [row["id"] for row in read(tmp_path / "back", "test").to_pylist()] == ["9007_F1"]


@pytest.mark.parametrize("form", FORMATS)
def test_the_same_set_gives_the_same_files(tmp_path: Path, form: str) -> None:
    folder = sound_set(tmp_path / "set")
    for name in ("a", "b"):
        export_dataset(str(folder), form, tmp_path / name)
    files = sorted(path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*") if path.is_file())
    assert all((tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes() for file in files)


def test_an_imported_set_has_the_row_groups_and_encodings_of_a_built_one(tmp_path: Path) -> None:
    folder = sound_set(tmp_path / "set", rows=250)
    export_dataset(str(folder), "jsonl", tmp_path / "out")
    import_dataset(tmp_path / "out", "jsonl", tmp_path / "back")
    metadata = pq.ParquetFile(tmp_path / "back" / "data" / "train-00000-of-00001.parquet").metadata
    assert [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)] == [100, 100, 50]
    columns = {c.path_in_schema: c for c in map(metadata.row_group(0).column, range(metadata.num_columns))}
    assert columns["images.list.element.bytes"].compression == "UNCOMPRESSED"
    assert columns["id"].has_offset_index
