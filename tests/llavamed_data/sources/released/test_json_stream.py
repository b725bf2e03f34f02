"""Records come out of a stream as the plain parser sees them, however the bytes are cut."""

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llavamed_data.errors import LlavaMedError
from llavamed_data.reasons import Drop
from llavamed_data.sources.released import RowFile, read_captions
from llavamed_data.sources.released.json_stream import BrokenJsonError, line_values, list_values

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)
layouts = st.sampled_from([None, 2])


def pieces(text: bytes, size: int) -> Iterator[bytes]:
    return (text[at : at + size] for at in range(0, len(text), size))


def told(values: Iterable[Any]) -> list[Any]:
    """The values, and in place of each that cannot be read the reason."""
    return [str(value) if isinstance(value, Drop) else value for value in values]


@settings(deadline=None)
@given(
    records=st.lists(values, max_size=5), size=st.integers(1, 40), indent=layouts, ascii_only=st.booleans()
)
def test_a_list_in_pieces_of_any_size(
    records: list[Any], size: int, indent: int | None, ascii_only: bool
) -> None:
    text = json.dumps(records, indent=indent, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    assert json.dumps(list(list_values(pieces(text, size)))) == json.dumps(
        json.loads(text.decode("utf-8", "surrogateescape"))
    )


@settings(deadline=None)
@given(records=st.lists(values, max_size=5), size=st.integers(1, 40), last_break=st.booleans())
def test_lines_in_pieces_of_any_size(records: list[Any], size: int, last_break: bool) -> None:
    text = "\n".join(map(json.dumps, records)) + ("\n" if last_break else "")
    assert list(line_values(pieces(text.encode(), size))) == records


@settings(deadline=None)
@given(records=st.lists(values, min_size=1, max_size=4), size=st.integers(1, 40), data=st.data())
def test_a_truncated_list_always_raises(records: list[Any], size: int, data: st.DataObject) -> None:
    text = json.dumps(records).encode()
    cut = text[: data.draw(st.integers(0, len(text) - 1))]
    with pytest.raises(BrokenJsonError) as error:
        list(list_values(pieces(cut, size)))
    assert 0 <= error.value.position <= len(cut)


@pytest.mark.parametrize(
    ("text", "position"),
    [
        (b"", 0),
        (b"[", 1),
        (b"[1, 2", 5),
        (b"[1 2]", 3),
        (b"[1,]", 3),
        (b"[1] x", 4),
        (b"[1][2]", 3),
        (b"{}", 0),
        ('["ü", {"a": 1,, }]'.encode(), 15),
        ('["ü", {"a" 1}]'.encode(), 12),
        (b'[{"a": "b}]', 11),
        (b'[{"a": 1}', 9),
        (b"[tru]", 1),
    ],
)
@pytest.mark.parametrize("size", [1, 3, 100])
def test_the_error_of_a_broken_list_names_the_byte(text: bytes, position: int, size: int) -> None:
    with pytest.raises(BrokenJsonError) as error:
        list(list_values(pieces(text, size)))
    assert error.value.position == position


@pytest.mark.parametrize("word", ["NaN", "Infinity", "-Infinity"])
@pytest.mark.parametrize("size", [1, 100])
def test_nan_and_infinity_make_only_their_own_record_unreadable(word: str, size: int) -> None:
    text = f'[1, {{"a": {word}}}, 2]'.encode()
    unreadable = f"malformed row: holds {word}, which JSON has no word for"
    assert told(list_values(pieces(text, size))) == [1, unreadable, 2]


def test_an_unclosed_quotation_mark_is_reported_within_16_mib() -> None:
    tail = (b',{"b": "' + b"c" * 1000 + b'"}') * (20 << 10)
    with pytest.raises(BrokenJsonError, match="longer than 16 MiB, or a quotation mark") as error:
        list(list_values(pieces(b'[1, {"a": "b}' + tail + b"]", 1 << 20)))
    assert error.value.position == 4


def test_a_line_longer_than_16_mib_makes_only_that_record_unreadable() -> None:
    text = b'{"a": 1}\n{"a": "' + b"x" * (17 << 20) + b'"}\n{"a": 2}\n'
    found = told(line_values(pieces(text, 1 << 20)))
    assert found == [{"a": 1}, "malformed row: longer than 16 MiB", {"a": 2}]


def test_a_malformed_line_drops_only_that_row(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"id": "a"}\n\n{"id": "b", }\n{"id": "c"}\n')
    handles = [row[0] for row in RowFile(str(path)) if isinstance(row, tuple)]
    assert handles == ["a", "row 2", "c"]


def test_the_error_of_a_truncated_last_line_names_the_byte(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"id": "a"}\n{"id": "b", "conv')
    with pytest.raises(LlavaMedError, match=r"rows\.jsonl is broken at byte 29: the last line breaks off"):
        list(RowFile(str(path)))


@pytest.mark.parametrize("text", ['{\n"id": "a"\n}\n', '{"id": "a",\n "image": "b"}\n', '{"a'])
def test_an_object_over_several_lines_is_neither_list_nor_lines(tmp_path: Path, text: str) -> None:
    path = tmp_path / "rows.json"
    path.write_text(text)
    with pytest.raises(LlavaMedError, match="rows.json is broken at byte"):
        list(RowFile(str(path)))


def test_a_byte_order_mark_counts_in_positions(tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    path.write_bytes(b'\xef\xbb\xbf[{"id": "a"}, {"id": ]')
    with pytest.raises(LlavaMedError, match="at byte 24: Expecting value; fetch the file again"):
        list(RowFile(str(path)))


def test_a_truncated_captions_file_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "captions.json"
    text = '{"mri": [{"pair_id": "1_a", "fig_caption": "A brain."}], "gross": [{"pair_id": "2_a", "fig'
    path.write_text(text)
    found = read_captions(str(path))
    first = next(found)
    assert not isinstance(first, tuple)
    assert first.domain == "mri"
    with pytest.raises(
        LlavaMedError,
        match=re.escape(f"broken at byte {len(text)}: the text ends inside the value that begins at byte 67"),
    ):
        list(found)


def test_malformed_captions_are_dropped_one_by_one(tmp_path: Path) -> None:
    path = tmp_path / "captions.json"
    sound = {"pair_id": "1_a", "pmid": "1", "fig_caption": "A brain.", "domain": {"gross": True, "mri": True}}
    groups = {
        "gross": [sound, {"pair_id": "../a", "fig_caption": "x"}, {"pair_id": "2_a"}, 7],
        "mri": [sound, sound | {"pair_id": "3_a", "pmid": "x"}, sound | {"pair_id": "4_a"}],
    }
    path.write_text(json.dumps(groups))
    found = list(read_captions(str(path)))
    reasons = [row[1].reason.value if isinstance(row, tuple) else row.pair_id for row in found]
    assert reasons == [
        "1_a",
        "malformed row",
        "no caption",
        "malformed row",
        "duplicate id",
        "malformed row",
        "4_a",
    ]
    assert all(row.domain == "mri" for row in found if not isinstance(row, tuple))
    assert all(isinstance(row[1], Drop) for row in found if isinstance(row, tuple))
