"""`build --decisions` follows what reviewers decided about the very rows that they saw, also after an update."""

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from llavamed_data import build, update, validate
from llavamed_data.dataset.messages import turns_of
from llavamed_data.dataset.reader import Dataset
from llavamed_data.errors import LlavaMedError, UsageError
from llavamed_data.review import DecisionFile, DecisionKind


def rows_of(folder: Path) -> list[dict[str, Any]]:
    dataset = Dataset(str(folder))
    return list(dataset.rows(dataset.schema.names))


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("plain")
    build("10k", out=folder / "llava-med", work=folder / "work")
    return folder


def decide(path: Path, row: dict[str, Any], kind: str, dataset: str = "10k", **fields: Any) -> None:
    DecisionFile(path).decide(row, DecisionKind(kind), reviewer="anna", dataset=dataset, **fields)


def test_rows_are_edited_left_out_and_counted(plain: Path, tmp_path: Path) -> None:
    before, decisions = rows_of(plain / "llava-med" / "10k"), tmp_path / "decisions.jsonl"
    decide(decisions, before[0], "reject", reason="two panels")
    decide(decisions, before[1], "edit", turn=1, text="An edited answer.")
    decide(decisions, before[2], "domain", domain="gross")
    decide(decisions, before[3], "accept")
    decide(decisions, before[4] | {"caption": "as it was once"}, "reject", reason="old")
    decide(decisions, before[5] | {"id": "elsewhere"}, "reject", reason="of another set", dataset="60k")
    done = build("10k", out=tmp_path / "llava-med", work=plain / "work", decisions=decisions)
    after = rows_of(tmp_path / "llava-med" / "10k")
    assert [row["id"] for row in after] == [row["id"] for row in before[1:]]
    assert turns_of(after[0]["messages"])[1] == ("assistant", "An edited answer.")
    assert after[1]["domain"] == "gross"
    assert after[2:] == before[3:]
    review = next(step for step in done.to_dict()["stations"] if step["station"] == "review")
    assert (review["in"], review["kept"]) == (len(before), len(before) - 1)
    assert review["dropped"] == {"rejected in review": 1}
    sentence = (
        f"People reviewed 4 of {len(before)} rows (1 reviewer): 1 accepted, 1 edited, 1 given another domain, "
        "1 left out. 1 decision about rows that have changed since was not followed."
    )
    assert f"10k: {sentence}" in done.notes
    assert any("1 decision in " in note and "does not have" in note for note in done.notes)
    card = (tmp_path / "llava-med" / "10k" / "README.md").read_text()
    assert sentence in card
    assert "| review (rows) |" in card
    assert "1 row rejected in review" in card
    assert validate(tmp_path / "llava-med" / "10k", beside=[]).ok
    (again,) = (plain / "work").rglob("again.jsonl")
    assert [json.loads(line)["reason"] for line in again.read_text().splitlines()] == ["old"]
    (dropped,) = (path for path in (plain / "work").rglob("review/dropped.parquet"))
    assert pq.read_table(dropped).to_pylist()[0]["detail"] == "two panels"


def test_a_set_that_was_built_with_decisions_is_reviewed_further(plain: Path, tmp_path: Path) -> None:
    decisions, out = tmp_path / "decisions.jsonl", tmp_path / "llava-med"
    row = rows_of(plain / "llava-med" / "10k")[0]
    decide(decisions, row, "edit", turn=1, text="First.")
    build("10k", out=out, work=tmp_path / "work", decisions=decisions)
    built = rows_of(out / "10k")[0]
    decide(decisions, built, "edit", turn=1, text="Second.")
    update(tmp_path / "work")
    assert turns_of(rows_of(out / "10k")[0]["messages"])[1] == ("assistant", "Second.")
    decide(decisions, rows_of(out / "10k")[0], "reject", reason="no")
    (summary,) = update(tmp_path / "work")
    assert row["id"] not in {each["id"] for each in rows_of(out / "10k")}
    assert not any("seen again" in note for note in summary.notes)


def test_the_same_decisions_give_the_same_bytes_and_an_undo_the_set_as_it_was(
    plain: Path, tmp_path: Path
) -> None:
    decisions = tmp_path / "decisions.jsonl"
    row = rows_of(plain / "llava-med" / "10k")[0]
    decide(decisions, row, "reject", reason="x")
    for name in ("one", "two"):
        build("10k", out=tmp_path / name, work=tmp_path / f"work-{name}", decisions=decisions)
    one, two = (next((tmp_path / name).rglob("*.parquet")).read_bytes() for name in ("one", "two"))
    assert one == two
    decide(decisions, row, "undo")
    build("10k", out=tmp_path / "three", work=tmp_path / "work-one", decisions=decisions)
    assert rows_of(tmp_path / "three" / "10k") == rows_of(plain / "llava-med" / "10k")


def test_a_file_that_is_not_there_is_refused(plain: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no file of decisions"):
        build("10k", out=tmp_path, work=plain / "work", decisions=tmp_path / "none.jsonl")


def test_all_rows_may_be_rejected(plain: Path, tmp_path: Path) -> None:
    decisions = tmp_path / "decisions.jsonl"
    for row in rows_of(plain / "llava-med" / "10k"):
        decide(decisions, row, "reject", reason="x")
    done = build(["10k", "alignment-600k"], out=tmp_path / "out", work=plain / "work", decisions=decisions)
    by_name = {built.name: built for built in done.datasets}
    assert by_name["10k"].folder is None
    assert "all rows were rejected in review" in by_name["10k"].shortage


def test_an_image_that_was_damaged_in_the_work_folder_is_fetched_anew(plain: Path, tmp_path: Path) -> None:
    decisions, row = tmp_path / "decisions.jsonl", rows_of(plain / "llava-med" / "10k")[0]
    decide(decisions, row, "reject", reason="x")
    work = tmp_path / "work"
    shutil.copytree(plain / "work", work)
    (image,) = (
        path for path in work.rglob("*") if path.is_file() and path.read_bytes() == row["images"][0]["bytes"]
    )
    image.write_bytes(b"damaged" + row["images"][0]["bytes"][7:])
    with pytest.raises(LlavaMedError, match="has changed since it was fetched"):
        build("10k", out=tmp_path / "llava-med", work=work, decisions=decisions)
    done = build("10k", out=tmp_path / "llava-med", work=work, decisions=decisions)
    assert any("1 left out" in note for note in done.notes)
    assert row["id"] not in {each["id"] for each in rows_of(tmp_path / "llava-med" / "10k")}
