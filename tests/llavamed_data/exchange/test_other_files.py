"""Files of other people in the chat formats: which forms are read, and what becomes of markers, images and systems."""

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from llavamed_data.errors import LlavaMedError
from llavamed_data.exchange import export_dataset, import_dataset
from llavamed_data.validation import validate
from tests.llavamed_data.pipeline.builds.test_build import llavamed
from tests.llavamed_data.validation.sets import jpeg, sound_set, turn

Pairs = list[tuple[str, str]]
ONE = [("human", "<image>What is it?"), ("gpt", "A lung.")]


def conversations(said: Pairs, **more: Any) -> dict[str, Any]:
    return {"conversations": [{"from": role, "value": text} for role, text in said], **more}


def messages(said: Pairs, **more: Any) -> dict[str, Any]:
    roles = {"human": "user", "gpt": "assistant"}
    return {"messages": [{"role": roles.get(role, role), "content": text} for role, text in said], **more}


def imported(
    tmp_path: Path, form: str, *records: dict[str, Any]
) -> tuple[list[dict[str, Any]], dict[str, int]]:
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / name).write_bytes(jpeg(len(name)))
    (tmp_path / "rows.json").write_text(json.dumps(records))
    done = import_dataset(tmp_path / "rows.json", form, tmp_path / "set")
    return pq.read_table(tmp_path / "set" / "data").to_pylist(), done.tally.dropped


@pytest.mark.parametrize("form", ["sharegpt", "llava"])
@pytest.mark.parametrize("shape", [conversations, messages])
@pytest.mark.parametrize(
    "image", [{"images": ["a.jpg"]}, {"image": "a.jpg"}, {"images": "a.jpg"}, {"images": [{"path": "a.jpg"}]}]
)
def test_every_usual_form_is_read_under_either_name(
    tmp_path: Path, form: str, shape: Any, image: Any
) -> None:
    rows, dropped = imported(tmp_path, form, shape(ONE, **image))
    assert dropped == {}
    assert rows[0]["messages"] == [turn("user", "What is it?", image=True), turn("assistant", "A lung.")]
    assert rows[0]["images"][0]["path"] == "a.jpg"
    assert validate(str(tmp_path / "set"), beside=[]).totals.keys() <= {"schema"}  # no domain is stated


def parts(*content: dict[str, Any], **more: Any) -> dict[str, Any]:
    answer = {"role": "assistant", "content": [{"type": "text", "text": "A lung."}]}
    return {"messages": [{"role": "user", "content": list(content)}, answer], **more}


QUESTION = {"type": "text", "text": "What is it?"}


@pytest.mark.parametrize(
    "record",
    [
        parts({"type": "image"}, QUESTION, images=["a.jpg"]),
        parts({"type": "image", "text": None}, {**QUESTION, "index": None}, image="a.jpg"),
        parts(QUESTION, {"type": "image"}, images=["a.jpg"]),
        parts({"type": "image", "image": "a.jpg"}, QUESTION),
        parts({"type": "image", "path": "a.jpg"}, QUESTION, images=None),
        parts({"type": "image_url", "image_url": {"url": "a.jpg"}}, QUESTION, images=[]),
        parts(QUESTION, images=["a.jpg"], conversations=None),
    ],
)
def test_turns_of_parts_are_read(tmp_path: Path, record: dict[str, Any]) -> None:
    rows, dropped = imported(tmp_path, "sharegpt", record)
    assert dropped == {}
    assert rows[0]["messages"] == [turn("user", "What is it?", image=True), turn("assistant", "A lung.")]
    assert rows[0]["images"][0]["path"] == "a.jpg"


def test_parts_that_are_no_text_or_image_and_markers_in_texts_of_parts_drop_the_row(tmp_path: Path) -> None:
    video = parts({"type": "video"}, QUESTION, images=["a.jpg"])
    marked = parts({"type": "image"}, {"type": "text", "text": "Say <image>."}, images=["a.jpg"])
    two = parts({"type": "text", "text": "Be short."}, QUESTION, images=["a.jpg"])
    rows, dropped = imported(tmp_path, "sharegpt", video, marked, two)
    assert dropped == {"malformed row": 1, "image marker in text": 1}
    assert rows[0]["messages"][0] == turn("user", "Be short.\nWhat is it?", image=True)


