"""Text from data or servers made safe to print: nothing in it acts on a terminal or a page, and no token is in it."""

import unicodedata
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Environment


def printable(text: str) -> str:
    """Writes every character that is not printable as its code; line ends stay, other white space becomes spaces.

    Escape sequences, control characters and the marks that turn the direction of writing are shown, not obeyed.

    >>> print(printable("a\\x1b[31m b"))
    a\\x1b[31m b
    """
    if text.isprintable():
        return text
    return "".join(_printable_character(character) for character in text)


def printable_line(text: str, limit: int = 0) -> str:
    """`printable(text)` on one line, cut to `limit` characters where that is given."""
    line = " ".join(printable(text).split())
    return line if not limit or len(line) <= limit else line[: limit - 1].rstrip() + "…"


def counted(number: int, thing: str) -> str:
    """`1 row`, `2,000 rows`."""
    return f"{number:,} {thing}" if number == 1 else f"{number:,} {thing}s"


def hide_token(text: str) -> str:
    """The text with the Hub login's token replaced by `hf_…`, wherever the token may have come from."""
    from huggingface_hub import get_token

    token = get_token()
    return text.replace(token, "hf_…") if token else text


@cache
def page_templates(package: str, **filters: Callable[[Any], str]) -> "Environment":
    """The templates of a package's pages, in which values are escaped, so that no text becomes markup.

    Args:
        package: its folder `templates` holds them.
        filters: name → function that templates may pass values through.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader(package),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= filters
    return environment


def _printable_character(character: str) -> str:
    if character == "\n" or character.isprintable():
        return character
    if character in "\t\r" or unicodedata.category(character) == "Zs":
        return " "
    return character.encode("unicode_escape").decode("ascii")
