"""Renders rows of a dataset as HTML in which their texts stay text and no script but the package's own may run."""

import base64
import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from markupsafe import Markup

from llavamed_data.console.printable import page_templates, printable, printable_line
from llavamed_data.dataset.messages import turns_of
from llavamed_data.dataset.reader import Dataset, Row
from llavamed_data.show.image_files import thumbnail_jpeg
from llavamed_data.show.search import TEXT_COLUMNS, RowFilter, RowSearch

PAGE_ROWS = 24
"""Rows on a page."""

SERVED_POLICY = (
    "default-src 'none'; img-src 'self' data:; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
"""The content security policy of a served page: pictures and other pages of this server, and no script at all."""

_THUMBNAIL = 480
"""Pixels of the longer side."""


@dataclass(frozen=True, slots=True)
class PageRow:
    """A row as a page shows it.

    Attributes:
        number: of the row.
        id, domain, caption: plain text.
        turns: (role, text).
        mentions: plain text each.
        facts: one line each.
        images: addresses of its images; "" for one that cannot be shown.
    """

    number: int
    id: str
    domain: str
    caption: str
    turns: Sequence[tuple[str, str]]
    mentions: Sequence[str]
    facts: Sequence[str]
    images: Sequence[str]


def served_page(
    dataset: Dataset, search: RowSearch, domains: Mapping[str, int], wanted: RowFilter, page: int
) -> str:
    """One page of the rows that are looked for, the first page being 1; the browser asks the server for the images."""
    numbers = search.find(wanted)
    last = max(1, -(-len(numbers) // PAGE_ROWS))
    page = min(max(page, 1), last)
    chosen = numbers[(page - 1) * PAGE_ROWS : page * PAGE_ROWS]

    def addresses(number: int, count: int) -> list[str]:
        return [f"/image/{number}/{index}" for index in range(count)]

    return _render(
        dataset,
        [_page_row(dataset, number, addresses) for number in chosen],
        served=True,
        policy=SERVED_POLICY,
        domains=domains,
        wanted=wanted,
        found=len(numbers),
        page=page,
        last=last,
    )


def single_page(dataset: Dataset, wanted: RowFilter, *, limit: int) -> str:
    """The first `limit` rows that are looked for as one file that loads nothing, with search and paging of its own.

    Its policy names its script by hash, so that no other can run.
    """
    numbers = RowSearch(dataset).find(wanted)

    def addresses(number: int, _: int) -> list[str]:
        return [_inline(image) for image in dataset.row(number, ["images"]).get("images") or ()]

    cards = [_page_row(dataset, number, addresses) for number in numbers[:limit]]
    domains = Counter(card.domain for card in cards if card.domain)
    script = _script()
    allowed = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{allowed}'; "
        "form-action 'none'; base-uri 'none'"
    )
    return _render(
        dataset,
        cards,
        served=False,
        policy=policy,
        domains=dict(sorted(domains.items())),
        wanted=wanted,
        found=len(numbers),
        page=1,
        last=1,
        script=Markup(script),  # noqa: S704  (a file of the package)
    )


def _render(dataset: Dataset, cards: Sequence[PageRow], **more: Any) -> str:
    template = page_templates("llavamed_data.show").get_template("browse.html.j2")
    return template.render(
        name=printable_line(dataset.name, 80), rows=len(dataset), cards=cards, **{"script": "", **more}
    )


def _page_row(dataset: Dataset, number: int, addresses: Callable[[int, int], list[str]]) -> PageRow:
    row = dataset.row(number, [*TEXT_COLUMNS, "images.list.element.path"])
    facts = [row.get(name) for name in ("figure_label", "pmcid", "license")]
    return PageRow(
        number=number,
        id=_text(row.get("id")),
        domain=_text(row.get("domain")),
        caption=_text(row.get("caption")),
        turns=[(printable_line(role, 20), printable(text)) for role, text in turns_of(row.get("messages"))],
        mentions=[_text(mention) for mention in row.get("inline_mentions") or ()],
        facts=[printable_line(str(fact), 80) for fact in facts if fact],
        images=addresses(number, len(row.get("images") or ())),
    )


def _text(value: object) -> str:
    return printable(value) if isinstance(value, str) else ""


def _inline(image: Row | None) -> str:
    """The image within its own address, as a small JPEG; "" for one that does not decode."""
    small = thumbnail_jpeg(image.get("bytes") if image else None, _THUMBNAIL)
    return f"data:image/jpeg;base64,{base64.b64encode(small).decode()}" if small else ""


@cache
def _script() -> str:
    return files("llavamed_data.show").joinpath("templates", "browse.js").read_text(encoding="utf-8")
