"""Files are cleaned in the form that they have, and every change can be shown."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from llavamed_data import commands
from llavamed_data.cli.app import app
from llavamed_data.cli.datasets import summary_table
from llavamed_data.errors import UsageError
from llavamed_data.instruct import clean_file

IMAGE = {"type": "image"}


def text(said: str) -> list[dict[str, str]]:
    return [{"type": "text", "text": said}]


CLEAN: list[dict[str, Any]] = [
    {"pair_id": "a", "domain": "mri", "turns": [["What?", "It is a cyst."]]},
    {"id": "b", "messages": [{"role": "user", "content": "What?"}, {"role": "assistant", "content": "A lung."}]},
    {
        "id": "c",
        "messages": [
            {"role": "user", "content": [IMAGE, *text("What?")]},
            {"role": "assistant", "content": text("It is a cyst.")},
        ],
    },
    {"id": "d", "conversations": [{"from": "human", "value": "Where?\n<image>"}, {"from": "gpt", "value": "Left."}]},
]  # fmt: skip
DIRTY: list[dict[str, Any]] = [
    {"pair_id": "a", "domain": "mri", "turns": [["What?", "According to the caption, it is a cyst."]]},
    CLEAN[1],
    {
        "id": "c",
        "messages": [
            {"role": "user", "content": [IMAGE, *text("What does the caption say?")]},
            {"role": "assistant", "content": text("Nothing.")},
            {"role": "user", "content": text("What?")},
            {"role": "assistant", "content": text("It is a cyst.")},
        ],
    },
    {
        "id": "d",
        "conversations": [
            {"from": "human", "value": "How large?\n<image>"},
            {"from": "gpt", "value": "I'm sorry, I cannot tell."},
            {"from": "human", "value": "Where?"},
            {"from": "gpt", "value": "Left."},
        ],
    },
    {"pair_id": "e", "turns": [["What?", "I cannot see the image."]]},
]


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_rows_keep_their_form_and_their_image(tmp_path: Path) -> None:
    out = tmp_path / "clean.jsonl"
    summary = clean_file(write(tmp_path / "dirty.jsonl", DIRTY), out)
    assert [json.loads(line) for line in out.read_text().splitlines()] == CLEAN
    assert (summary.read, summary.kept, summary.dropped) == (5, 4, 1)
    assert (summary.rounds_read, summary.rounds_kept) == (7, 4)
    assert summary.rules == {
        "according_to_text": 1, "question_about_text": 1, "apology": 1, "no_access_to_image": 1,
    }  # fmt: skip
    console = Console(record=True, width=100)
    console.print(summary_table(summary))
    assert "5 conversations: 4 kept, 1 dropped; 4 of 7 rounds kept" in " ".join(console.export_text().split())


def test_cleaning_a_clean_file_changes_nothing(tmp_path: Path) -> None:
    source, out = write(tmp_path / "clean.jsonl", CLEAN), tmp_path / "again.jsonl"
    assert clean_file(source, out).rules == {}
    assert out.read_bytes() == source.read_bytes()


def test_each_change_is_reported_with_its_conversation_and_rule(tmp_path: Path) -> None:
    edits: list[tuple[str, int, str]] = []
    clean_file(
        write(tmp_path / "dirty.jsonl", DIRTY),
        on_edit=lambda name, edit: edits.append((name, edit.round_index, edit.rule)),
    )
    assert edits == [
        ("a", 0, "according_to_text"),
        ("c", 0, "question_about_text"),
        ("d", 0, "apology"),
        ("e", 0, "no_access_to_image"),
    ]


def test_the_command_shows_each_change_before_and_after(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    app(["clean", str(write(tmp_path / "dirty.jsonl", DIRTY)), "--explain"], standalone_mode=False)
    shown = capsys.readouterr().out
    assert "a, round 1, answer: according_to_text" in shown
    assert "- According to the caption, it is a cyst." in shown
    assert "+ It is a cyst." in shown
    assert "(the round is dropped)" in shown


def test_a_file_that_cannot_be_cleaned_leaves_the_older_output_as_it_was(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    out.write_text("older\n")
    (tmp_path / "x.jsonl").write_text(json.dumps(CLEAN[0]) + "\n{")
    with pytest.raises(UsageError, match="line 2"):
        clean_file(tmp_path / "x.jsonl", out)
    assert out.read_text() == "older\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.jsonl", "x.jsonl"]


def test_an_output_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    source = write(tmp_path / "x.jsonl", CLEAN)
    with pytest.raises(UsageError, match="is a folder"):
        clean_file(source, tmp_path)
    with pytest.raises(UsageError, match="cannot be written"):
        clean_file(source, tmp_path / "none" / "out.jsonl")


@pytest.mark.parametrize("name", ["x.jsonl", "../folder/x.jsonl", "link.jsonl"])
def test_the_file_that_is_read_is_not_replaced(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    source = write(folder / "x.jsonl", DIRTY)
    (folder / "link.jsonl").symlink_to("x.jsonl")
    before = source.read_bytes()
    with pytest.raises(UsageError, match="is the file that is read"):
        app(["clean", str(source), "--out", str(folder / name)], standalone_mode=False)
    with pytest.raises(UsageError, match="is the file that is read"):
        commands.clean(folder / name, source)
    assert source.read_bytes() == before


@pytest.mark.parametrize(
    "line",
    ["{", "[]", '{"id": 1}', '{"conversations": [{"from": "gpt", "value": "a"}]}', '{"turns": [["a"]]}'],
)
def test_a_faulty_row_is_named_by_its_line(tmp_path: Path, line: str) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text(json.dumps(CLEAN[0]) + "\n" + line + "\n")
    out = tmp_path / "out.jsonl"
    with pytest.raises(UsageError, match="line 2"):
        clean_file(path, out)
    assert not out.exists()


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("{", "no JSON (Expecting property name enclosed in double quotes)"),
        ("[" * 100_000, "JSON that cannot be read"),
        ("[]", "no JSON object"),
        ("5", "no JSON object"),
        ('{"id": "a"}', "no conversation: it has none of the fields turns, messages, conversations (a)"),
        ('{"turns": null}', "the field turns is not a list"),
        ('{"turns": {"a": 1}}', "the field turns is not a list"),
        ('{"turns": [["Q?", null]]}', "turns[0] is not [question, answer], two texts"),
        ('{"turns": [["Q?", "A."], ["Q?", 3]]}', "turns[1] is not [question, answer], two texts"),
        ('{"turns": ["Q?"]}', "turns[0] is not [question, answer], two texts"),
        ('{"messages": 5}', "the field messages is not a list"),
        ('{"messages": ["a"]}', "messages[0] is not an object of role and content"),
        ('{"messages": [{"content": "a"}]}', "messages[0].role is None, not human or user"),
        ('{"messages": [{"role": "system", "content": "a"}]}', "messages[0].role is 'system', not"),
        ('{"messages": [{"role": ["user"], "content": "a"}]}', "messages[0].role is ['user'], not"),
        ('{"messages": [{"role": "user", "content": null}]}', "messages[0].content is not a text"),
        ('{"messages": [{"role": "user", "content": ["a"]}]}', "messages[0].content is neither a text nor"),
        (
            '{"messages": [{"role": "user", "content": [{"text": "a"}]}]}',
            "messages[0].content is neither a text nor",
        ),
        (
            '{"messages": [{"role": "user", "content": [{"type": "text"}]}]}',
            "messages[0].content is neither a text nor",
        ),
        ('{"messages": [{"role": "user", "content": "a"}]}', "the last of messages is a question without an answer"),
        ('{"conversations": [{"from": "human"}]}', "conversations[0].value is not a text"),
        ('{"conversations": [{"from": "human", "value": 4}]}', "conversations[0].value is not a text"),
        ('{"id": "b", "conversations": [{"from": "gpt", "value": "a"}]}', "conversations[0].from is 'gpt', not human"),
    ],
)  # fmt: skip
def test_a_faulty_field_is_named_and_nothing_of_python_is_said(tmp_path: Path, line: str, words: str) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text(json.dumps(CLEAN[0]) + "\n" + line + "\n")
    with pytest.raises(UsageError, match=f"^{re.escape(f'{path}, line 2: {words}')}"):
        clean_file(path)


def test_a_byte_order_mark_is_no_part_of_the_first_row(tmp_path: Path) -> None:
    source = write(tmp_path / "x.jsonl", CLEAN)
    source.write_bytes(b"\xef\xbb\xbf" + source.read_bytes())
    assert clean_file(source, tmp_path / "out.jsonl").read == len(CLEAN)
    assert (tmp_path / "out.jsonl").read_bytes() == source.read_bytes()[3:]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        clean_file(tmp_path / "none.jsonl")
