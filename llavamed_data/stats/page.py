"""The page: one file without scripts that asks for nothing, legible on light and dark ground."""

from collections.abc import Sequence
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from llavamed_data.charts import DARK, LIGHT, chart_style
from llavamed_data.console.printable import printable_line
from llavamed_data.stats.charts import sections
from llavamed_data.stats.counts import ENCODING, Stats, mean, quantile


def render_page(sets: Sequence[Stats]) -> str:
    """The statistics of one set, or of two side by side, as one HTML file.

    Text from the sets is escaped, no script may run (the page's policy allows none), nothing is loaded.
    """
    page = _environment().get_template("page.html.j2")
    return page.render(
        sets=sets,
        title=" and ".join(printable_line(stats.name, 60) for stats in sets),
        tiles=[_tiles(stats) for stats in sets],
        sections=sections(sets),
        encoding=ENCODING,
        light=_variables("light"),
        dark=_variables("dark"),
        chart_style=Markup(chart_style({role: f"var(--{role})" for role in LIGHT})),  # noqa: S704  (ours alone)
    )


def _tiles(stats: Stats) -> list[tuple[str, str]]:
    """(number, what it counts) for the top of the page."""
    return [
        (f"{stats.rows:,}", "conversations"),
        (f"{stats.images:,}", "images"),
        (f"{stats.pairs:,}", "question–answer pairs"),
        (f"{mean(stats.rounds):.1f}", "pairs a conversation"),
        (f"{quantile(stats.instructions.words, 0.5):,}", "words an instruction, median"),
        (f"{quantile(stats.responses.words, 0.5):,}", "words a response, median"),
    ]


def _variables(scheme: str) -> Markup:
    colours = DARK if scheme == "dark" else LIGHT
    return Markup("".join(f"--{role}:{colour};" for role, colour in colours.items()))  # noqa: S704  (ours alone)


def _cell(value: object) -> str:
    return f"{value:,}" if isinstance(value, int | float) else printable_line(str(value), 200)


@cache
def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader("llavamed_data.stats"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["cell"] = _cell
    made.filters["drawn"] = lambda drawing: Markup(drawing.inline())  # noqa: S704  (a tree: its texts are escaped)
    return made
