"""The columns of a published dataset: one JSON Schema (draft 2020-12) a kind, everything else is derived from it.

A row is checked by `validator`; `features` and `arrow_schema` are what its columns are to `datasets` and to Arrow.
Importing this module does not import `datasets`.
"""

import json
from collections.abc import Collection, Mapping
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import jsonschema_rs
import pyarrow as pa
from jsonschema import Draft202012Validator
from referencing import Registry
from referencing.jsonschema import DRAFT202012

from llavamed_data.errors import UsageError
from llavamed_data.reasons import Drop, Reason
from llavamed_data.recipes import RECIPES, load_recipe

if TYPE_CHECKING:
    from datasets import Features

KINDS = ("alignment", "instruct", "eval", "vqa", "choice")
"""The kinds of published sets, each with its schema."""

Schema = dict[str, Any]

_SHARED = "common.json"


@cache
def load_schema(kind: str) -> Schema:
    """The JSON Schema of one row of a set of that kind, references to `common.json` resolved in place.

    The same object at every call: not to be changed.

    Raises:
        UsageError: there is no such kind.
    """
    if kind not in KINDS:
        raise UsageError(f"no schema is called {kind!r}: choose from {', '.join(KINDS)}")
    name = f"{kind}.json"
    registry: Registry[Any] = Registry().with_resources(
        (each, DRAFT202012.create_resource(_read(each))) for each in (_SHARED, name)
    )
    resolved: Schema = _inlined(_read(name), registry.resolver(name))
    return resolved


@cache
def validator(kind: str) -> Draft202012Validator:
    """Checks rows of that kind: `validator("instruct").iter_errors(row)`.

    A row is as Arrow gives it: an image is `{bytes, path}`, and the image part of a message has `text: None`
    (or no `text`).
    """
    return Draft202012Validator(load_schema(kind))


def columns(kind: str) -> tuple[str, ...]:
    """The columns of a set of that kind, in their order."""
    return tuple(load_schema(kind)["properties"])


def kind_of(names: Collection[str], recipe: str | None = None) -> str:
    """The kind of a set with columns `names` whose rows state `provenance.recipe`.

    Columns that only one kind has decide; the recipe tells the alignment set from the instruct sets, and a
    recipe that is not one of the toolkit's own counts as an instruct set.
    """
    if "choices" in names:
        return "choice"
    if "answer_type" in names or "language" in names:
        return "vqa"
    if "question_id" in names or "question_type" in names:
        return "eval"
    return load_recipe(recipe).schema if recipe in RECIPES else "instruct"


def _read(name: str) -> Schema:
    schema: Schema = json.loads(
        files("llavamed_data.dataset").joinpath("schemas", name).read_text(encoding="utf-8")
    )
    return schema


def _inlined(node: Any, resolver: Any) -> Any:
    """`node` with what each `$ref` refers to in its place, so that whoever reads a schema needs no registry."""
    if isinstance(node, list):
        return [_inlined(each, resolver) for each in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        found = resolver.lookup(node["$ref"])
        return _inlined(found.contents, found.resolver)
    return {key: _inlined(value, resolver) for key, value in node.items()}


class RowCheck:
    """Drops the rows that `validate` would refuse, so that one odd text does not make a whole set faulty.

    Args:
        kind: the kind of set that the rows are for.
        columns: the columns that are checked.
    """

    def __init__(self, kind: str, columns: Collection[str]) -> None:
        properties = load_schema(kind)["properties"]
        schema = {"type": "object", "properties": {name: properties[name] for name in columns}}
        self._fast = jsonschema_rs.Draft202012Validator(schema)
        self._exact = Draft202012Validator(schema)

    def check(self, row: Mapping[str, Any]) -> None:
        """Checks the values of the columns that are there.

        Raises:
            Drop: IMAGE_MARKER for a text of `messages` that holds a literal `<image>`, which trainers take for an image
                that is not there; MALFORMED_ROW for any other value that the schema does not allow.
        """
        try:
            if self._fast.is_valid(row):
                return
        except ValueError as error:  # half a surrogate pair
            raise Drop(Reason.MALFORMED_ROW, f"a value is no text: {error}"[:200]) from error
        for violation in self._exact.iter_errors(row):
            rule = violation.schema if isinstance(violation.schema, dict) else {}
            what = rule.get("description", f"{violation.validator} {violation.validator_value}")
            marker = rule.get("x-check") == "literal-image"
            raise Drop(
                Reason.IMAGE_MARKER if marker else Reason.MALFORMED_ROW,
                f"{violation.json_path.removeprefix('$.')}: {what}"[:300],
            )


@cache
def features(kind: str) -> "Features":
    """The columns of a set of that kind as `datasets.Features`, in their order.

    `images` is a `List(Image)`, a message's `content` a list of `{type, text}` (`text` is null for the image
    part), `provenance` a struct of strings.
    """
    from datasets import Features

    return Features({name: _feature(node) for name, node in load_schema(kind)["properties"].items()})


@cache
def arrow_schema(kind: str) -> pa.Schema:
    """The same for Arrow, with the `huggingface` metadata that makes `datasets` decode the images."""
    return features(kind).arrow_schema


def _feature(node: Schema) -> Any:
    from datasets import Image, List, Value

    match node.get("x-feature", _json_type(node)):
        case "Image":
            return Image()
        case "array":
            return List(_feature(node["items"]))
        case "object":
            return {name: _feature(child) for name, child in node["properties"].items()}
        case value:
            return Value(value)


def _json_type(node: Schema) -> str:
    """The one type of a node other than null; a node of listed values has theirs."""
    if "type" in node:
        stated = node["type"] if isinstance(node["type"], list) else [node["type"]]
    else:
        values = node["enum"] if "enum" in node else [node["const"]]
        stated = ["string" if isinstance(value, str) else type(value).__name__ for value in values]
    (only,) = set(stated) - {"null"}
    return str(only)
