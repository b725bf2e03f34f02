"""From a JSON Schema to the column types of `datasets` and Arrow."""

from functools import cache
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from llavamed_data.dataset.schema import Schema, load_schema

if TYPE_CHECKING:
    from datasets import Features


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
