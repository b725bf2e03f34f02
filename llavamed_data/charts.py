"""SVG built as a tree, so that no text from data can become markup; colours by class, so that a page can set them."""

import math
import xml.etree.ElementTree as ET
from collections.abc import Mapping

from llavamed_data.console.printable import printable_line

LIGHT: Mapping[str, str] = {
    "surface": "#ffffff",
    "ink": "#1c2430",
    "muted": "#5c6675",
    "grid": "#e3e7ec",
    "first": "#2f6fb5",
    "second": "#c8701f",
}
"""Role → colour on a light page, and in the pictures for cards."""

DARK: Mapping[str, str] = {
    "surface": "#141920",
    "ink": "#e8ecf1",
    "muted": "#9aa5b4",
    "grid": "#2b333d",
    "first": "#6ba6e4",
    "second": "#e39a52",
}
"""The same on a dark page."""

SERIES = ("first", "second")
"""The roles of the sets that are compared, in order."""

FONT = "system-ui, 'Segoe UI', Roboto, 'Open Sans', 'Helvetica Neue', Arial, sans-serif"

_RULES = (
    "text{{font-family:{font};fill:{ink}}} .muted{{fill:{muted}}} .on{{fill:#161b22}} "
    ".first{{fill:{first}}} .second{{fill:{second}}} "
    ".grid{{stroke:{grid}}} .gap{{stroke:{surface}}} .mark{{stroke:{ink}}} .surface{{fill:{surface}}}"
)


def chart_style(colours: Mapping[str, str]) -> str:
    """The CSS rules of all drawings; the values may be colours or CSS variables."""
    return _RULES.format(font=FONT, **colours)


class Drawing:
    """A chart of a fixed size in its own units.

    Args:
        width, height: in pixels at scale 1.
        title: what it shows, for who cannot see it.
    """

    def __init__(self, width: float, height: float, title: str) -> None:
        self.width, self.height = width, height
        self._root = ET.Element(
            "svg",
            {
                "xmlns": "http://www.w3.org/2000/svg",
                "viewBox": f"0 0 {_n(width)} {_n(height)}",
                "role": "img",
                "aria-label": printable_line(title),
            },
        )

    def rect(
        self, x: float, y: float, width: float, height: float, *, kind: str, hint: str = "", r: float = 0
    ) -> None:
        """A box of class `kind`; `hint` shows when the pointer rests on it."""
        box = {
            "x": _n(x),
            "y": _n(y),
            "width": _n(max(width, 0)),
            "height": _n(max(height, 0)),
            "class": kind,
        }
        self._add("rect", {**box, "rx": _n(r)} if r else box, hint)

    def line(
        self, x1: float, y1: float, x2: float, y2: float, *, kind: str = "grid", dashes: str = ""
    ) -> None:
        """A thin line."""
        ends = {"x1": _n(x1), "y1": _n(y1), "x2": _n(x2), "y2": _n(y2), "class": kind}
        self._add("line", {**ends, "stroke-dasharray": dashes} if dashes else ends)

    def text(
        self,
        x: float,
        y: float,
        text: str,
        *,
        size: float = 13,
        kind: str = "",
        anchor: str = "start",
        bold: bool = False,
        turn: float = 0,
    ) -> None:
        """One line of text, its middle at height `y`, turned by `turn` degrees about (x, y)."""
        place = {"x": _n(x), "y": _n(y), "font-size": _n(size), "text-anchor": anchor, "dy": "0.35em"}
        if kind:
            place["class"] = kind
        if bold:
            place["font-weight"] = "600"
        if turn:
            place["transform"] = f"rotate({_n(turn)} {_n(x)} {_n(y)})"
        self._add("text", place).text = printable_line(text)

    def arc(
        self,
        centre: tuple[float, float],
        radii: tuple[float, float],
        angles: tuple[float, float],
        *,
        fill: str,
        hint: str = "",
    ) -> None:
        """A piece of a ring; angles in radians clockwise from the top."""
        (inner, outer), (start, end) = radii, angles
        end = min(end, start + 2 * math.pi - 1e-4)
        large = int(end - start > math.pi)
        corners = [
            point(centre, radius, angle)
            for radius, angle in ((outer, start), (outer, end), (inner, end), (inner, start))
        ]
        a, b, c, d = (f"{_n(x)} {_n(y)}" for x, y in corners)
        path = f"M{a}A{_n(outer)} {_n(outer)} 0 {large} 1 {b}L{c}A{_n(inner)} {_n(inner)} 0 {large} 0 {d}Z"
        self._add(
            "path",
            {
                "d": path,
                "fill": fill,
                "class": "gap",
                "stroke-width": _n(min(1.5, 0.2 * inner * (end - start))),
            },
            hint,
        )

    def inline(self) -> str:
        """As part of a page, which gives the colours; it fills the width that it finds."""
        return ET.tostring(self._root, encoding="unicode")

    def alone(self, colours: Mapping[str, str] = LIGHT) -> str:
        """As a file of its own, on its own ground."""
        root = ET.Element("svg", {**self._root.attrib, "width": _n(self.width), "height": _n(self.height)})
        ET.SubElement(root, "style").text = chart_style(colours)
        ET.SubElement(root, "rect", {"width": "100%", "height": "100%", "class": "surface"})
        root.extend(self._root)
        return ET.tostring(root, encoding="unicode")

    def _add(self, tag: str, attributes: Mapping[str, str], hint: str = "") -> ET.Element:
        made = ET.SubElement(self._root, tag, dict(attributes))
        if hint:
            ET.SubElement(made, "title").text = printable_line(hint)
        return made


def point(centre: tuple[float, float], radius: float, angle: float) -> tuple[float, float]:
    """Where a ray from `centre` meets a circle; the angle in radians clockwise from the top."""
    return centre[0] + radius * math.sin(angle), centre[1] - radius * math.cos(angle)


def hue(turn: float, lightness: float, chroma: float) -> str:
    """A colour of the OKLCH space as #rrggbb; `turn` is the hue as a share of the circle."""
    a, b = chroma * math.cos(2 * math.pi * turn), chroma * math.sin(2 * math.pi * turn)
    long = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3
    medium = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3
    short = (lightness - 0.0894841775 * a - 1.2914855480 * b) ** 3
    red = 4.0767416621 * long - 3.3077115913 * medium + 0.2309699292 * short
    green = -1.2684380046 * long + 2.6097574011 * medium - 0.3413193965 * short
    blue = -0.0041960863 * long - 0.7034186147 * medium + 1.7076147010 * short
    return "#" + "".join(f"{round(255 * _gamma(value)):02x}" for value in (red, green, blue))


def _gamma(value: float) -> float:
    value = min(max(value, 0.0), 1.0)
    return 12.92 * value if value <= 0.0031308 else 1.055 * value ** (1 / 2.4) - 0.055


def _n(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")
