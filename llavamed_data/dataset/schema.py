"""The schema files: which there are, how they refer to one another, which one a set follows."""

import json
from collections.abc import Collection
from functools import cache
from importlib.resources import files
from typing import Any

from jsonschema import Draft202012Validator
from referencing import Registry
from referencing.jsonschema import DRAFT202012

from llavamed_data.errors import UsageError
from llavamed_data.recipes import RECIPES, load_recipe

KINDS = ("alignment", "instruct", "eval", "vqa")
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
