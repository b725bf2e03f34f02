"""Charts as SVG and PNG: what they say is readable, their colours are the page's, and no text of data is markup."""

import io
import re

import pytest
from lxml import etree
from PIL import Image

from llavamed_data.charts import (
    DARK,
    LIGHT,
    Spec,
    as_spec,
    chart_of,
    empty_chart,
    page_colours,
    to_png,
    to_svg,
)
from tests.llavamed_data.show.hostile import ATTACKS


def points(names: list[str]) -> Spec:
    rows = [{"x": place, "y": place, "name": name} for place, name in enumerate(names)]
    base = chart_of(rows).encode(x="x:Q", y="y:Q")
    circles = base.mark_circle().encode(description="name:N")
    return as_spec([circles, base.mark_text(aria=False).encode(text="name:N")], "Points", height=100)


def texts(svg: str, tag: str = "text") -> list[str]:
    return [element.text for element in etree.fromstring(svg).iter(f"{{*}}{tag}")]


def test_a_chart_has_a_description_and_its_marks_have_titles() -> None:
    svg = to_svg(points(["one", "two"]))
    root = etree.fromstring(svg)
    assert (root.get("role"), root.get("aria-label")) == ("img", "Points")
    assert texts(svg, "title") == ["one", "two"]
    assert texts(svg)[-2:] == ["one", "two"]
    assert not [name for element in root.iterdescendants() for name in element.attrib if "aria" in name]


def test_in_a_page_every_colour_is_a_variable_that_the_page_defines_for_light_and_dark() -> None:
    used = set(re.findall(r'(?:fill|stroke)="([^"]+)"', to_svg(points(["one"])))) - {"none"}
    assert used
    assert all(colour.startswith("var(--") for colour in used)
    light, dark = page_colours().split("@media (prefers-color-scheme: dark)")
    for colour in used:
        role = colour.removeprefix("var(--").removesuffix(")")
        assert f"--{role}:{LIGHT[role]};" in light
        assert f"--{role}:{DARK[role]};" in dark


def test_a_picture_is_twice_as_wide_as_its_chart_on_white_ground_and_the_same_every_time() -> None:
    data = to_png(points(["one", "two"]))
    with Image.open(io.BytesIO(data)) as image:
        assert (image.format, image.width) == ("PNG", 1360)
        assert image.convert("RGB").getpixel((0, 0)) == (255, 255, 255)
    assert to_png(points(["one", "two"])) == data


def test_an_empty_chart_says_why() -> None:
    assert texts(to_svg(empty_chart("not counted", "Years"))) == ["not counted"]


@pytest.mark.parametrize("attack", [attack for attack in ATTACKS if attack.isprintable()])
def test_text_of_data_stays_text(attack: str) -> None:
    svg = to_svg(points([attack]))
    assert {element.tag.rpartition("}")[2] for element in etree.fromstring(svg).iter()} <= {
        *("svg", "g", "path", "line", "text", "title", "rect")
    }
    assert texts(svg, "title") == [attack]
    assert texts(svg)[-1] == attack
    assert not [name for name in re.findall(r"<[^>]*\s([\w:-]+)=", svg) if name.startswith("on")]


def test_nothing_is_fetched_for_a_chart() -> None:
    spec = {**points(["one"]), "data": {"url": "http://192.0.2.1/data.json"}}
    with pytest.raises(ValueError, match=r"192\.0\.2\.1"):
        to_svg(spec)
