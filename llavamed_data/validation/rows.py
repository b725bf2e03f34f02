"""One row against the JSON Schema, and what the schema cannot say about one row."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from jsonschema import Draft202012Validator, ValidationError

from llavamed_data.validation.checks import Check
from llavamed_data.validation.report import Finding

Row = Mapping[str, Any]

BREACHES_A_ROW = 20
TEXT_SHOWN = 60
MESSAGE_SHOWN = 200


def schema_findings(row: Row, validator: Draft202012Validator) -> Iterator[Finding]:
    """Breaches of the schema, at most 20 a row; a missing or unknown column is the shard's fault, not the row's."""
    errors = (error for error in validator.iter_errors(row) if error.absolute_path)
    for error in islice(errors, BREACHES_A_ROW):
        check = Check(_rule(error).get("x-check", Check.SCHEMA))
        yield Finding(check, field_path(error.absolute_path), _says(error))


def role_findings(row: Row) -> Iterator[Finding]:
    """The first turn that is not whose turn it is, in a row whose messages follow the schema."""
    turns = row["messages"]
    for index, turn in enumerate(turns):
        due = ("user", "assistant")[index % 2]
        if turn["role"] != due:
            yield Finding(
                Check.ROLES, f"messages[{index}].role", f"is {turn['role']}, the turn is the {due}'s"
            )
            return
    if len(turns) % 2:
        yield Finding(Check.ROLES, f"messages[{len(turns) - 1}].role", "the user has the last word")


def field_path(steps: Sequence[str | int]) -> str:
    """`["messages", 0, "role"]` → `messages[0].role`."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps).removeprefix(".")


def shown(value: object) -> str:
    """A value in a few words, whatever its size."""
    match value:
        case None:
            return "null"
        case str():
            return repr(value[:TEXT_SHOWN]) + (
                f"… ({len(value):,} characters)" if len(value) > TEXT_SHOWN else ""
            )
        case bytes():
            return f"{len(value):,} bytes"
        case bool() | int() | float():
            return repr(value)
        case list():
            return f"a list of {len(value):,}"
        case dict():
            return "an object"
        case _:
            return f"a {type(value).__name__}"


def _says(error: ValidationError) -> str:
    value: Any = error.instance
    limit: Any = error.validator_value
    match error.validator:
        case "type":
            allowed = [limit] if isinstance(limit, str) else limit
            return f"is {shown(value)}, not {' or '.join(allowed)}"
        case "enum":
            return f"is {shown(value)}, not one of {', '.join(shown(each) for each in limit)}"
        case "maxLength":
            return f"is {len(value):,} characters long, the most is {limit:,}"
        case "required" | "additionalProperties":
            return error.message[:MESSAGE_SHOWN]
    return f"is {shown(value)}: {_rule(error).get('description', f'{error.validator} {limit}')}"


def _rule(error: ValidationError) -> Mapping[str, Any]:
    """The part of the schema that holds the breached keyword."""
    return error.schema if isinstance(error.schema, dict) else {}
