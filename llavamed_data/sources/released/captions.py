"""The released figure captions with their mentions: what the instruct sets were generated from."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from llavamed_data.reasons import Drop, Reason
from llavamed_data.recipes import DOMAINS
from llavamed_data.sources.released.content import open_content
from llavamed_data.sources.released.fields import (
    first_flagged,
    malformed,
    mentions_of,
    optional_text,
    plain_name,
    pmid_of,
    record_fields,
    record_label,
)
from llavamed_data.sources.released.json_stream import read_groups


@dataclass(frozen=True, slots=True)
class CaptionRecord:
    """One figure of a captions file.

    Attributes:
        pair_id: `<PMID>_<graphic or figure id>`.
        pmid: digits.
        figure_id: the figure's id in its article (`F0003`), empty if not given.
        figure_label: `Figure 3`, empty if not given.
        caption: never empty.
        inline_mentions: sentences.
        domain: the first flagged of `DOMAINS`; if none is, the domain under which the file lists it.
        graphic: `<folders>/PMC…/<file name>` of the image in the old PMC packages, empty if not given.
    """

    pair_id: str
    pmid: str | None
    figure_id: str
    figure_label: str
    caption: str
    inline_mentions: tuple[str, ...]
    domain: str | None
    graphic: str


def read_captions(path: str) -> Iterator[CaptionRecord | tuple[str, Drop]]:
    """Yields the figures of a captions file in order, each pair once; for a bad one, its name and the drop.

    Args:
        path: a file: a local path, `https://…` or `hf://datasets/ORG/NAME/…`.

    Raises:
        UsageError: no such file.
        LlavaMedError: it cannot be read, breaks off, or holds something else.
    """
    seen: set[str] = set()
    with open_content(path) as content:
        for position, (group, sample) in enumerate(read_groups(content), start=1):
            try:
                record = _record(group, record_fields(sample))
                if record.pair_id in seen:
                    raise Drop(Reason.DUPLICATE_ID, record.pair_id)
                seen.add(record.pair_id)
                yield record
            except Drop as drop:
                yield record_label(sample, position, "pair_id"), drop


def _record(group: str, fields: dict[str, Any]) -> CaptionRecord:
    pair_id = plain_name(fields.get("pair_id"), "pair_id")
    pmid = optional_text(fields.get("pmid"), "pmid") or pmid_of(pair_id)
    if pmid is not None and not (pmid.isascii() and pmid.isdigit()):
        raise malformed("pmid is not a number")
    caption = optional_text(fields.get("fig_caption"), "fig_caption")
    if not caption:
        raise Drop(Reason.NO_CAPTION, pair_id)
    return CaptionRecord(
        pair_id=pair_id,
        pmid=pmid,
        figure_id=optional_text(fields.get("fig_id"), "fig_id"),
        figure_label=optional_text(fields.get("fig_label"), "fig_label"),
        caption=caption,
        inline_mentions=mentions_of(fields.get("in_text_mention")),
        domain=first_flagged(fields.get("domain")) or (group if group in DOMAINS else None),
        graphic=optional_text(fields.get("graphic_ref"), "graphic_ref"),
    )
