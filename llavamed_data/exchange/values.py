"""Column values as JSON and back, with nothing lost: also bytes, and the numbers that JSON cannot write."""

import base64
import json
import math
from typing import Any

import pyarrow as pa
import pyarrow.types as pt

from llavamed_data.errors import LlavaMedError

_BYTES, _NUMBER = "$base64", "$number"

_SIMPLE_TYPES = (
    pt.is_string,
    pt.is_large_string,
    pt.is_binary,
    pt.is_large_binary,
    pt.is_boolean,
    pt.is_integer,
    pt.is_floating,
    pt.is_null,
)


def check_types(schema: pa.Schema) -> None:
    """Checks that JSON can carry all columns.

    Raises:
        LlavaMedError: one is of another type than text, bytes, numbers, booleans, and lists and structs of them.
    """
    for column in schema:
        if not _has_json_form(column.type):
            raise LlavaMedError(
                f"the column {column.name!a} is of the type {str(column.type)[:80]}, which no exchange format carries: "
                "drop it, or turn it into text"
            )


def _has_json_form(kind: pa.DataType) -> bool:
    if pt.is_struct(kind):
        return all(not field.name.startswith("$") and _has_json_form(field.type) for field in kind)
    if pt.is_list(kind) or pt.is_large_list(kind) or pt.is_fixed_size_list(kind) or pt.is_dictionary(kind):
        return _has_json_form(kind.value_type)
    return any(is_simple(kind) for is_simple in _SIMPLE_TYPES)


def to_json(value: Any) -> str:
    """JSON on one line that `from_json` turns back into the same value."""
    return json.dumps(_replace_special(value), ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _replace_special(value: Any) -> Any:
    """The value with objects of one `$` field in place of bytes, NaN and infinities."""
    if isinstance(value, bytes):
        return {_BYTES: base64.b64encode(value).decode("ascii")}
    if isinstance(value, float) and not math.isfinite(value):
        return {_NUMBER: repr(value)}
    if isinstance(value, list):
        return [_replace_special(each) for each in value]
    if isinstance(value, dict):
        return {name: _replace_special(each) for name, each in value.items()}
    return value


def from_json(text: str) -> Any:
    """The value that `to_json` was given.

    Raises:
        ValueError, RecursionError: the text is no JSON, or what stands for bytes or numbers is malformed.
    """
    return restore(json.loads(text))


def restore(value: Any) -> Any:
    """A value parsed from JSON, with bytes and special numbers in place of what stands for them.

    Raises:
        ValueError: what stands for them is malformed.
    """
    if isinstance(value, list):
        return [restore(each) for each in value]
    if not isinstance(value, dict):
        return value
    if value.keys() == {_BYTES}:
        return base64.b64decode(value[_BYTES], validate=True)
    if value.keys() == {_NUMBER}:
        return float(value[_NUMBER])
    return {name: restore(each) for name, each in value.items()}
