"""Draws charts: Vega-Lite and Vega specifications in the project's colours, as SVG for pages and PNG for cards.

A specification states what is drawn and no colours: those come from the palette that it is drawn with. In a page they
are CSS variables, so that one drawing serves a light and a dark page. Text from data goes into a specification as
values and titles only, never into an expression, and what is drawn is parsed and written again: no text can become
markup.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from llavamed_data.console.printable import printable_line

if TYPE_CHECKING:
    import altair as alt

Spec = Mapping[str, Any]
"""A Vega-Lite or Vega specification as JSON values, with a `description` of the chart for screen readers."""

LIGHT: Mapping[str, str] = {
    "surface": "#ffffff",
    "ink": "#1c2430",
    "muted": "#5c6675",
    "grid": "#e3e7ec",
    "first": "#2f6fb5",
    "second": "#c8701f",
}
"""Role → colour on a light page and in pictures; `first` and `second` are the colours of two data sets compared."""

DARK: Mapping[str, str] = {
    "surface": "#141920",
    "ink": "#e8ecf1",
    "muted": "#9aa5b4",
    "grid": "#2b333d",
    "first": "#6ba6e4",
    "second": "#e39a52",
}
"""Role → colour on a dark page."""

WIDTH = 680
"""Width of a chart in pixels at scale 1."""

_FONT = "system-ui, 'Segoe UI', Roboto, 'Open Sans', 'Helvetica Neue', Arial, sans-serif"
_ON_COLOUR = "#161b22"
"""Text on a coloured area, which is light on every page."""

_TITLE = "{http://www.w3.org/2000/svg}title"


def page_colours() -> str:
    """The CSS rules that a page with charts needs: the colours of both palettes as variables (`--ink`)."""
    light, dark = (
        "".join(f"--{role}:{colour};" for role, colour in palette.items()) for palette in (LIGHT, DARK)
    )
    return f":root {{ {light} }} @media (prefers-color-scheme: dark) {{ :root {{ {dark} }} }}"


def chart_of(rows: Sequence[Mapping[str, Any]]) -> "alt.Chart":
    """A Vega-Lite chart of these rows (field → value), to which marks and encodings are to be added."""
    import altair as alt

    return alt.Chart(alt.InlineData(values=list(rows)))


def as_spec(layers: Sequence["alt.Chart"], title: str, *, height: "int | alt.Step") -> Spec:
    """The specification of a chart that is `WIDTH` pixels wide, axes and margins included.

    Args:
        layers: what is drawn, from the back to the front.
        title: what the chart shows, for screen readers.
        height: of the area in which data is drawn, in pixels, or of each of its bars.
    """
    import altair as alt

    fit = alt.AutoSizeParams(type="fit-x", contains="padding")
    chart = alt.LayerChart(layer=list(layers)).properties(width=WIDTH, height=height, autosize=fit)
    return chart.properties(description=printable_line(title)).to_dict()


def empty_chart(text: str, title: str) -> Spec:
    """The specification of a chart that says in words why it shows nothing."""
    words = chart_of([{"text": text}]).mark_text(style="muted", aria=False).encode(text="text:N")
    return as_spec([words], title, height=60)


def integer_axis(low: int, high: int) -> "alt.Axis":
    """An axis for whole numbers from `low` to `high`, with some twelve ticks and none between two numbers."""
    import altair as alt

    ticks = list(range(low, high + 1)) if high - low < 12 else alt.Undefined
    return alt.Axis(format=",d", grid=False, tickCount=12, values=ticks)


def to_svg(spec: Spec) -> str:
    """Draws a chart as an SVG element for a page that has the rules of `page_colours`.

    The description of a mark becomes a title, which browsers show when the pointer rests on the mark.
    """
    from lxml import etree

    root = etree.fromstring(_draw(spec, {role: f"var(--{role})" for role in LIGHT}, background=None).encode())
    for element in list(root.iter()):
        description = element.attrib.pop("aria-label", None)
        for name in [name for name in element.attrib if name == "role" or name.startswith("aria-")]:
            del element.attrib[name]
        if description:
            title = element.makeelement(_TITLE)
            title.text = description
            element.insert(0, title)
    root.set("role", "img")
    root.set("aria-label", spec.get("description", ""))
    return etree.tostring(root, encoding="unicode")


def to_png(spec: Spec, *, scale: float = 2.0) -> bytes:
    """Draws a chart as a PNG file on a light ground: the same bytes for the same specification on one machine.

    Args:
        spec: the chart.
        scale: pixels of the picture for each pixel of the specification.
    """
    import vl_convert

    return vl_convert.svg_to_png(_draw(spec, LIGHT, background=LIGHT["surface"]), scale=scale)


def _draw(spec: Spec, colours: Mapping[str, str], *, background: str | None) -> str:
    """The chart as SVG in these colours; no address in a specification is ever opened."""
    import vl_convert

    config = _config(colours) | {"background": background}
    if "/vega-lite/" in spec["$schema"]:
        return vl_convert.vegalite_to_svg(dict(spec), config=config, allowed_base_urls=[])
    return vl_convert.vega_to_svg({**spec, "config": config}, allowed_base_urls=[])


def _config(colours: Mapping[str, str]) -> dict[str, Any]:
    """How the project's charts look, as Vega-Lite and Vega take it."""
    ink, muted, grid = colours["ink"], colours["muted"], colours["grid"]
    return {
        "font": _FONT,
        "padding": 4,
        "view": {"stroke": None},
        "axis": {
            "aria": False,
            "domainColor": grid,
            "gridColor": grid,
            "tickColor": grid,
            "labelColor": muted,
            "labelFontSize": 12,
            "titleColor": muted,
            "titleFontSize": 12.5,
            "titleFontWeight": "normal",
            "titlePadding": 8,
        },
        "axisDiscrete": {
            "domain": False,
            "labelColor": ink,
            "labelFontSize": 13,
            "labelLimit": 150,
            "labelPadding": 8,
            "ticks": False,
        },
        "legend": {
            "aria": False,
            "orient": "top",
            "labelColor": ink,
            "labelFontSize": 12.5,
            "labelLimit": 300,
            "offset": 6,
            "symbolType": "circle",
            "title": None,
        },
        "range": {"category": [colours["first"], colours["second"]]},
        "mark": {"color": colours["first"]},
        "rule": {"color": ink},
        "text": {"color": ink, "fontSize": 12},
        # Vega-Lite takes the `color` of a style, Vega its `fill` or `stroke`.
        "style": {
            "ink": {"fill": ink},
            "muted": {"color": muted, "fill": muted},
            "on-colour": {"fill": _ON_COLOUR},
            "gap": {"stroke": colours["surface"]},
        },
    }
