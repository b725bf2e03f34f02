"""Which file of an article is the image of a graphic, and which locator stands for one that was cut off."""

from collections.abc import Mapping
from pathlib import PurePosixPath
from urllib.parse import unquote

IMAGE_SUFFIXES = (
    ".jpg", ".jpeg", ".png", ".gif", ".tif", ".tiff", ".webp", ".bmp", ".jp2", ".svg", ".eps",
)  # fmt: skip
"""What marks a file as an image, most wanted first: PMC keeps the full figure as .jpg and a thumbnail as .gif."""


def is_image_name(name: str) -> bool:
    """Whether the suffix of `name`, in either case, is one of an image."""
    return PurePosixPath(name).suffix.lower() in IMAGE_SUFFIXES


def resolve_graphic(href: str, media: Mapping[str, str]) -> str | None:
    """The locator of the file that a JATS `<graphic xlink:href>` shows, or None where the article has none.

    An href mostly lacks its suffix, names the publisher's .tif where PMC stores a .jpg, differs in case, or holds
    a folder or `%20`. Of several files of one stem the most wanted suffix of `IMAGE_SUFFIXES` wins, so a thumbnail
    never stands in for the full figure.

    Args:
        href: as the XML has it.
        media: file name → locator.

    >>> resolve_graphic("Figs/a%20b.TIF", {"a b.gif": "1", "A b.jpg": "2"})
    '2'
    """
    for spelling in (href, unquote(href)):
        wanted = _stem(spelling.replace("\\", "/").rstrip("/").rpartition("/")[2])
        found = [name for name in media if wanted and is_image_name(name) and _stem(name) == wanted]
        if found:
            return media[min(found, key=_preference)]
    return None


def without_lone_thumbnails(media: Mapping[str, str]) -> dict[str, str]:
    """`media` less every `.gif` that stands alone: in an archive that broke off its full figure was still to come."""
    full = {_stem(name) for name in media if not name.lower().endswith(".gif")}
    return {name: locator for name, locator in media.items() if _stem(name) in full}


def missing_locator(handle: str, href: str) -> str:
    """The locator of an image that an archive should hold but broke off before: fetching it says so."""
    return f"{handle}#{href}"


def _stem(name: str) -> str:
    return (name[: -len(PurePosixPath(name).suffix)] if is_image_name(name) else name).casefold()


def _preference(name: str) -> tuple[int, str]:
    return IMAGE_SUFFIXES.index(PurePosixPath(name).suffix.lower()), name
