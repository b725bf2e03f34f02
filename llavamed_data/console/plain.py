"""Text that is safe to print: nothing in it acts on a terminal or a page, and no secret stands in it."""

import unicodedata


def plain(text: str) -> str:
    """`text` with every character that is not printable written as its code; line ends stay, blanks become spaces.

    Escapes, other controls and the marks that turn the direction of writing are shown, not obeyed.

    >>> print(plain("a\\x1b[31m b"))
    a\\x1b[31m b
    """
    if text.isprintable():
        return text
    return "".join(mark if mark == "\n" or mark.isprintable() else _shown(mark) for mark in text)


def one_line(text: str, limit: int = 0) -> str:
    """`plain(text)` on one line, cut to `limit` characters where that is given."""
    line = " ".join(plain(text).split())
    return line if not limit or len(line) <= limit else line[: limit - 1].rstrip() + "…"


def without_token(text: str) -> str:
    """The text with the Hub login's token replaced by `hf_…`, wherever the token may have come from."""
    from huggingface_hub import get_token

    token = get_token()
    return text.replace(token, "hf_…") if token else text


def _shown(mark: str) -> str:
    if mark in "\t\r" or unicodedata.category(mark) == "Zs":
        return " "
    return mark.encode("unicode_escape").decode("ascii")
