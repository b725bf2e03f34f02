"""Pages of a dataset: searches find rows, and the texts of rows stay text."""

import http.client
import io
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from PIL import Image

from llavamed_data.cli.app import app
from llavamed_data.dataset.reader import Dataset
from llavamed_data.errors import UsageError
from llavamed_data.show import BrowseServer, single_page
from llavamed_data.show.search import RowFilter
from tests.llavamed_data.show.hostile import ATTACKS, browser, hostile_set, rows
from tests.llavamed_data.validation.sets import instruct_row, sound_set, turn, write_set


@contextmanager
def serving(folder: Path) -> Iterator[BrowseServer]:
    with BrowseServer(Dataset(str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server
        finally:
            server.shutdown()


def ask(
    server: BrowseServer, path: str, host: str | None = None
) -> tuple[int, http.client.HTTPMessage, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)
    connection.request("GET", path, headers={"Host": host} if host else {})
    answer = connection.getresponse()
    status, headers, body = answer.status, answer.headers, answer.read()
    connection.close()
    return status, headers, body


def ids(body: bytes) -> list[str]:
    return re.findall(r"<h2>(\S+) <small>", body.decode())


def test_rows_are_found_by_page_words_and_domain(tmp_path: Path) -> None:
    odd = instruct_row(3) | {
        "messages": [turn("user", "Is a Torus there?", image=True), turn("assistant", "Yes.")]
    }
    folder = write_set(
        tmp_path / "set", [odd if number == 3 else instruct_row(number) for number in range(60)]
    )
    with serving(folder) as server:
        assert ids(ask(server, "/")[2]) == [f"{9000 + number}_F1" for number in range(24)]
        assert ids(ask(server, "/?page=3")[2]) == [f"{9000 + number}_F1" for number in range(48, 60)]
        assert ids(ask(server, "/?page=999")[2]) == ids(ask(server, "/?page=3")[2])
        assert ids(ask(server, "/?page=-1&page=x")[2]) == ids(ask(server, "/")[2])
        assert ids(ask(server, "/?domain=mri")[2]) == [f"{9001 + 5 * number}_F1" for number in range(12)]
        assert ids(ask(server, "/?q=TORUS+yes")[2]) == ["9003_F1"]
        assert ids(ask(server, "/?q=torus&domain=mri")[2]) == []
        assert b"12 of 60 rows" in ask(server, "/?domain=mri")[2]


def test_images_are_served_byte_for_byte(tmp_path: Path) -> None:
    given = [instruct_row(number) for number in range(9)]
    with serving(write_set(tmp_path / "set", given)) as server:
        status, headers, body = ask(server, "/image/7/0")
        assert (status, headers["Content-Type"]) == (200, "image/jpeg")
        assert body == given[7]["images"][0]["bytes"]
        for path in (
            "/image/9/0",
            "/image/0/1",
            "/image/0",
            "/image/-1/0",
            "/../set/README.md",
            "/image/0/../..",
        ):
            assert ask(server, path)[0] == 404


def test_an_image_that_browsers_do_not_show_is_served_as_a_jpeg(tmp_path: Path) -> None:
    file = io.BytesIO()
    Image.effect_noise((60, 40), 50).save(file, "TIFF")
    row = instruct_row(0)
    row["images"] = [{"bytes": file.getvalue(), "path": "a.tif"}]
    with serving(write_set(tmp_path / "set", [row])) as server:
        status, headers, body = ask(server, "/image/0/0")
        assert (status, headers["Content-Type"]) == (200, "image/jpeg")
        assert Image.open(io.BytesIO(body)).size == (60, 40)


def test_only_this_machine_is_answered(tmp_path: Path) -> None:
    with serving(sound_set(tmp_path / "set")) as server:
        assert server.server_address[0] == "127.0.0.1"
        assert ask(server, "/", f"localhost:{server.server_port}")[0] == 200
        for host in ("evil.example", f"evil.example:{server.server_port}", "127.0.0.1"):
            assert ask(server, "/", host)[0] == 403


def test_markup_in_place_of_an_image_is_not_served(tmp_path: Path) -> None:
    with serving(hostile_set(tmp_path / "set")) as server:
        for number in (0, 1):
            assert ask(server, f"/image/{number}/0")[0] == 404
        _, headers, _ = ask(server, "/image/2/0")
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Content-Security-Policy"].startswith("default-src 'none'")


class Elements(HTMLParser):
    """Which elements a page has, which attributes they have, and the text of scripts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.addresses: set[str] = set()
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes.update(name for name, _ in attrs)
        self.addresses.update(value or "" for name, value in attrs if name in ("src", "href", "action"))


OURS = {
    *("html", "head", "meta", "link", "title", "style", "body", "header", "main", "nav", "article"),
    *("div", "h1", "h2", "span", "small", "p", "dl", "dt", "dd", "details", "summary", "a", "img"),
    *("form", "input", "select", "option", "button"),
}


def test_a_hostile_row_adds_no_element_and_no_attribute(tmp_path: Path) -> None:
    folder = hostile_set(tmp_path / "set")
    with serving(folder) as server:
        served = [
            ask(server, f"/?q={quote(attack)}&domain={quote(attack)}")[2].decode() for attack in ATTACKS
        ]
    for text in (*served, single_page(Dataset(str(folder)), RowFilter(), limit=50)):
        page = Elements(text)
        assert page.tags - OURS <= {"script"}
        assert not [name for name in page.attributes if name.startswith("on") or name in ("srcdoc", "style")]
        assert all(address.startswith(("data:", "/image/", "/?", "/")) for address in page.addresses)
        assert not any(address.startswith("//") for address in page.addresses)
        assert text.count("<script") == ("script" in page.tags)


@pytest.mark.parametrize("served", [True, False])
def test_no_script_of_a_hostile_row_runs_in_chromium(tmp_path: Path, served: bool) -> None:
    folder = hostile_set(tmp_path / "set")
    with serving(folder) as server, browser() as watched:
        if served:
            address = server.address
        else:
            (tmp_path / "page.html").write_text(
                single_page(Dataset(str(folder)), RowFilter(), limit=50), "utf-8"
            )
            address = (tmp_path / "page.html").as_uri()
        watched.page.goto(address)
        watched.open_and_point()
        assert watched.is_inert(address)
        assert watched.page.locator("article").count() == len(ATTACKS)
        shown = watched.page.locator("article dd").first.inner_text()
        assert shown == ATTACKS[0]
        if served:
            watched.page.goto(f"{address}?q={quote(ATTACKS[2])}")
            watched.open_and_point()
            assert watched.is_inert(address)
            assert watched.page.locator("article").count() == 1


def test_the_single_page_searches_and_turns_pages_by_itself(tmp_path: Path) -> None:
    folder = write_set(tmp_path / "set", [instruct_row(number) for number in range(40)])
    (tmp_path / "page.html").write_text(single_page(Dataset(str(folder)), RowFilter(), limit=30), "utf-8")
    with browser() as watched:
        page = watched.page
        page.goto((tmp_path / "page.html").as_uri())
        assert "the first 30 here" in page.locator("#found").inner_text()
        assert page.locator("article:visible").count() == 24
        page.click("#next")
        assert page.locator("article:visible").count() == 6
        page.fill("#words", "9002_F1 NOISE")
        assert page.locator("article:visible h2").all_inner_texts() == [
            "9002_F1 histology · Figure 1 · PMC5002 · CC BY"
        ]
        page.fill("#words", "")
        page.select_option("#domain", "mri")
        assert page.locator("article:visible").count() == 6
        assert (
            page.locator("article:visible img").first.evaluate(
                "(each) => each.decode().then(() => each.naturalWidth)"
            )
            == 64
        )


@pytest.mark.parametrize("served", [True, False])
def test_every_row_shows_its_picture_in_chromium(tmp_path: Path, served: bool) -> None:
    folder = write_set(tmp_path / "set", [instruct_row(number) for number in range(5)])
    with serving(folder) as server, browser() as watched:
        watched.page.goto(server.address if served else page_of(folder, tmp_path))
        assert watched.page.locator("article").count() == 5
        assert widths_of_pictures(watched.page) == [64] * 5
        assert watched.page.locator("text=no image").count() == 0


def test_a_row_without_picture_says_so_and_several_pictures_are_all_shown(tmp_path: Path) -> None:
    two, none = instruct_row(0), instruct_row(1)
    two["images"] = [*two["images"], *instruct_row(2)["images"]]
    none["images"] = []
    folder = write_set(tmp_path / "set", [two, none])
    with serving(folder) as server, browser() as watched:
        for address in (server.address, page_of(folder, tmp_path)):
            watched.page.goto(address)
            assert widths_of_pictures(watched.page) == [64, 64]
            assert watched.page.locator("article >> nth=1 >> .pictures").inner_text() == "no image"


@pytest.mark.parametrize("served", [True, False])
@pytest.mark.parametrize("width", [320, 390, 768])
def test_on_a_phone_nothing_scrolls_sideways_and_search_is_on_the_screen(
    tmp_path: Path, served: bool, width: int
) -> None:
    long = instruct_row(0) | {"id": "x" * 200, "domain": "a_domain_of_a_very_long_name_that_is_not_ours"}
    long["messages"] = [turn("user", "y" * 300, image=True), turn("assistant", "z" * 300)]
    folder = write_set(tmp_path / ("a-set-with-a-long-name-" * 4), [long, *map(instruct_row, range(1, 4))])
    viewport = {"width": width, "height": 844}
    with serving(folder) as server, browser(viewport=viewport, is_mobile=True, has_touch=True) as watched:
        page = watched.page
        page.goto(server.address if served else page_of(folder, tmp_path))
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        for name in ("button:has-text('Search')", "#words", "#domain"):
            box = page.locator(name).first.bounding_box()
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= width
            assert box["y"] + box["height"] <= 844


def page_of(folder: Path, beside: Path) -> str:
    """The address of a page that `browse --out` writes."""
    page = beside / "page.html"
    app(["browse", str(folder), "--out", str(page)], standalone_mode=False)
    return page.as_uri()


def widths_of_pictures(page: Any) -> list[int]:
    """How wide each picture of the page is in itself; 0 for one that the browser could not show."""
    return page.locator("article img").evaluate_all(
        "images => Promise.all(images.map(async each => {"
        " each.loading = 'eager'; await each.decode().catch(() => {}); return each.naturalWidth }))"
    )


def test_a_busy_port_is_named_with_what_to_do(tmp_path: Path) -> None:
    folder = sound_set(tmp_path / "set")
    with serving(folder) as server:
        command = [
            sys.executable,
            "-m",
            "llavamed_data",
            "browse",
            str(folder),
            "--port",
            str(server.server_port),
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert done.stderr == (
        f"error: port {server.server_port} is in use by another program: give another --port, or leave it out for "
        "a free one\n"
    )


def test_a_page_named_like_a_folder_is_refused(tmp_path: Path) -> None:
    folder = sound_set(tmp_path / "set")
    with pytest.raises(UsageError, match="is a folder: name the file to write, such as .*page.html"):
        app(["browse", str(folder), "--out", str(tmp_path)], standalone_mode=False)


def test_a_row_that_is_not_there_is_told_with_the_dataset_as_it_was_given(tmp_path: Path) -> None:
    folder = sound_set(tmp_path / "llava-med" / "set")
    with pytest.raises(UsageError, match=rf"^set has no row nope: browse {folder} shows the ids"):
        app(["show", str(folder), "nope"], standalone_mode=False)


def test_every_attack_is_in_the_set() -> None:
    assert len(rows()) == len(ATTACKS)
