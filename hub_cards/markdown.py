"""The one Jinja environment of all cards, in which values from data stay plain text."""

from functools import cache
from html import escape

from jinja2 import Environment, PackageLoader, StrictUndefined


@cache
def environment() -> Environment:
    """Templates of `hub_cards/templates`; every value from data passes through the filter `inert`."""
    made = Environment(
        loader=PackageLoader("hub_cards"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701  (Markdown, not HTML: `inert` escapes both)
    )
    made.filters["inert"] = inert
    return made


def inert(value: object) -> str:
    """Text from data for a Markdown table cell: no markup, no cell break, no line break."""
    text = escape(" ".join(str(value).split()), quote=False)
    return "".join(f"\\{mark}" if mark in "\\`*_[]|~#" else mark for mark in text)
