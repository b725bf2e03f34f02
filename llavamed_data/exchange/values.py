"""Column values as JSON and back, with nothing lost: bytes and the numbers that JSON has no word for included."""

import base64
import json
import math
from typing import Any

import pyarrow as pa
import pyarrow.types as pt

from llavamed_data.errors import LlavaMedError

_BYTES, _NUMBER = "$base64", "$number"


def check_types(schema: pa.Schema) -> None:
    """Tells of a column that JSON cannot carry.

    Raises:
        LlavaMedError: one is of another type than text, bytes, numbers, booleans, and lists and structs of them.
    """
    for column in schema:
        if not _carried(column.type):
            raise LlavaMedError(
                f"the column {column.name!a} is of the type {str(column.type)[:80]}, which no exchange format carries: "
                "drop it, or turn it into text"
            )


def to_json(value: Any) -> str:
    """JSON on one line that `from_json` turns back into the same value."""
    return json.dumps(_plain(value), ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def from_json(text: str) -> Any:
    """The value that `to_json` was given.

    Raises:
        ValueError, RecursionError: it is no such text.
    """
    return restored(json.loads(text))


def restored(value: Any) -> Any:
    """The value with bytes and special numbers in the place of what stands for them.

    Raises:
        ValueError: what stands for them is malformed.
    """
    if isinstance(value, list):
        return [restored(each) for each in value]
    if not isinstance(value, dict):
        return value
    if value.keys() == {_BYTES}:
        return base64.b64decode(value[_BYTES], validate=True)
    if value.keys() == {_NUMBER}:
        return float(value[_NUMBER])
    return {name: restored(each) for name, each in value.items()}


def parsed(text: bytes) -> Any:
    """The value of a JSON text; None where it is none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return {_BYTES: base64.b64encode(value).decode("ascii")}
    if isinstance(value, float) and not math.isfinite(value):
        return {_NUMBER: repr(value)}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    return value


def _carried(kind: pa.DataType) -> bool:
    if pt.is_struct(kind):
        fields = [kind.field(index) for index in range(kind.num_fields)]
        return all(not field.name.startswith("$") and _carried(field.type) for field in fields)
    if pt.is_list(kind) or pt.is_large_list(kind) or pt.is_fixed_size_list(kind):
        return _carried(kind.value_type)
    if pt.is_dictionary(kind):
        return _carried(kind.value_type)
    tests = (
        pt.is_string,
        pt.is_large_string,
        pt.is_binary,
        pt.is_large_binary,
        pt.is_boolean,
        pt.is_integer,
        pt.is_floating,
        pt.is_null,
    )
    return any(test(kind) for test in tests)
