"""Flags: one form, whoever raises them."""

import json
from pathlib import Path
from typing import Any

import pytest

from llavamed_data import commands
from llavamed_data.errors import UsageError
from llavamed_data.review.flags import Flag, read_flags, write_flags
from tests.llavamed_data.validation.sets import instruct_row, turn, write_set


def test_flags_are_read_as_they_were_written(tmp_path: Path) -> None:
    flags = [
        Flag("a", 1, "cleaning", "rule", "胸\n<b>x</b>\u2028y"),
        Flag("a", None, "judge", "8", "8"),
        Flag("b", 0, "validate", "leaks", "points to the text"),
    ]
    assert write_flags(tmp_path / "new" / "flags.jsonl", flags) == 3
    assert read_flags([tmp_path / "new" / "flags.jsonl"] * 2) == {"a": flags[:2], "b": flags[2:]}


def test_a_file_of_another_program_is_read(tmp_path: Path) -> None:
    path = tmp_path / "flags.jsonl"
    path.write_bytes(
        b'\xef\xbb\xbf{"id": 7, "source": "me", "verdict": 0.5}\r\n\r\n{"id": "8", "turn": 3, "source": "me"}'
    )
    assert read_flags([path]) == {"7": [Flag("7", None, "me", "0.5", "")], "8": [Flag("8", 3, "me", "", "")]}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "it is no JSON object"),
        ("[]", "it is no JSON object"),
        ('{"source": "x"}', "its field id is missing"),
        ('{"id": "a", "source": ""}', "its field source is missing"),
        ('{"id": "a", "source": "x", "turn": -1}', "its field turn is no number from 0"),
        ('{"id": "a", "source": "x", "turn": true}', "its field turn is no number from 0"),
        ('{"id": "a", "source": "x", "turn": "1"}', "its field turn is no number from 0"),
        ('{"id": "a", "source": "x", "reason": []}', "its field reason is missing or no text"),
    ],
)
def test_a_line_that_is_no_flag_is_refused_by_its_number(tmp_path: Path, line: str, said: str) -> None:
    path = tmp_path / "flags.jsonl"
    path.write_text('{"id": "a", "source": "x"}\n' + line + "\n")
    with pytest.raises(UsageError, match=f"line 2 is no flag: {said}"):
        read_flags([path])


def test_a_file_that_cannot_be_read_or_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"flags .*none.jsonl cannot be read"):
        read_flags([tmp_path / "none.jsonl"])
    with pytest.raises(UsageError, match="is a folder"):
        write_flags(tmp_path, [])


def test_validate_flags_each_fault_of_a_row_and_not_the_first_twenty_alone(tmp_path: Path) -> None:
    leak = [turn("user", "What?", image=True), turn("assistant", "The caption says so.")]
    rows = [instruct_row(number) | {"messages": leak} for number in range(30)]
    rows[3]["id"] = "x" * 300
    rows.append(rows[4])
    folder = write_set(tmp_path / "set", rows)
    report = commands.validate(folder, flags=tmp_path / "flags.jsonl")
    flags = read_flags([tmp_path / "flags.jsonl"])
    leaks = [flag for each in flags.values() for flag in each if flag.verdict == "leaks"]
    assert report.totals["leaks"] == 31  # type: ignore[index]
    assert len(leaks) == 30  # the row that is there twice is flagged once
    assert flags["9000_F1"] == [
        Flag("9000_F1", 1, "validate", "leaks", "messages[1]: points to the text: caption")
    ]
    assert {flag.verdict for flag in flags["9004_F1"]} == {"leaks", "ids"}
    assert "x" * 300 in flags


def test_clean_flags_each_change(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {
            "id": "a",
            "turns": [["What is it?", "It is a cyst."], ["Where?", "Based on the caption, it is there."]],
        },
        {"id": "b", "turns": [["What does the caption say?", "A cyst."]]},
    ]
    source = tmp_path / "conversations.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    summary = commands.clean(source, flags=tmp_path / "flags.jsonl")
    assert summary.edits == []
    flags = read_flags([tmp_path / "flags.jsonl"])
    (changed,) = flags["a"]
    assert (changed.turn, changed.source) == (3, "cleaning")
    assert changed.reason == "“Based on the caption, it is there.” became “It is there.”"
    assert flags["b"][0].turn == 0
    assert flags["b"][0].reason.endswith("was dropped")
    with pytest.raises(UsageError, match="is the file of the conversations"):
        commands.clean(source, flags=source)
