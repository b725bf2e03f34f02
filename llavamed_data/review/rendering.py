"""Rows under review as HTML in which their texts stay text and no script but the page's own may run."""

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from llavamed_data.console.printable import counted, page_templates, printable, printable_line
from llavamed_data.dataset.messages import turns_of
from llavamed_data.review.row_view import RowView

_MOST_CHARACTERS = 200_000
"""Of a text that is shown; a longer one is cut, and says so."""


class ShownTurn(NamedTuple):
    """A turn as the page shows it."""

    number: int
    role: str
    text: str
    changed: bool
    deleted: bool
    flags: Sequence[Any]


def render_row(view: RowView, pictures: Sequence[str]) -> str:
    """A row as HTML in which its texts stay text.

    Args:
        view: the row.
        pictures: address of each of its images; "" for one that cannot be shown.
    """
    review = view.reviewed.review
    marks = []
    if review.verdict:
        reason = f": {review.reason}" if review.reason else ""
        marks.append({"kind": review.verdict, "text": printable_line(f"{review.verdict}ed{reason}", 300)})
    if review.disagree:
        marks.append({"kind": "disagree", "text": "reviewers disagree"})
    if view.again:
        marks.append({"kind": "again", "text": "changed since it was decided about: look again"})
    domain = view.row.get("domain")
    if review.domain:
        marks.append(
            {
                "kind": "domain",
                "text": f"domain: {review.domain} in place of {printable_line(str(domain), 40)}",
            }
        )
    sides = [{"title": "", "turns": _turns(view, reviewed=True)}]
    return _render(
        view,
        pictures,
        sides,
        marks=marks,
        buttons=True,
        flags=[_flag(each) for each in view.flags if each.turn is None],
    )


def render_comparison(
    view: RowView, pictures: Sequence[str], *, swapped: bool = False, chosen: str = ""
) -> str:
    """Two conversations about the same figure as HTML, which does not tell which is whose.

    Args:
        view: the row, with that of the other dataset.
        pictures: as `render_row` takes them.
        swapped: whether the other dataset's conversation comes first.
        chosen: what the reviewer prefers already: `this`, `other`, `tie`, or "".
    """
    if view.other is None:
        return '<p class="none">The other dataset does not have this row.</p>'
    pair = [_turns(view, reviewed=False), _turns(view.other, reviewed=False)]
    if swapped:
        pair.reverse()
    sides = [{"title": title, "turns": turns} for title, turns in zip(("First", "Second"), pair, strict=True)]
    marks = []
    if chosen:
        first = chosen == ("other" if swapped else "this")
        said = "neither is better" if chosen == "tie" else f"the {'first' if first else 'second'} is better"
        marks.append({"kind": "preference", "text": f"you decided: {said}"})
    return _render(view, pictures, sides, marks=marks, buttons=False, flags=[], notes=False)


def _render(
    view: RowView,
    pictures: Sequence[str],
    sides: Sequence[Any],
    *,
    marks: Sequence[Any],
    buttons: bool,
    flags: Sequence[Any],
    notes: bool = True,
) -> str:
    row = view.row
    pmcid = row.get("pmcid")
    is_pmcid = isinstance(pmcid, str) and re.fullmatch(r"PMC[0-9]{1,15}", pmcid)
    article = f"https://pmc.ncbi.nlm.nih.gov/articles/{pmcid}/" if is_pmcid else ""
    facts = [row.get(name) for name in ("domain", "figure_label", "license")]
    return filled(
        "row.html.j2",
        view=view,
        id=printable_line(str(row.get("id")), 300),
        marks=marks,
        facts=[printable_line(str(fact), 200) for fact in facts if fact],
        article=article,
        article_name=printable_line(str(pmcid)) if article else "",
        pictures=pictures,
        caption=_text(row.get("caption")),
        mentions=[_text(each) for each in row.get("inline_mentions") or ()],
        sides=sides,
        buttons=buttons,
        flags=flags,
        notes=[(printable_line(name, 80), _text(text)) for name, text in view.reviewed.review.notes]
        if notes
        else [],
    )


def _turns(view: RowView, *, reviewed: bool) -> list[ShownTurn]:
    review = view.reviewed.review
    deleted = review.deleted_rounds if reviewed else frozenset[int]()
    return [
        ShownTurn(
            number,
            printable_line(role, 20),
            _text(review.texts.get(number, text) if reviewed else text),
            reviewed and number in review.texts,
            number // 2 in deleted,
            [_flag(flag) for flag in view.flags if reviewed and flag.turn == number],
        )
        for number, (role, text) in enumerate(turns_of(view.row.get("messages")))
    ]


def _flag(flag: Any) -> dict[str, str]:
    return {
        "source": printable_line(flag.source, 80),
        "verdict": printable_line(flag.verdict, 80),
        "reason": printable(flag.reason),
    }


def _text(value: object) -> str:
    if not isinstance(value, str):
        return ""
    cut = (
        value
        if len(value) <= _MOST_CHARACTERS
        else f"{value[:_MOST_CHARACTERS]} … (cut: {len(value):,} characters)"
    )
    return printable(cut)


def progress_text(name: str, rows: int, decided: int, rejected: int, low: float, high: float) -> str:
    """How far the review is, and the share that is rejected."""
    done = f"{printable_line(name, 40)}: {decided:,} of {counted(rows, 'row')} decided"
    if not decided:
        return done
    return f"{done}, {rejected / decided:.0%} rejected (95 % interval {low:.0%} to {high:.0%})"


def filled(name: str, **values: Any) -> str:
    """A template of this folder with values, which are escaped."""
    return page_templates("llavamed_data.review").get_template(name).render(**values)
