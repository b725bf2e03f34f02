"""Checks of single fields, shared by conversations and captions. Each raises `Drop(MALFORMED_ROW)`."""

import re
from collections.abc import Iterator
from typing import Any

from llavamed_data.reasons import Drop, Reason
from llavamed_data.sources.released.json_stream import Unreadable
from llavamed_data.sources.released.mentions import mend_tokens

MAX_TEXT = 1 << 20
"""Characters of one text; more is no caption and no turn."""

_NAME = re.compile(r"[^/\\\x00-\x1f\x7f]{1,200}")
_PMID = re.compile(r"(\d{1,9})_.")


def record_fields(record: Any) -> dict[str, Any]:
    """`record`, if it is an object that could be read."""
    if isinstance(record, Unreadable):
        raise malformed(record.why)
    if not isinstance(record, dict):
        raise malformed(f"a {type(record).__name__} where an object belongs")
    return record


def text_of(value: Any, field: str) -> str:
    """`value`, if it is text that can be written as UTF-8."""
    if not isinstance(value, str):
        raise malformed(f"{field} is missing" if value is None else f"{field} is a {type(value).__name__}")
    if len(value) > MAX_TEXT:
        raise malformed(f"{field} has {len(value):,} characters")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise malformed(f"{field} is not valid UTF-8") from None
    return value


def optional_text(value: Any, field: str) -> str:
    """`value` likewise; null and missing are empty."""
    return "" if value is None else text_of(value, field).strip()


def plain_name(value: Any, field: str) -> str:
    """`value`, if it can be the name of a file or figure: no path, no control characters."""
    name = text_of(value, field)
    if not _NAME.fullmatch(name) or name.startswith(".") or name != name.strip():
        raise malformed(f"{field} {name[:40]!a} is not a plain name")
    return name


def pmid_of(pair_id: str) -> str | None:
    """The PMID that a pair's id begins with (`18063892_F3`)."""
    found = _PMID.match(pair_id)
    return found[1] if found else None


def mentions_of(value: Any) -> tuple[str, ...]:
    """Inline mentions as sentences, each once: from null, a list of strings, or a list of `{tokens}`."""
    if value is None:
        return ()
    if not isinstance(value, list):
        raise malformed(f"in_text_mention is a {type(value).__name__}")
    return tuple(dict.fromkeys(sentence for sentence in map(_mention, value) if sentence))


def _mention(value: Any) -> str:
    if isinstance(value, dict):
        return mend_tokens(text_of(value.get("tokens"), "a mention's tokens"))
    return text_of(value, "a mention").strip()


def labelled(record: Any, position: int, *keys: str) -> str:
    """How a dropped record is named: the first of `keys` that holds a short string, else its position."""
    return next(_short_names(record, keys), f"row {position}")


def _short_names(record: Any, keys: tuple[str, ...]) -> Iterator[str]:
    if isinstance(record, dict):
        for key in keys:
            if isinstance(value := record.get(key), str) and 0 < len(value) <= 200 and value.isprintable():
                yield value


def malformed(what: str) -> Drop:
    """The drop that says what is wrong with a row."""
    return Drop(Reason.MALFORMED_ROW, what)