def test_roles_are_read_in_any_case_and_line_ends_of_windows_go_with_the_marker(tmp_path: Path) -> None:
    rows, dropped = imported(
        tmp_path, "llava", conversations([("Human", "<image>\r\nWhat?"), ("GPT", "A lung.")], image="a.jpg")
    )
    assert dropped == {}
    assert rows[0]["messages"] == [turn("user", "What?", image=True), turn("assistant", "A lung.")]


def test_ids_that_several_rows_have_are_made_different(tmp_path: Path) -> None:
    records = [conversations(ONE, image="a.jpg", id=name) for name in ("1", "1~2", "1", "2", 1)]
    rows, _ = imported(tmp_path, "llava", *records)
    assert [row["id"] for row in rows] == ["1", "1~2", "1~3", "2", "1~4"]
    assert "ids" not in validate(str(tmp_path / "set"), beside=[]).totals


def test_the_command_says_how_many_ids_were_made_different_and_counts_one_row_as_one(tmp_path: Path) -> None:
    records = [
        conversations(ONE, image="a.jpg", id="1"),
        conversations(ONE, image="a.jpg", id="1", source="x"),
    ]
    (tmp_path / "a.jpg").write_bytes(jpeg(1))
    (tmp_path / "rows.json").write_text(json.dumps(records))
    done = llavamed("import", "rows.json", "--from", "llava", "--out", "set", cwd=tmp_path)
    assert done.stdout.splitlines() == [
        "set: 2 of 2 rows",
        "1 row has the id of an earlier row: ~2, ~3, … was added to it",
        "the field 'source' of 1 row was not kept",
    ]


