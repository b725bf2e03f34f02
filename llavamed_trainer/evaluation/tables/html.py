"""Tables and the plot of quality against cost as one HTML file: no scripts, nothing loaded."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from llavamed_trainer.evaluation.tables.figures import lines_of, name_of
from llavamed_trainer.evaluation.tables.fill import Marks, Row, Table
from llavamed_trainer.evaluation.tables.paper_tables import other_errata

if TYPE_CHECKING:
    from llavamed_data.charts import Drawing

_COST = "11"


def to_html(tables: Sequence[Table]) -> str:
    """All tables as one page; text from results is escaped."""
    from llavamed_data.charts import DARK, LIGHT, chart_style

    return (
        _environment()
        .get_template("tables.html.j2")
        .render(
            tables=[_shown(table) for table in tables],
            errata=other_errata(),
            light=_variables(LIGHT),
            dark=_variables(DARK),
            chart_style=Markup(chart_style({role: f"var(--{role})" for role in LIGHT})),  # noqa: S704  (ours alone)
        )
    )


def _shown(table: Table) -> Mapping[str, Any]:
    drawn = _drawn(table) if table.number == _COST else []
    return {
        "name": name_of(table),
        "head": table.head,
        "columns": table.columns,
        "groups": [(title, [_lines(row, table) for row in rows]) for title, rows in table.groups],
        "plots": [(title, Markup(drawing.inline())) for title, drawing in drawn],  # noqa: S704  (built as a tree)
        "examples": table.examples,
        "marked": table.marked,
        "notes": table.notes,
    }


def _drawn(table: Table) -> "list[tuple[str, Drawing]]":
    from llavamed_trainer.evaluation.tables.plot import plots

    return plots(table)


def _lines(row: Row, table: Table) -> list[tuple[Sequence[str], str, list[tuple[str, Marks]]]]:
    return [
        (row.head if place == 0 else [""] * len(row.head), who, figures)
        for place, (who, figures) in enumerate(lines_of(row, table))
    ]


def _variables(colours: Mapping[str, str]) -> Markup:
    return Markup("; ".join(f"--{role}: {colour}" for role, colour in colours.items()))  # noqa: S704  (ours alone)


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("llavamed_trainer.evaluation.tables"),
        undefined=StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
