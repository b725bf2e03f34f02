"""Tables as Markdown."""

import re
from collections.abc import Iterator, Sequence

from llavamed_trainer.evaluation.tables.paper_tables import other_errata
from llavamed_trainer.evaluation.tables.table import OURS, Table


def to_markdown(tables: Sequence[Table]) -> str:
    """All tables as one document; our values are bold, notes stand below each table."""
    parts = ["# The paper's tables and ours", "", *(line for table in tables for line in _table(table))]
    parts += ["## Other errors of the paper", "", *(f"- {markdown_text(each)}" for each in other_errata())]
    return "\n".join(parts) + "\n"


def _table(table: Table) -> Iterator[str]:
    yield f"## {markdown_text(table.heading)}"
    yield ""
    if table.groups:
        yield _line([*table.head, "", *table.columns])
        yield _line(["---"] * (len(table.head) + 1) + ["---:"] * len(table.columns))
    for title, rows in table.groups:
        if title:
            yield _line([f"**{markdown_text(title)}**", *[""] * (len(table.head) + len(table.columns))])
        for row in rows:
            head: Sequence[str] = [markdown_text(each) for each in row.head]
            for whose, values in row.lines(table.decimals):
                cells = [_cell(value, marks, bold=whose == OURS) for value, marks in values]
                yield _line([*head, whose, *cells])
                head = [""] * len(head)
    yield from _below(table)


def _below(table: Table) -> Iterator[str]:
    yield ""
    for name, question, answer, truth in table.examples:
        answered = f"*{markdown_text(name)}:* {markdown_text(answer)} *Truth:* {markdown_text(truth)}"
        yield f"- {markdown_text(question)} {answered}"
    if table.examples:
        yield ""
    for letter, note in table.marked:
        yield f"<sup>{letter}</sup> {markdown_text(note)}  "
    for note in table.notes:
        yield f"{markdown_text(note)}  "
    yield ""


def _cell(value: str, marks: Sequence[str], *, bold: bool) -> str:
    if not value:
        return ""
    text = f"**{value}**" if bold else value
    return f"{text}<sup>{','.join(marks)}</sup>" if marks else text


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def markdown_text(text: str) -> str:
    """Text from results with its markup escaped, in one line that breaks no cell."""
    flat = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_\[\]|~#])", r"\\\1", flat)
