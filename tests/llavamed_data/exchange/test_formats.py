"""Each format is what its readers document, and files of others in it can be imported."""

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import datasets
import pyarrow.parquet as pq
import pytest

from llavamed_data.cli.datasets import FormatName
from llavamed_data.errors import LlavaMedError, UsageError
from llavamed_data.exchange import FORMATS, export_dataset, import_dataset
from llavamed_data.validation import validate
from tests.llavamed_data.exchange.rows import png, read
from tests.llavamed_data.validation.sets import eval_row, instruct_row, jpeg, sound_set, turn, write_set

QUESTIONS = ["What does the image show?", "Is it a person?"]
ANSWERS = ["A synthetic phantom.", "No, it is noise."]


def test_the_command_line_offers_every_format() -> None:
    assert [each.value for each in FormatName] == list(FORMATS)


def test_llava_json_has_the_released_files_fields(tmp_path: Path) -> None:
    export_dataset(str(sound_set(tmp_path / "set", rows=2)), "llava", tmp_path / "out")
    first = json.loads((tmp_path / "out" / "train.json").read_text())[0]
    assert list(first) == ["id", "image", "domain", "conversations", "llavamed"]
    assert first["image"] == "0_F1.jpg"
    assert first["domain"] == {
        "chest_xray": True,
        "mri": False,
        "histology": False,
        "gross": False,
        "ct_scan": False,
    }
    assert first["conversations"] == [
        {"from": "human", "value": f"<image>\n{QUESTIONS[0]}"},
        {"from": "gpt", "value": ANSWERS[0]},
        {"from": "human", "value": QUESTIONS[1]},
        {"from": "gpt", "value": ANSWERS[1]},
    ]
    image = (tmp_path / "out" / "images" / first["image"]).read_bytes()
    assert image == read(tmp_path / "set").to_pylist()[0]["images"][0]["bytes"]


def test_an_exported_llava_file_is_a_released_file_to_build(tmp_path: Path) -> None:
    from llavamed_data.sources.released import ReleasedRow, RowFile

    export_dataset(str(sound_set(tmp_path / "set", rows=2)), "llava", tmp_path / "out")
    rows = list(RowFile(str(tmp_path / "out" / "train.json")))
    assert all(isinstance(row, ReleasedRow) for row in rows)
    assert [(row.id, row.domain, row.turns[0]) for row in rows if isinstance(row, ReleasedRow)] == [
        ("9000_F1", "chest_xray", ("user", QUESTIONS[0])),
        ("9001_F1", "mri", ("user", QUESTIONS[0])),
    ]


def test_sharegpt_is_what_llama_factory_ms_swift_and_axolotl_document(tmp_path: Path) -> None:
    export_dataset(str(sound_set(tmp_path / "set", rows=2)), "sharegpt", tmp_path / "out")
    described = json.loads((tmp_path / "out" / "dataset_info.json").read_text())["train"]
    rows = datasets.load_dataset(
        "json",
        data_files=str(tmp_path / "out" / described["file_name"]),
        split="train",
        cache_dir=str(tmp_path),
    )
    row = rows[0]
    tags = described["tags"]
    assert [turn[tags["role_tag"]] for turn in row[described["columns"]["messages"]]] == [
        tags["user_tag"],
        tags["assistant_tag"],
    ] * 2
    assert row["messages"][0]["content"] == f"<image>{QUESTIONS[0]}"
    assert (tmp_path / "out" / row[described["columns"]["images"]][0]).is_file()
    parts = json.loads((tmp_path / "out" / "train.axolotl.jsonl").read_text().splitlines()[0])["messages"][0][
        "content"
    ]
    assert parts == [{"type": "image", "path": "images/0_F1.jpg"}, {"type": "text", "text": QUESTIONS[0]}]


def test_there_are_as_many_markers_as_images_whatever_the_text_holds(tmp_path: Path) -> None:
    lost = eval_row(0) | {"images": []}
    literal = eval_row(1) | {
        "messages": [turn("user", "Is <image> there?", image=True), turn("assistant", "<image>")]
    }
    for form, files in (("llava", "test.json"), ("sharegpt", "test.jsonl")):
        folder = write_set(tmp_path / f"set-{form}", [lost, literal], kind="eval", shards=1)
        export_dataset(str(folder), form, tmp_path / form)
        text = (tmp_path / form / files).read_text()
        records = json.loads(text) if form == "llava" else [json.loads(line) for line in text.splitlines()]
        shown = [
            json.dumps({name: value for name, value in record.items() if name != "llavamed"})
            for record in records
        ]
        assert [each.count("<image>") for each in shown] == [0, 1]
        import_dataset(tmp_path / form, form, tmp_path / f"back-{form}")
        assert read(tmp_path / f"back-{form}", "test").to_pylist() == [lost, literal]


