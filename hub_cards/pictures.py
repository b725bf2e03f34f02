"""Pictures of a set's statistics in a card that is there already."""

import re
from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import quote

from hub_cards.markdown import inert

_BEGIN, _END = "<!-- statistics -->", "<!-- end of statistics -->"
_OLD = re.compile(rf"{_BEGIN}\n.*?{_END}\n\n?", re.DOTALL)
_BEFORE = "\n## How it was made\n"


class Picture(NamedTuple):
    """A picture beside the card: what it shows, and its path relative to the card."""

    caption: str
    path: str


def with_pictures(card: str, pictures: Sequence[Picture], *, more: str | None = None) -> str:
    """The card with a section of pictures, in the place of an earlier one; without pictures, without the section.

    Args:
        card: Markdown with YAML metadata.
        pictures: in their order.
        more: path, relative to the card, of the page that says more.
    """
    card = _OLD.sub("", card)
    if not pictures:
        return card
    lines = [_BEGIN, "## Statistics", ""]
    for picture in pictures:
        caption = inert(picture.caption)
        lines += [f"![{caption}]({quote(picture.path)})", "", caption, ""]
    if more:
        lines += [
            f"[{quote(more)}]({quote(more)}) has the numbers: download it and open it in a browser.",
            "",
        ]
    section = "\n".join([*lines, _END]) + "\n"
    if _BEFORE in card:
        return card.replace(_BEFORE, f"\n{section}{_BEFORE}", 1)
    return f"{card.rstrip()}\n\n{section}"
