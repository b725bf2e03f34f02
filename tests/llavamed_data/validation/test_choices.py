"""What `validate` says of sets of multiple-choice questions that cannot be asked or scored."""

from collections.abc import Callable
from pathlib import Path

import pytest

from llavamed_data.validation import validate
from tests.llavamed_data.validation.sets import Row, choice_row, sound_set, turn, write_set


def test_a_sound_set_has_no_fault(tmp_path: Path) -> None:
    report = validate(str(sound_set(tmp_path / "set", "choice", rows=4)))
    assert report.ok, report.faults
    assert report.kind == "choice"


def _answer(row: Row, text: str) -> None:
    row["messages"][1] = turn("assistant", text)


def _one_choice(row: Row) -> None:
    row["choices"] = row["choices"][:1]
    row["messages"][0]["content"][-1]["text"] = f"{row['question']}\nA. {row['choices'][0]}"


def _equal_choices(row: Row) -> None:
    row["choices"] = ["a", "a"]
    row["messages"][0]["content"][-1]["text"] = f"{row['question']}\nA. a\nB. a"


DAMAGE: dict[str, tuple[Callable[[Row], object], str, str]] = {
    "a letter of no choice": (lambda row: _answer(row, "C"), "choices", "is no letter of A to B"),
    "a text as the answer": (lambda row: _answer(row, "A person"), "choices", "is no letter of A to B"),
    "another order in the messages": (lambda row: row["choices"].reverse(), "choices", "lettered choices"),
    "another question": (lambda row: row.update(question="Why?"), "choices", "lettered choices"),
    "an open question with choices": (
        lambda row: row.update(answer_type="OPEN"),
        "choices",
        "open question has 2",
    ),
    "one choice": (_one_choice, "choices", "has 1 choices"),
    "equal choices": (_equal_choices, "choices", "two choices are the same"),
    "an image too few": (lambda row: row["images"].pop(), "image-part", "2 image parts for 1 images"),
    "an image part behind the text": (
        lambda row: row["messages"][0]["content"].append(row["messages"][0]["content"].pop(1)),
        "image-part",
        "not all of them first",
    ),
    "no image": (lambda row: row["images"].clear(), "images", "one image or more"),
    "a second image that is none": (
        lambda row: row["images"][1].update(bytes=b"no image"),
        "image-decodes",
        "does not decode",
    ),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_a_row_that_cannot_be_asked_or_scored_is_a_fault_by_name(tmp_path: Path, name: str) -> None:
    damage, check, message = DAMAGE[name]
    rows = [choice_row(number) for number in range(2)]
    damage(rows[1])
    report = validate(str(write_set(tmp_path / "set", rows, kind="choice", shards=1)))
    assert [(fault.check, fault.id) for fault in report.faults] == [(check, rows[1]["id"])]
    assert message in report.faults[0].message


def test_the_second_image_is_named_by_its_number(tmp_path: Path) -> None:
    row = choice_row(0)
    row["images"][1]["bytes"] = b"no image"
    report = validate(str(write_set(tmp_path / "set", [row], kind="choice", shards=1)))
    assert [fault.field for fault in report.faults] == ["images[1]"]