def test_webdataset_shards_open_with_stock_datasets(tmp_path: Path) -> None:
    export_dataset(str(sound_set(tmp_path / "set", rows=3)), "webdataset", tmp_path / "out")
    with tarfile.open(tmp_path / "out" / "train-000000.tar") as tar:
        assert tar.getnames()[:4] == ["000000000.jpg", "000000000.json", "000000001.jpg", "000000001.json"]
        assert {(member.mtime, member.uid, member.mode) for member in tar} == {(0, 0, 0o644)}
    files = str(tmp_path / "out" / "train-*.tar")
    rows = datasets.load_dataset("webdataset", data_files=files, split="train", streaming=True)
    first = next(iter(rows))
    assert first["jpg"].size == (64, 48)
    assert first["json"]["messages"][1]["content"][0]["text"] == ANSWERS[0]


def test_json_lines_hold_every_column_as_it_is(tmp_path: Path) -> None:
    folder = sound_set(tmp_path / "set", rows=1)
    export_dataset(str(folder), "jsonl", tmp_path / "out")
    record = json.loads((tmp_path / "out" / "train.jsonl").read_text())
    assert record["images"] == [{"file": "images/0_F1.jpg", "path": "0_F1.jpg"}]
    row = read(folder).to_pylist()[0]
    assert {name: value for name, value in record.items() if name != "images"} == {
        name: value for name, value in row.items() if name != "images"
    }


def test_an_edit_after_the_export_is_what_comes_back(tmp_path: Path) -> None:
    row = instruct_row(0) | {
        "messages": [turn("user", "One.", "Two.", image=True), turn("assistant", "Three.")]
    }
    export_dataset(str(write_set(tmp_path / "set", [row], shards=1)), "llava", tmp_path / "out")
    path = tmp_path / "out" / "train.json"
    records = json.loads(path.read_text())
    records[0]["conversations"][1]["value"] = "Four."
    path.write_text(json.dumps(records))
    import_dataset(tmp_path / "out", "llava", tmp_path / "back")
    back = read(tmp_path / "back").to_pylist()[0]
    assert back["messages"] == [turn("user", "One.\nTwo.", image=True), turn("assistant", "Four.")]
    assert back["caption"] == row["caption"]


def write_foreign_files(folder: Path, records: list[dict[str, Any]]) -> Path:
    (folder / "images").mkdir(parents=True)
    (folder / "images" / "1.jpg").write_bytes(png(1))
    (folder / "llava_med_instruct.json").write_text(json.dumps(records))
    return folder


def foreign_record(image: str | None = "1.jpg", **more: Any) -> dict[str, Any]:
    turns = [{"from": "human", "value": "What is it?\n<image>"}, {"from": "gpt", "value": "An MRI."}]
    return {"id": "18063892_F3", "conversations": turns, **({"image": image} if image else {}), **more}


