"""Renders a card: YAML metadata above Markdown, in both of which values from data stay plain text."""

from collections.abc import Mapping
from functools import cache
from html import escape
from typing import Any

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined


def render(template: str, metadata: Mapping[str, Any], **values: Any) -> str:
    """A card from a template of `hub_cards/templates`.

    Args:
        template: name of the file.
        metadata: what the Hub reads of the card.
        values: what the template shows; it passes each value from data through the filter `inert`.
    """
    stated = yaml.safe_dump(dict(metadata), sort_keys=False, allow_unicode=True, width=110)
    return f"---\n{stated}---\n{_environment().get_template(template).render(**values)}"


def inert(value: object) -> str:
    """Text from data for a Markdown table cell: no markup, no cell break, no line break."""
    text = escape(" ".join(str(value).split()), quote=False)
    return "".join(f"\\{mark}" if mark in "\\`*_[]|~#" else mark for mark in text)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("hub_cards"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701  (Markdown, not HTML: `inert` escapes both)
    )
    environment.filters["inert"] = inert
    return environment
