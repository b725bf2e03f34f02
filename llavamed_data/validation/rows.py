"""One row against the JSON Schema, and what the schema cannot say about one row."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import jsonschema_rs
from jsonschema import ValidationError

from llavamed_data.dataset.schema import load_schema, validator
from llavamed_data.instruct.cleaning import leaks
from llavamed_data.instruct.conversation import GENERATORS
from llavamed_data.validation.checks import Check
from llavamed_data.validation.report import Finding

Row = Mapping[str, Any]

BREACHES_A_ROW = 20
TEXT_SHOWN = 60
MESSAGE_SHOWN = 200


class RowSchema:
    """The JSON Schema of one kind, quick on sound rows and exact on others.

    jsonschema says what is wrong with a row, a hundred times as slowly as jsonschema-rs says that nothing is: it
    sees the rows that jsonschema-rs does not pass.
    """

    def __init__(self, kind: str) -> None:
        self._thorough = validator(kind)
        self._quick = jsonschema_rs.Draft202012Validator(load_schema(kind))

    def findings(self, row: Row) -> Iterator[Finding]:
        """Breaches, at most 20 a row; a missing or unknown column is the shard's fault, not the row's."""
        if self.passes(row):
            return
        errors = (error for error in self._thorough.iter_errors(row) if error.absolute_path)
        for error in islice(errors, BREACHES_A_ROW):
            check = Check(_rule(error).get("x-check", Check.SCHEMA))
            yield Finding(check, field_path(error.absolute_path), _says(error))

    def passes(self, row: Row) -> bool:
        """Whether the row is found sound quickly; False says nothing about it."""
        try:
            return self._quick.is_valid(_without_bytes(row))
        except ValueError:  # a value that JSON has no type for
            return False


def _without_bytes(row: Row) -> Row:
    """The row with `""` for the images' bytes, which JSON cannot hold: the schema asks only that they are not null."""
    images = row.get("images")
    if not isinstance(images, list) or not all(isinstance(image, dict) for image in images):
        return row
    plain = [image | {"bytes": ""} if isinstance(image.get("bytes"), bytes) else image for image in images]
    return {**row, "images": plain}


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


def leak_findings(row: Row) -> Iterator[Finding]:
    """Answers that give away the text they were written from; a caption as the answer may name what it likes."""
    stated = row.get("provenance")
    if not isinstance(stated, dict) or stated.get("generator") not in GENERATORS:
        return
    for index, turn in enumerate(row["messages"]):
        for part in turn["content"] if turn["role"] == "assistant" else ():
            if found := leaks(part["text"] or ""):
                yield Finding(Check.LEAKS, f"messages[{index}]", f"points to the text: {', '.join(found)}")


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
