"""The page and the pictures of a report: complete, self-contained, and safe whatever a set's texts say."""

import io
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from lxml import etree
from PIL import Image

from llavamed_data.dataset.reader import Dataset
from llavamed_data.errors import UsageError
from llavamed_data.stats import DatasetStats, count, render_page, statistics, write_report
from llavamed_data.stats.report import report_sections
from tests.llavamed_data.show.hostile import ATTACKS, Elements, browser, hostile_set
from tests.llavamed_data.validation.sets import instruct_row, sound_set, write_set


def test_a_report_has_a_page_and_pictures(tmp_path: Path) -> None:
    rows = [instruct_row(number) for number in range(4)]
    rows[0] |= {"license": "CC0", "messages": rows[0]["messages"][:2]}
    folder = write_set(tmp_path / "set", rows)
    page, *pictures = write_report(statistics([str(folder)], verbs=False), tmp_path / "out")
    assert page == tmp_path / "out" / "index.html"
    assert {picture.name for picture in pictures} >= {"images-by-domain.png", "rounds.png", "licences.png"}
    for picture in pictures:
        with Image.open(io.BytesIO(picture.read_bytes())) as image:
            assert image.format == "PNG"
            assert image.width == 1360
            assert len(image.convert("RGB").getcolors(1 << 20) or ()) > 8  # more than its ground


def test_a_wheel_of_few_texts_is_a_sentence() -> None:
    stats = DatasetStats("set", rows=10)
    few = {("show", "mass"): 29, ("", ""): 71}
    stats.instructions.verb_nouns.update(few)
    stats.responses.verb_nouns.update({("show", "mass"): 30, ("", ""): 70})
    first = report_sections([stats])[0]
    assert [chart.name for chart in first.charts] == ["verbs-responses"]
    assert "Instructions: only 29% of 100 with verb and noun, too few to be drawn." in first.note
    stats.responses.verb_nouns.update(few)
    stats.responses.verb_nouns.update({("", ""): 100})
    first = report_sections([stats])[0]
    assert first.charts == ()
    assert "inner ring" not in first.note


def test_a_chart_of_one_bar_is_a_sentence(tmp_path: Path) -> None:
    folder = write_set(tmp_path / "set", [instruct_row(0), instruct_row(5)])  # the same domain, two rounds
    sections = {each.title: each for each in report_sections(statistics([str(folder)], verbs=False))}
    assert sections["Domains"].charts == ()
    assert sections["Domains"].note.endswith(
        "Images: chest_xray for all. Question–answer pairs: chest_xray for all."
    )
    assert "Rounds of a conversation: 2 question–answer pairs for all." in sections["Turns and lengths"].note
    assert "rounds" not in [chart.name for chart in sections["Turns and lengths"].charts]
    assert "Conversations by licence: CC BY for all." in sections["Licences"].note


def test_the_line_on_tokens_does_not_contradict_itself(tmp_path: Path) -> None:
    (stats,) = statistics([str(sound_set(tmp_path / "set"))], verbs=False)
    without = replace(stats, notes=["Tokens are not counted: the encoding cl100k_base is not here."])
    without.instructions = replace(stats.instructions, tokens=Counter())
    without.responses = replace(stats.responses, tokens=Counter())
    assert "Tokens are those of" not in render_page([without])
    stats.instructions.tokens[3] = 1
    assert "Tokens are those of cl100k_base." in render_page([stats])


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
        etree.fromstring(svg)


def test_the_page_runs_no_script_and_loads_nothing(tmp_path: Path) -> None:
    folder = hostile_set(tmp_path / "set")
    (tmp_path / "page.html").write_text(render_page([count(Dataset(str(folder)))]), encoding="utf-8")
    address = (tmp_path / "page.html").as_uri()
    for scheme, ground in (("light", "rgb(255, 255, 255)"), ("dark", "rgb(20, 25, 32)")):
        with browser(color_scheme=scheme) as watched:
            watched.page.goto(address)
            watched.open_and_point()
            assert watched.is_inert(address)
            assert watched.page.evaluate("getComputedStyle(document.body).backgroundColor") == ground
            assert ATTACKS[0] in watched.page.locator("body").inner_text()
