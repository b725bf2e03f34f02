"""Tables as Markdown."""

import re
from collections.abc import Iterator, Sequence

from llavamed_trainer.evaluation.tables.figures import OURS, lines_of, name_of
from llavamed_trainer.evaluation.tables.fill import Table
from llavamed_trainer.evaluation.tables.paper_tables import other_errata


def to_markdown(tables: Sequence[Table]) -> str:
    """All tables as one document; ours in bold, notes below each table."""
    parts = ["# The paper's tables and ours", "", *(line for table in tables for line in _table(table))]
    parts += ["## Other errors of the paper", "", *(f"- {_inert(each)}" for each in other_errata())]
    return "\n".join(parts) + "\n"


def _table(table: Table) -> Iterator[str]:
    yield f"## {_inert(name_of(table))}"
    yield ""
    if table.groups:
        yield _line([*table.head, "", *table.columns])
        yield _line(["---"] * (len(table.head) + 1) + ["---:"] * len(table.columns))
    for title, rows in table.groups:
        if title:
            yield _line([f"**{_inert(title)}**", *[""] * (len(table.head) + len(table.columns))])
        for row in rows:
            head: Sequence[str] = [_inert(each) for each in row.head]
            for who, figures in lines_of(row, table):
                cells = [_cell(figure, marks, bold=who == OURS) for figure, marks in figures]
                yield _line([*head, who, *cells])
                head = [""] * len(head)
    yield from _below(table)


def _below(table: Table) -> Iterator[str]:
    yield ""
    for who, question, answer, truth in table.examples:
        yield f"- {_inert(question)} *{_inert(who)}:* {_inert(answer)} *Truth:* {_inert(truth)}"
    if table.examples:
        yield ""
    for letter, note in table.marked:
        yield f"<sup>{letter}</sup> {_inert(note)}  "
    for note in table.notes:
        yield f"{_inert(note)}  "
    yield ""


def _cell(figure: str, marks: Sequence[str], *, bold: bool) -> str:
    if not figure:
        return ""
    text = f"**{figure}**" if bold else figure
    return f"{text}<sup>{','.join(marks)}</sup>" if marks else text


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _inert(text: str) -> str:
    """Text from results: no markup, no cell break, no line break."""
    flat = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_\[\]|~#])", r"\\\1", flat)
