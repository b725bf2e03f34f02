"""The quick verdict on a row never passes what the JSON Schema, as jsonschema reads it, does not."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from llavamed_data.dataset.schema import KINDS, load_schema, validator
from llavamed_data.validation.rows import RowSchema, field_path, shown
from tests.llavamed_data.validation.sets import MAKERS

ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(),
    st.binary(max_size=5),
    st.sampled_from(
        ["", " ", "\u3000", "\x85", "<image>", "PMC1\n", "١٢", "mri", "user", "image", "text", "a" * 64]
    ),
    st.lists(st.text(max_size=3), max_size=3),
    st.dictionaries(st.text(max_size=5), st.none(), max_size=2),
)
SOUND = {kind: MAKERS[kind](1) for kind in KINDS}
SCHEMAS = {kind: RowSchema(kind) for kind in KINDS}


def places(node: Any, steps: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    children = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    return [place for key, child in children for place in [(*steps, key), *places(child, (*steps, key))]]


def replaced(node: Any, steps: tuple[Any, ...], value: Any) -> Any:
    if not steps:
        return value
    copy = dict(node) if isinstance(node, dict) else list(node)
    copy[steps[0]] = replaced(node[steps[0]], steps[1:], value)
    return copy


@pytest.mark.parametrize("kind", KINDS)
def test_a_sound_row_passes_quickly(kind: str) -> None:
    assert SCHEMAS[kind].passes(SOUND[kind])
    assert list(SCHEMAS[kind].findings(SOUND[kind])) == []


@settings(deadline=None, max_examples=400)
@given(data=st.data(), kind=st.sampled_from(KINDS), value=ODD)
def test_what_passes_quickly_is_valid(data: st.DataObject, kind: str, value: Any) -> None:
    row = replaced(SOUND[kind], data.draw(st.sampled_from(places(SOUND[kind]))), value)
    valid = validator(kind).is_valid(row)
    assert valid or not SCHEMAS[kind].passes(row)
    assert valid == (list(SCHEMAS[kind].findings(row)) == [])


@pytest.mark.parametrize("column", ["id", "license", "pmcid", "pmid"])
def test_both_readings_of_a_pattern_agree_on_every_odd_character(column: str) -> None:
    """Dialects of regular expressions differ on blanks, digits and line ends."""
    row = SOUND["instruct"]
    rule = Draft202012Validator(load_schema("instruct")["properties"][column])
    for code in range(0x3100):
        if not chr(code).isalpha():
            changed = row | {column: chr(code) if column == "license" else row[column] + chr(code)}
            assert SCHEMAS["instruct"].passes(changed) == rule.is_valid(changed[column]), hex(code)


def test_paths_read_as_in_python() -> None:
    assert field_path(["messages", 0, "content", 1, "text"]) == "messages[0].content[1].text"


def test_values_are_shown_in_a_few_words() -> None:
    assert shown("x" * 70) == f"{'x' * 60!r}… (70 characters)"
    assert [shown(value) for value in (None, b"abc", [1, 2], {}, 3)] == [
        "null",
        "3 bytes",
        "a list of 2",
        "an object",
        "3",
    ]