def test_an_image_that_load_dataset_cannot_decode_drops_its_row(tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_text("no image")
    (tmp_path / "cut.jpg").write_bytes(jpeg(3)[:-200])
    records = [conversations(ONE, image=name) for name in ("text.jpg", "cut.jpg", "a.jpg")]
    rows, dropped = imported(tmp_path, "llava", *records)
    assert dropped == {"image unreadable": 1, "image truncated": 1}
    assert len(rows) == 1


def test_fields_of_other_files_that_no_row_takes_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(jpeg(1))
    record = conversations(ONE, image="a.jpg", id="1", caption="A scan.", source="here")
    (tmp_path / "rows.json").write_text(json.dumps([record]))
    done = import_dataset(tmp_path / "rows.json", "llava", tmp_path / "set")
    assert done.ignored == {"caption": 1, "source": 1}


@pytest.mark.parametrize("form", ["{}", "[{}]"])
def test_a_mark_of_the_byte_order_before_the_first_record_is_skipped(tmp_path: Path, form: str) -> None:
    (tmp_path / "a.jpg").write_bytes(jpeg(1))
    text = form.format(json.dumps(conversations(ONE, image="a.jpg")))
    (tmp_path / "rows.json").write_text(text, encoding="utf-8-sig")
    assert import_dataset(tmp_path / "rows.json", "llava", tmp_path / "set").rows == {"train": 1}


@pytest.mark.parametrize(
    "record",
    [
        conversations([("system", "Be short."), *ONE], images=["a.jpg"]),
        messages([("system", "Be short."), *ONE], images=["a.jpg"]),
        conversations(ONE, images=["a.jpg"], system="Be short."),
    ],
)
def test_a_system_text_comes_before_the_first_question(tmp_path: Path, record: dict[str, Any]) -> None:
    rows, _ = imported(tmp_path, "sharegpt", record)
    assert rows[0]["messages"] == [
        turn("user", "Be short.\n\nWhat is it?", image=True),
        turn("assistant", "A lung."),
    ]


@pytest.mark.parametrize(
    "question", ["<image>\nWhat is it?", "What is it?\n<image>", "What is it? <image>", "What is it?"]
)
def test_one_image_before_or_after_the_first_question_comes_first(tmp_path: Path, question: str) -> None:
    rows, _ = imported(
        tmp_path, "llava", conversations([("human", question), ("gpt", "A lung.")], image="a.jpg")
    )
    assert rows[0]["messages"][0] == turn("user", "What is it?", image=True)


@pytest.mark.parametrize(
    ("said", "images", "reason"),
    [
        ([("human", "<image>What?"), ("gpt", "A tag <image> here.")], ["a.jpg"], "image marker in text"),
        ([("human", "<image>What?"), ("gpt", "![x](<image>)")], ["a.jpg"], "image marker in text"),
        ([("human", "<image><image>What?"), ("gpt", "A lung.")], ["a.jpg"], "image marker in text"),
        ([*ONE, ("human", "<image>And its colour?"), ("gpt", "Grey.")], ["a.jpg"], "image marker in text"),
        (
            [("human", "What?"), ("gpt", "A."), ("human", "<image>And?"), ("gpt", "B.")],
            ["a.jpg"],
            "malformed row",
        ),
        ([("human", "Look <image> here."), ("gpt", "Yes.")], ["a.jpg"], "malformed row"),
        ([("human", "Is <image> like <image>?"), ("gpt", "Yes.")], ["a.jpg", "b.jpg"], "malformed row"),
        ([("human", "<image>What?"), ("gpt", "A lung.")], ["a.jpg", "b.jpg"], "malformed row"),
        ([("human", "<image>What?"), ("gpt", "A lung.")], [], "no image"),
        (
            [("system", "The <image>."), ("human", "What?"), ("gpt", "A lung.")],
            ["a.jpg"],
            "image marker in text",
        ),
        ([("gpt", "Hello."), *ONE], ["a.jpg"], "malformed row"),
        ([ONE[0]], ["a.jpg"], "malformed row"),
        ([*ONE, ("tool", "x"), ("gpt", "y")], ["a.jpg"], "malformed row"),
        ([("human", "<image>What?"), ("gpt", " ")], ["a.jpg"], "malformed row"),
    ],
)
@pytest.mark.parametrize("shape", [conversations, messages])
def test_what_a_dataset_cannot_hold_is_dropped_with_its_reason(
    tmp_path: Path, shape: Any, said: Pairs, images: list[str], reason: str
) -> None:
    rows, dropped = imported(
        tmp_path, "sharegpt", shape(said, images=images), conversations(ONE, images=["a.jpg"])
    )
    assert dropped == {reason: 1}
    assert len(rows) == 1


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[]", "there are none in it"),
        ("", "there are none in it"),
        (
            json.dumps([conversations(ONE, image="nowhere.jpg")] * 2),
            "2 missing images (the first, train-0: nowhere.jpg)",
        ),
    ],
)
def test_an_import_that_keeps_no_row_fails_and_leaves_nothing(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "rows.json").write_text(text)
    done = llavamed("import", "rows.json", "--from", "llava", "--out", "bad", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr == f"error: no row of rows.json could be imported: {says}\n"
    assert [path.name for path in tmp_path.iterdir()] == ["rows.json"]


def test_an_edited_export_whose_markers_no_longer_match_loses_that_row(tmp_path: Path) -> None:
    export_dataset(str(sound_set(tmp_path / "set", rows=3)), "sharegpt", tmp_path / "out")
    path = tmp_path / "out" / "train.jsonl"
    records = [json.loads(line) for line in path.read_text().splitlines()]
    records[1]["messages"][1]["content"] = "A tag <image> here."
    path.write_text("".join(f"{json.dumps(record)}\n" for record in records))
    done = import_dataset(tmp_path / "out", "sharegpt", tmp_path / "back")
    assert (done.tally.kept, done.tally.dropped) == (2, {"image marker in text": 1})


def test_a_damaged_record_in_an_empty_import_is_named(tmp_path: Path) -> None:
    (tmp_path / "rows.json").write_text("[1]")
    with pytest.raises(LlavaMedError, match="1 malformed row"):
        import_dataset(tmp_path / "rows.json", "llava", tmp_path / "set")
