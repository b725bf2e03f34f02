"""Tables and the plot of quality against cost as one HTML file: no scripts, nothing loaded."""

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from llavamed_data.charts import page_colours, to_svg
from llavamed_data.console.printable import page_templates
from llavamed_trainer.evaluation.tables.paper_tables import other_errata
from llavamed_trainer.evaluation.tables.plot import plots
from llavamed_trainer.evaluation.tables.table import Marks, Row, Table

_COST = "11"


def to_html(tables: Sequence[Table]) -> str:
    """All tables as one page; text from results is escaped."""
    return (
        page_templates("llavamed_trainer.evaluation.tables")
        .get_template("tables.html.j2")
        .render(
            tables=[_shown(table) for table in tables],
            errata=other_errata(),
            colours=Markup(page_colours()),  # noqa: S704  (no data in it)
        )
    )


def _shown(table: Table) -> Mapping[str, Any]:
    specs = plots(table) if table.number == _COST else []
    return {
        "name": table.heading,
        "head": table.head,
        "columns": table.columns,
        "groups": [(title, [_lines(row, table) for row in rows]) for title, rows in table.groups],
        "plots": [(title, Markup(to_svg(spec))) for title, spec in specs],  # noqa: S704  (parsed and written again)
        "examples": table.examples,
        "marked": table.marked,
        "notes": table.notes,
    }


def _lines(row: Row, table: Table) -> list[tuple[Sequence[str], str, list[tuple[str, Marks]]]]:
    return [
        (row.head if place == 0 else [""] * len(row.head), whose, values)
        for place, (whose, values) in enumerate(row.lines(table.decimals))
    ]
