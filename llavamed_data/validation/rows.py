"""Checks of one row: the JSON Schema, and what the schema cannot say about one row."""

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

import jsonschema_rs
from jsonschema import ValidationError

from llavamed_data.dataset.choices import choice_fault
from llavamed_data.dataset.reader import Row
from llavamed_data.dataset.schema import load_schema, validator
from llavamed_data.instruct import find_leaks
from llavamed_data.instruct.conversation import GENERATORS
from llavamed_data.validation.images import image_fault
from llavamed_data.validation.report import Check, DatasetFault

VIOLATIONS_A_ROW = 20
"""How many violations of the schema are reported of one row."""

_TEXT_SHOWN = 60
_MESSAGE_SHOWN = 200


class RowSchema:
    """The JSON Schema of one kind of dataset: fast on valid rows, exact on others.

    jsonschema-rs decides a hundred times as fast as jsonschema whether a row is valid, but words its errors for nobody:
    jsonschema sees only the rows that jsonschema-rs does not accept.
    """

    def __init__(self, kind: str) -> None:
        self._exact = validator(kind)
        self._fast = jsonschema_rs.Draft202012Validator(load_schema(kind))

    def faults(self, row: Row) -> list[DatasetFault]:
        """Violations of the schema, at most 20; a missing or unknown column is the shard's fault, not the row's."""
        if self.accepts(row):
            return []
        errors = (error for error in self._exact.iter_errors(row) if error.absolute_path)
        return [
            DatasetFault(
                Check(_rule(error).get("x-check", Check.SCHEMA)),
                _message(error),
                field=error.json_path.removeprefix("$."),
            )
            for error in islice(errors, VIOLATIONS_A_ROW)
        ]

    def accepts(self, row: Row) -> bool:
        """Whether the fast validator finds the row valid; False does not mean that it is invalid."""
        try:
            return self._fast.is_valid(_without_bytes(row))
        except ValueError:  # a value that JSON has no type for
            return False


def _without_bytes(row: Row) -> Row:
    """The row with `""` for the images' bytes, which JSON cannot hold: the schema asks only that they are not null."""
    images = row.get("images")
    if not isinstance(images, list) or not all(isinstance(image, dict) for image in images):
        return row
    plain = [image | {"bytes": ""} if isinstance(image.get("bytes"), bytes) else image for image in images]
    return {**row, "images": plain}


def role_faults(row: Row) -> Iterator[DatasetFault]:
    """The first turn that is not the due speaker's, in a row whose messages follow the schema."""
    turns = row["messages"]
    for index, turn in enumerate(turns):
        due = ("user", "assistant")[index % 2]
        if turn["role"] != due:
            message = f"is {turn['role']}, the turn is the {due}'s"
            yield DatasetFault(Check.ROLES, message, field=f"messages[{index}].role")
            return
    if len(turns) % 2:
        field = f"messages[{len(turns) - 1}].role"
        yield DatasetFault(Check.ROLES, "the user has the last word", field=field)


def leak_faults(row: Row) -> Iterator[DatasetFault]:
    """Generated answers that refer to the text they were made from; a caption as the answer may name what it likes."""
    provenance = row.get("provenance")
    if not isinstance(provenance, dict) or provenance.get("generator") not in GENERATORS:
        return
    for index, turn in enumerate(row["messages"]):
        for part in turn["content"] if turn["role"] == "assistant" else ():
            if found := find_leaks(part["text"] or ""):
                message = f"points to the text: {', '.join(found)}"
                yield DatasetFault(Check.LEAKS, message, field=f"messages[{index}]")


def choice_faults(row: Row) -> Iterator[DatasetFault]:
    """Of a row that follows the schema of choices: images without a part, and choices that cannot be scored."""
    kinds = [part["type"] for part in row["messages"][0]["content"]]
    if (
        kinds[: len(row["images"])] != ["image"] * len(row["images"])
        or "image" in kinds[len(row["images"]) :]
    ):
        message = f"has {kinds.count('image')} image parts for {len(row['images'])} images, or not all of them first"
        yield DatasetFault(Check.IMAGE_PART, message, field="messages[0].content")
    elif fault := choice_fault(row):
        yield DatasetFault(Check.CHOICES, fault, field="choices")


def first_image_fault(row: object) -> tuple[int, str] | None:
    """The first image of the row that cannot be decoded: its number, from 0, and why; None if all can."""
    images = row.get("images") if isinstance(row, dict) else None
    for number, image in enumerate(images if isinstance(images, list) else ()):
        fault = image_fault(image.get("bytes")) if isinstance(image, dict) else None
        if fault:
            return number, fault
    return None


def shorten(value: object) -> str:
    """Describes a value in a few words, whatever its size."""
    match value:
        case None:
            return "null"
        case str() if len(value) > _TEXT_SHOWN:
            return f"{value[:_TEXT_SHOWN]!r}… ({len(value):,} characters)"
        case bytes():
            return f"{len(value):,} bytes"
        case str() | bool() | int() | float():
            return repr(value)
        case list():
            return f"a list of {len(value):,}"
        case dict():
            return "an object"
        case _:
            return f"a {type(value).__name__}"


def _message(error: ValidationError) -> str:
    value: Any = error.instance
    limit: Any = error.validator_value
    match error.validator:
        case "type":
            allowed = [limit] if isinstance(limit, str) else limit
            return f"is {shorten(value)}, not {' or '.join(allowed)}"
        case "enum":
            return f"is {shorten(value)}, not one of {', '.join(shorten(each) for each in limit)}"
        case "maxLength":
            return f"is {len(value):,} characters long, the most is {limit:,}"
        case "required" | "additionalProperties":
            return error.message[:_MESSAGE_SHOWN]
    return f"is {shorten(value)}: {_rule(error).get('description', f'{error.validator} {limit}')}"


def _rule(error: ValidationError) -> Mapping[str, Any]:
    """The part of the schema that holds the violated keyword."""
    return error.schema if isinstance(error.schema, dict) else {}