def test_llava_json_of_others_becomes_a_dataset_that_states_what_is_missing(tmp_path: Path) -> None:
    folder = write_foreign_files(
        tmp_path / "there", [foreign_record(domain={"mri": True}, source="a hospital")]
    )
    imported = import_dataset(folder, "llava", tmp_path / "set")
    assert (imported.tally.kept, dict(imported.ignored)) == (1, {"source": 1})
    row = read(tmp_path / "set").to_pylist()[0]
    assert row["messages"] == [turn("user", "What is it?", image=True), turn("assistant", "An MRI.")]
    assert row["images"] == [{"bytes": png(1), "path": "1.jpg"}]
    assert (row["id"], row["domain"], row["license"]) == ("18063892_F3", "mri", "not stated")
    assert validate(str(tmp_path / "set"), beside=()).ok
    assert len(datasets.load_dataset(str(tmp_path / "set"), split="train")) == 1


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (foreign_record("2.jpg"), "image missing"),
        (foreign_record("../secret.jpg"), "image missing"),
        (foreign_record("/etc/hostname"), "image missing"),
        (foreign_record("link.jpg"), "image missing"),
        (foreign_record("a\0b"), "image missing"),
        (foreign_record("x" * 5000), "image missing"),
        (foreign_record(None), "no image"),
        ({"id": "1", "image": "1.jpg"}, "no conversation"),
        ({"id": "1", "image": "1.jpg", "conversations": []}, "no conversation"),
        (foreign_record(conversations=["text"]), "malformed row"),
        (foreign_record(domain="nowhere"), "malformed row"),
        (foreign_record(llavamed="{"), "malformed row"),
        (foreign_record(llavamed=json.dumps({"columns": {"caption": 7}})), "malformed row"),
        (
            foreign_record(llavamed=json.dumps({"images": [{"file": "../secret.jpg"}], "files": ["1.jpg"]})),
            "image missing",
        ),
    ],
)
def test_a_record_that_cannot_be_imported_is_dropped_with_its_reason(
    tmp_path: Path, record: dict[str, Any], reason: str
) -> None:
    folder = write_foreign_files(tmp_path / "there", [record, foreign_record()])
    (tmp_path / "there" / "secret.jpg").write_bytes(b"secret")
    (folder / "images" / "link.jpg").symlink_to(tmp_path / "there" / "secret.jpg")
    imported = import_dataset(folder, "llava", tmp_path / "set")
    assert (imported.tally.kept, imported.tally.dropped) == (1, {reason: 1})
    assert imported.dropped is not None
    assert pq.read_table(imported.dropped)["reason"].to_pylist() == [reason]
    assert b"secret" not in next((tmp_path / "set" / "data").iterdir()).read_bytes()


def test_a_hostile_tar_file_writes_no_file_and_reads_none(tmp_path: Path) -> None:
    hostile = tmp_path / "in" / "train-000000.tar"
    hostile.parent.mkdir()
    record = json.dumps({"id": "1", "images": [{"file": "../../up.jpg", "path": "up.jpg"}], "messages": []})
    with tarfile.open(hostile, "w") as tar:
        link = tarfile.TarInfo("../../link.jpg")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
        for name, data in (("../../up.json", record.encode()), ("../../up.jpg", jpeg(1))):
            header = tarfile.TarInfo(name)
            header.size = len(data)
            tar.addfile(header, io.BytesIO(data))
    imported = import_dataset(tmp_path / "in", "webdataset", tmp_path / "set")
    assert imported.tally.entered == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "set"]
    assert not (tmp_path.parent / "up.jpg").exists()


@pytest.mark.parametrize("form", FORMATS)
def test_a_broken_file_is_reported_in_one_line_and_leaves_nothing(tmp_path: Path, form: str) -> None:
    export_dataset(str(sound_set(tmp_path / "set")), form, tmp_path / "out")
    (path,) = (path for path in (tmp_path / "out").glob("train*") if "axolotl" not in path.name)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2 + 9])
    with pytest.raises(LlavaMedError, match=r"^[^\n]*train[^\n]*$"):
        import_dataset(tmp_path / "out", form, tmp_path / "back")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "set"]


def test_rows_that_were_removed_from_an_export_are_counted(tmp_path: Path) -> None:
    export_dataset(str(sound_set(tmp_path / "set")), "jsonl", tmp_path / "out")
    path = tmp_path / "out" / "train.jsonl"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:5]))
    imported = import_dataset(tmp_path / "out", "jsonl", tmp_path / "back")
    assert (imported.tally.kept, imported.exported) == (5, 12)
    assert validate(str(tmp_path / "back"), beside=()).ok


def test_an_existing_folder_is_never_overwritten(tmp_path: Path) -> None:
    folder = sound_set(tmp_path / "set")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    with pytest.raises(UsageError, match="exists already"):
        export_dataset(str(folder), "llava", tmp_path / "out")
    with pytest.raises(UsageError, match="lies inside the dataset"):
        export_dataset(str(folder), "llava", folder / "out")
    assert (tmp_path / "out" / "mine.txt").read_text() == "mine"


def test_a_wrong_call_says_what_to_do(tmp_path: Path) -> None:
    folder = sound_set(tmp_path / "set")
    with pytest.raises(UsageError, match="choose from llava, sharegpt, webdataset, jsonl"):
        export_dataset(str(folder), "csv", tmp_path / "out")
    with pytest.raises(UsageError, match="name a folder or file"):
        import_dataset(tmp_path / "nowhere", "llava", tmp_path / "back")
    export_dataset(str(folder), "llava", tmp_path / "out")
    with pytest.raises(UsageError, match="import it with --from llava"):
        import_dataset(tmp_path / "out", "jsonl", tmp_path / "back")
