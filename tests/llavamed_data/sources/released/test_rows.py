"""What becomes of a released row, sound or not."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llavamed_data.reasons import Drop, Reason
from llavamed_data.sources.released import ReleasedRow, RowFile

TURNS = [{"from": "human", "value": "<image>\nWhat is shown?"}, {"from": "gpt", "value": "A lung."}]
ROW: dict[str, Any] = {"id": "123_F1", "image": "123_F1.jpg", "conversations": TURNS}
QUESTION: dict[str, Any] = {
    "question_id": 7,
    "image": "123_F1.jpg",
    "pair_id": "123_F1",
    "text": "What is shown?\n<image>",
    "gpt4_answer": "A lung.",
    "fig_caption": "A lung.",
    "in_text_mention": None,
    "domain": {"chest_xray": False, "mri": False, "histology": True, "gross": True, "ct_scan": True},
    "type": "conversation",
    "fig_label": "Fig. 1",
}


def read(tmp_path: Path, *records: Any) -> list[ReleasedRow | tuple[str, Drop]]:
    path = tmp_path / "rows.json"
    path.write_text(json.dumps(records))
    return list(RowFile(str(path)))


def read_one(tmp_path: Path, record: Any) -> ReleasedRow:
    (row,) = read(tmp_path, record)
    assert isinstance(row, ReleasedRow), row
    return row


def talk(*pairs: tuple[str, str]) -> dict[str, Any]:
    return ROW | {"conversations": [{"from": role, "value": text} for role, text in pairs]}


def test_a_training_row(tmp_path: Path) -> None:
    assert read_one(tmp_path, ROW) == ReleasedRow(
        id="123_F1",
        pair_id="123_F1",
        image="123_F1.jpg",
        turns=(("user", "What is shown?"), ("assistant", "A lung.")),
        domain=None,
        caption="",
        inline_mentions=(),
        figure_label="",
        pmid="123",
        question_id=None,
        question_type=None,
    )


def test_a_question_of_the_evaluation_set(tmp_path: Path) -> None:
    assert read_one(tmp_path, QUESTION) == ReleasedRow(
        id="123_F1-q7",
        pair_id="123_F1",
        image="123_F1.jpg",
        turns=(("user", "What is shown?"), ("assistant", "A lung.")),
        domain="histology",
        caption="A lung.",
        inline_mentions=(),
        figure_label="Fig. 1",
        pmid="123",
        question_id=7,
        question_type="conversation",
    )


def test_the_misspelt_key_is_read(tmp_path: Path) -> None:
    row = read_one(tmp_path, {"id": "1_a", "image": "1_a.jpg", "conversatons": TURNS})
    assert row.turns == (("user", "What is shown?"), ("assistant", "A lung."))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("<image>\nWhat?", "What?"),
        ("What?\n<image>", "What?"),
        ("What? <image>", "What?"),
        ("<image>What?", "What?"),
        ("What <image> is it?", "What is it?"),
        ("Look.\n<image>\nWhat?", "Look.\nWhat?"),
        ("One line.\nAnother.\n<image>", "One line.\nAnother."),
    ],
)
def test_the_image_marker_is_removed_and_the_text_kept(tmp_path: Path, text: str, shown: str) -> None:
    assert read_one(tmp_path, talk(("human", text), ("gpt", "Yes."))).turns[0] == ("user", shown)


@pytest.mark.parametrize(
    ("domain", "expected"),
    [
        (None, None),
        ("mri", "mri"),
        ("CT scan", "ct_scan"),
        ({"ct_scan": True, "gross": True}, "gross"),
        ({"gross": True, "histology": True}, "histology"),
        ({"histology": True, "mri": True, "chest_xray": True}, "chest_xray"),
        ({"mri": False}, None),
    ],
)
def test_the_first_flagged_domain_counts(tmp_path: Path, domain: Any, expected: str | None) -> None:
    assert read_one(tmp_path, ROW | {"domain": domain}).domain == expected


@pytest.mark.parametrize(
    ("mentions", "expected"),
    [
        (None, ()),
        ([], ()),
        (["See Fig. 1."], ("See Fig. 1.",)),
        ([{"tokens": "See ( Fig. 1 ) .", "entities": []}], ("See (Fig. 1).",)),
        (["See Fig. 1.", {"tokens": "See Fig. 1 ."}, ""], ("See Fig. 1.",)),
    ],
)
def test_mentions_of_every_shape(tmp_path: Path, mentions: Any, expected: tuple[str, ...]) -> None:
    assert read_one(tmp_path, QUESTION | {"in_text_mention": mentions}).inline_mentions == expected


HOSTILE = {
    "a number": 5,
    "null": None,
    "a list": [[[1]]],
    "no fields": {},
    "an id that is a number": ROW | {"id": 5},
    "an id that climbs": ROW | {"id": "../../x"},
    "an id with a drive": ROW | {"id": "C:\\x"},
    "no id": {key: ROW[key] for key in ("image", "conversations")},
    "an image that climbs": ROW | {"image": "../../etc/passwd"},
    "an absolute image": ROW | {"image": "/etc/passwd"},
    "a hidden image": ROW | {"image": "..jpg"},
    "an image with a NUL": ROW | {"image": "a\0.jpg"},
    "no image": {key: ROW[key] for key in ("id", "conversations")},
    "an image that is a list": ROW | {"image": ["123_F1.jpg"]},
    "an empty conversation": ROW | {"conversations": []},
    "a conversation that is text": ROW | {"conversations": "hello"},
    "turns that are text": ROW | {"conversations": ["<image>", "hello"]},
    "two humans": talk(("human", "<image>"), ("human", "a"), ("gpt", "b")),
    "gpt first": talk(("gpt", "<image> a"), ("human", "b")),
    "no last answer": talk(("human", "<image> a"), ("gpt", "b"), ("human", "c")),
    "a stranger": talk(("system", "<image> a"), ("gpt", "b")),
    "a role that is a list": ROW | {"conversations": [{"from": ["human"], "value": "<image> a"}, TURNS[1]]},
    "no marker": talk(("human", "a"), ("gpt", "b")),
    "two markers": talk(("human", "<image> a <image>"), ("gpt", "b")),
    "a marker in the answer": talk(("human", "a"), ("gpt", "<image> b")),
    "a marker in the second question": talk(
        ("human", "a"), ("gpt", "b"), ("human", "<image> c"), ("gpt", "d")
    ),
    "nothing but the marker": talk(("human", "<image>\n"), ("gpt", "b")),
    "an empty answer": talk(("human", "<image> a"), ("gpt", "  ")),
    "a turn that is a number": ROW | {"conversations": [{"from": "human", "value": 3}, TURNS[1]]},
    "half a surrogate": talk(("human", "<image> a"), ("gpt", "\ud800")),
    "two megabytes of text": talk(("human", "<image> a"), ("gpt", "b" * (2 << 20))),
    "a domain of its own": ROW | {"domain": "ultrasound"},
    "flags that are text": ROW | {"domain": {"mri": "yes"}},
    "a domain that is a number": ROW | {"domain": 1},
    "NaN": ROW | {"caption": float("nan")},
    "infinity": ROW | {"score": float("inf")},
    "a question without a number": QUESTION | {"question_id": "7"},
    "a question numbered by truth": QUESTION | {"question_id": True},
    "a question of another type": QUESTION | {"type": "essay"},
    "a question whose type is a list": QUESTION | {"type": ["conversation"]},
    "a question about another image": QUESTION | {"image": "456_F1.jpg"},
    "a question without an answer": QUESTION | {"gpt4_answer": None},
    "mentions that are text": QUESTION | {"in_text_mention": "See Fig. 1."},
    "mentions without tokens": QUESTION | {"in_text_mention": [{"text": "See Fig. 1."}]},
    "mentions of numbers": QUESTION | {"in_text_mention": [1]},
}


@pytest.mark.parametrize("hostile", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_bad_row_is_dropped_with_its_detail_and_the_rest_goes_on(tmp_path: Path, hostile: Any) -> None:
    before, bad, after = read(tmp_path, ROW | {"id": "first"}, hostile, ROW | {"id": "last"})
    assert isinstance(before, ReleasedRow)
    assert isinstance(after, ReleasedRow)
    assert isinstance(bad, tuple)
    handle, drop = bad
    assert drop.reason is Reason.MALFORMED_ROW
    assert drop.detail
    assert handle in ("row 2", "123_F1", "../../x", "C:\\x")
    (handle + drop.detail).encode()
    assert len(drop.detail) < 200


def one_drop_then_a_row(path: Path) -> tuple[str, Drop]:
    first, second = RowFile(str(path))
    assert isinstance(first, tuple)
    assert isinstance(second, ReleasedRow)
    return first


def test_a_row_nested_beyond_reason_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    path.write_text(f"[{'[' * 100_000}{']' * 100_000}, {json.dumps(ROW)}]")
    _, drop = one_drop_then_a_row(path)
    assert (drop.reason, drop.detail) == (Reason.MALFORMED_ROW, "nested too deeply")


def test_a_number_of_ten_thousand_digits_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    path.write_text(f'[{{"id": {"7" * 10_000}}}, {json.dumps(ROW)}]')
    _, drop = one_drop_then_a_row(path)
    assert drop.detail == "holds a number too long"


def test_invalid_utf8_drops_only_its_row(tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    good = json.dumps(ROW).encode()
    path.write_bytes(b"[" + good.replace(b"A lung.", b"A l\xfcng.") + b"," + good + b"]")
    handle, drop = one_drop_then_a_row(path)
    assert (handle, drop.detail) == ("123_F1", "turn 2 is not valid UTF-8")


def test_the_same_row_again_is_a_duplicate(tmp_path: Path) -> None:
    _, again = read(tmp_path, ROW, ROW)
    assert isinstance(again, tuple)
    assert again[1].reason is Reason.DUPLICATE_ID


def test_another_conversation_under_the_same_id_gets_an_id_that_stays(tmp_path: Path) -> None:
    other = talk(("human", "<image> And here?"), ("gpt", "A heart."))
    first, second, again = read(tmp_path, ROW, other, other)
    assert isinstance(first, ReleasedRow)
    assert isinstance(second, ReleasedRow)
    assert first.id == "123_F1"
    assert second.id.startswith("123_F1-")
    assert second.pair_id == "123_F1"
    assert isinstance(again, tuple)
    assert again[1].reason is Reason.DUPLICATE_ID
    assert read(tmp_path, ROW, ROW | {"id": "456_F1"}, other)[2] == second


def test_a_repeated_question_number_is_a_duplicate(tmp_path: Path) -> None:
    _, second = read(tmp_path, QUESTION, QUESTION | {"gpt4_answer": "A heart."})
    assert isinstance(second, tuple)
    assert second[1].reason is Reason.DUPLICATE_ID


junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*ROW, *QUESTION]), inner),
    max_leaves=8,
)
spoilt = st.builds(
    lambda base, key, value: base | {key: value},
    st.sampled_from([ROW, QUESTION]),
    st.sampled_from([*ROW, *QUESTION]),
    junk,
)


@settings(max_examples=150, deadline=None)
@given(records=st.lists(junk | spoilt, max_size=5), lines=st.booleans())
def test_each_record_comes_out_once_as_a_row_or_a_drop(
    tmp_path_factory: pytest.TempPathFactory, records: list[Any], lines: bool
) -> None:
    path = tmp_path_factory.mktemp("rows") / "rows.json"
    # lines begin with an object: that tells them from a list
    records = [{}, *records]
    path.write_text("\n".join(map(json.dumps, records)) + "\n" if lines else json.dumps(records))
    found = list(RowFile(str(path)))
    assert len(found) == len(records)
    ids = [row.id for row in found if isinstance(row, ReleasedRow)]
    assert len(ids) == len(set(ids))
