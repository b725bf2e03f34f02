"""The page and the pictures: whole, self-contained, and deaf to what a set's texts ask for."""

import io
import re
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from PIL import Image

from llavamed_data.charts import hue
from llavamed_data.dataset.reader import Dataset
from llavamed_data.errors import LlavaMedError, UsageError
from llavamed_data.stats import count, render_page, statistics, write_report
from llavamed_data.stats.bars import bars, columns
from llavamed_data.stats.sunburst import sunburst
from tests.llavamed_data.show.hostile import ATTACKS, browser, hostile_set
from tests.llavamed_data.show.test_browse import Elements
from tests.llavamed_data.validation.sets import sound_set

SVG = "{http://www.w3.org/2000/svg}"


def texts(svg: str) -> list[str]:
    return [element.text or "" for element in ET.fromstring(svg).iter(f"{SVG}text")]


def test_a_sunburst_names_what_has_room() -> None:
    drawing = sunburst(
        {"describe": {"lesion": 120, "image": 60}, "show": {"cyst": 19, "x": 1}}, "instructions"
    )
    assert texts(drawing.inline()) == ["describe", "lesion", "image", "show", "cyst", "instructions"]
    hints = [element.text for element in ET.fromstring(drawing.inline()).iter(f"{SVG}title")]
    assert hints[:2] == [
        "describe: 180 (90.0% of those shown)",
        "describe lesion: 120 (60.0% of those shown)",
    ]
    assert "no verb with a direct noun" in texts(sunburst({}, "responses").inline())


def test_bars_of_two_sets_are_shares_of_each() -> None:
    drawing = bars([("small", {"mri": 3, "gross": 1}), ("large", {"mri": 300, "gross": 100})], "Images")
    widths = [float(bar.get("width") or 0) for bar in ET.fromstring(drawing.inline()).iter(f"{SVG}rect")]
    assert widths[0] == widths[1] == pytest.approx(3 * widths[2], abs=0.02)
    assert texts(drawing.inline()) == ["mri", "3 · 75%", "300 · 75%", "gross", "1 · 25%", "100 · 25%"]


def test_columns_put_the_rest_into_the_last_and_mark_the_median() -> None:
    drawing = columns([("set", {1: 50, 2: 49, 900: 1})], "Lengths", "words")
    hints = [element.text for element in ET.fromstring(drawing.inline()).iter(f"{SVG}title")]
    assert hints == ["1 words: 50.0%", "2 words: 50.0%"]
    assert "median 1" in texts(drawing.inline())
    assert "not counted" in texts(columns([("set", {})], "Lengths", "words").inline())


def test_colours_are_known_ones() -> None:
    """Red and blue of sRGB in OKLCH, as the CSS Color 4 specification converts them."""
    assert hue(29.2339 / 360, 0.627955, 0.257683) == "#ff0000"
    assert hue(264.052 / 360, 0.452014, 0.313214) == "#0000ff"


def test_a_report_has_a_page_and_pictures(tmp_path: Path) -> None:
    pytest.importorskip("vl_convert", reason="needs the extra [stats]")
    folder = sound_set(tmp_path / "set")
    page, *pictures = write_report(statistics([str(folder)], verbs=False), tmp_path / "out")
    assert page == tmp_path / "out" / "index.html"
    assert {picture.name for picture in pictures} >= {"images-by-domain.png", "rounds.png", "licences.png"}
    for picture in pictures:
        with Image.open(io.BytesIO(picture.read_bytes())) as image:
            assert image.format == "PNG"
            assert image.width == 1360
            assert len(image.convert("RGB").getcolors(1 << 20) or ()) > 8  # more than its ground


def test_without_the_drawing_package_there_is_one_clear_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    with pytest.raises(
        LlavaMedError, match=r"^pictures need vl-convert: pip install 'llavamed-data\[stats\]'$"
    ):
        write_report([], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_two_sets_stand_side_by_side(tmp_path: Path) -> None:
    sets = [str(sound_set(tmp_path / name, first=first, rows=6)) for name, first in (("one", 0), ("two", 50))]
    text = render_page(statistics(sets, verbs=False))
    assert "<h1>one and two</h1>" in text
    assert text.count('class="tiles"') == 2
    with pytest.raises(UsageError, match="one dataset, or two"):
        statistics([*sets, sets[0]], verbs=False)


def test_the_same_set_gives_the_same_page(tmp_path: Path) -> None:
    folder = str(sound_set(tmp_path / "set"))
    assert render_page(statistics([folder], verbs=False)) == render_page(statistics([folder], verbs=False))


def test_a_hostile_set_adds_no_element_to_the_page(tmp_path: Path) -> None:
    text = render_page([count(Dataset(str(hostile_set(tmp_path / "set"))))])
    page = Elements(text)
    assert not page.tags & {"script", "iframe", "img", "base", "object", "embed", "form", "a", "animate"}
    assert not [name for name in page.attributes if name.startswith("on") or name in ("srcdoc", "style")]
    assert page.addresses == {"data:,"}
    assert all(mark == "\n" or mark.isprintable() for mark in text)
    for svg in re.findall(r"<svg.*?</svg>", text):
        ET.fromstring(svg)


def test_the_page_runs_nothing_and_asks_for_nothing(tmp_path: Path) -> None:
    folder = hostile_set(tmp_path / "set")
    (tmp_path / "page.html").write_text(render_page([count(Dataset(str(folder)))]), encoding="utf-8")
    address = (tmp_path / "page.html").as_uri()
    for scheme, ground in (("light", "rgb(255, 255, 255)"), ("dark", "rgb(20, 25, 32)")):
        with browser(color_scheme=scheme) as watched:
            watched.page.goto(address)
            watched.poke()
            assert watched.inert(address)
            assert watched.page.evaluate("getComputedStyle(document.body).backgroundColor") == ground
            assert ATTACKS[0] in watched.page.locator("body").inner_text()
