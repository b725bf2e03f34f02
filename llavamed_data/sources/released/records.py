"""The records of a released file: a JSON list, JSON Lines, or lists under the names of domains."""

import re
from collections.abc import Iterator
from typing import Any, TypeVar

from llavamed_data.errors import LlavaMedError
from llavamed_data.recipes import DOMAINS
from llavamed_data.sources.released.content import Content
from llavamed_data.sources.released.json_stream import (
    BrokenJsonError,
    JsonStream,
    end_of_text,
    line_values,
    list_values,
)

_BEGINS_GROUPS = re.compile(rf'\s*\{{\s*"({"|".join(DOMAINS)})"\s*:\s*\['.encode())
_Record = TypeVar("_Record")


def read_records(content: Content) -> Iterator[Any]:
    """The records of a JSON list or of JSON Lines, told apart by the first character; some `Unreadable`.

    Raises:
        LlavaMedError: the file is neither, is broken or breaks off; the message names the byte.
    """
    if begins_groups(content):
        raise LlavaMedError(
            f"{content.name} holds figure captions by domain, the input of generation, and no conversations"
        )
    if content.head.lstrip()[:1] == b"{":
        return _located(content, line_values(content.chunks()))
    return _located(content, _whole_list(JsonStream(content.chunks())))


def read_groups(content: Content) -> Iterator[tuple[str, Any]]:
    """The records of an object of lists, each with the name of its list.

    Raises:
        LlavaMedError: the file is no such object, is broken or breaks off.
    """
    if not begins_groups(content):
        raise LlavaMedError(
            f"{content.name} does not hold figure captions by domain ({{domain: [figure, …]}})"
        )
    return _located(content, _groups(JsonStream(content.chunks())))


def begins_groups(content: Content) -> bool:
    """Whether the file begins like the captions files do: an object of lists by domain."""
    return bool(_BEGINS_GROUPS.match(content.head))


def _whole_list(stream: JsonStream) -> Iterator[Any]:
    yield from list_values(stream)
    end_of_text(stream)


def _groups(stream: JsonStream) -> Iterator[tuple[str, Any]]:
    mark = "{"
    while stream.peek() == mark:
        stream.take(mark)
        name = stream.value()
        if not isinstance(name, str):
            raise BrokenJsonError("a name in quotes belongs here", stream.position)
        stream.take(":")
        for record in list_values(stream):
            yield name, record
        mark = ","
    stream.take("}")
    end_of_text(stream)


def _located(content: Content, values: Iterator[_Record]) -> Iterator[_Record]:
    try:
        yield from values
    except BrokenJsonError as error:
        raise LlavaMedError(
            f"{content.name} is broken at byte {content.start + error.position:,}: {error.what};"
            " fetch the file again"
        ) from None
