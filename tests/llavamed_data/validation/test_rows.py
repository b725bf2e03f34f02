"""The fast validator of rows never accepts what jsonschema, by the same JSON Schema, refuses."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from llavamed_data.dataset.schema import KINDS, load_schema, validator
from llavamed_data.validation.rows import RowSchema, shorten
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
VALID = {kind: MAKERS[kind](1) for kind in KINDS}
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
def test_the_fast_validator_accepts_a_valid_row(kind: str) -> None:
    assert SCHEMAS[kind].accepts(VALID[kind])
    assert SCHEMAS[kind].faults(VALID[kind]) == []


@settings(deadline=None, max_examples=400)
@given(data=st.data(), kind=st.sampled_from(KINDS), value=ODD)
def test_what_the_fast_validator_accepts_is_valid(data: st.DataObject, kind: str, value: Any) -> None:
    row = replaced(VALID[kind], data.draw(st.sampled_from(places(VALID[kind]))), value)
    valid = validator(kind).is_valid(row)
    assert valid or not SCHEMAS[kind].accepts(row)
    assert valid == (SCHEMAS[kind].faults(row) == [])


@pytest.mark.parametrize("column", ["id", "license", "pmcid", "pmid"])
def test_both_validators_read_a_pattern_alike_for_every_odd_character(column: str) -> None:
    """Dialects of regular expressions differ on blanks, digits and line ends."""
    row = VALID["instruct"]
    rule = Draft202012Validator(load_schema("instruct")["properties"][column])
    for code in range(0x3100):
        if not chr(code).isalpha():
            changed = row | {column: chr(code) if column == "license" else row[column] + chr(code)}
            assert SCHEMAS["instruct"].accepts(changed) == rule.is_valid(changed[column]), hex(code)


def test_values_are_described_in_a_few_words() -> None:
    assert shorten("x" * 70) == f"{'x' * 60!r}… (70 characters)"
    assert [shorten(value) for value in (None, b"abc", [1, 2], {}, 3)] == [
        "null",
        "3 bytes",
        "a list of 2",
        "an object",
        "3",
    ]
