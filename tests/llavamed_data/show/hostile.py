"""A dataset whose texts try to be markup, scripts or terminal codes, and a browser in which they would run."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from tests.llavamed_data.validation.sets import instruct_row, jpeg, turn, write_set

ATTACKS = [
    "<script>window.pwned = 1; alert(1)</script>",
    "</script><script>window.pwned = 1</script>",
    "</style></title></textarea></svg><img src=x onerror='window.pwned = 1'>",
    "<svg onload=window.pwned=1><animate onbegin=window.pwned=1></svg>",
    "\"><img src='http://192.0.2.1/beacon' onerror=window.pwned=1>",
    "' onmouseover='window.pwned=1' x='",
    "javascript:window.pwned=1",
    "<iframe srcdoc='<script>parent.pwned=1</script>'></iframe><base href='http://192.0.2.1/'>",
    "<link rel=stylesheet href='http://192.0.2.1/x.css'><meta http-equiv=refresh content='0;url=http://192.0.2.1/'>",
    "{{ 7 * 7 }}{% raw %} ${7*7} <%= 7*7 %>",
    "---\nlicense: mit\n---\n# A card",
    "\x1b]0;owned\x07\x1b[2J\x1b[31m\x1b]8;;http://192.0.2.1\x1b\\click\x1b]8;;\x1b\\\x9b31m",
    "a\u202eb\u2066c\u200bd\ufeff",
    "| a | b |\n[link](http://192.0.2.1) ![](http://192.0.2.1/x.png) [bold]x[/bold] [link=http://192.0.2.1]y[/link]",
    '=HYPERLINK("http://192.0.2.1")',
]

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def rows() -> list[dict[str, Any]]:
    made = []
    for number, attack in enumerate(ATTACKS):
        fields = dict.fromkeys(("caption", "figure_label", "license", "domain"), attack)
        made.append(
            instruct_row(number)
            | fields
            | {
                "id": f"{number}{attack}",
                "inline_mentions": [attack],
                "pmcid": attack,
                "messages": [
                    turn("user", attack, image=True),
                    turn(attack, attack),
                    turn("assistant", attack),
                ],
                "images": [{"bytes": jpeg(number), "path": attack}],
                "provenance": dict.fromkeys(instruct_row(0)["provenance"], attack),
            }
        )
    markup = b"<svg xmlns='http://www.w3.org/2000/svg' onload='window.pwned=1'><script>window.pwned=1</script></svg>"
    made[0]["images"] = [{"bytes": markup, "path": "x.svg"}]
    made[1]["images"] = [{"bytes": b"<html><script>parent.pwned=1</script>", "path": "x.html"}]
    return made


def hostile_set(folder: Path) -> Path:
    write_set(folder, rows())
    (folder / "README.md").write_text(
        "\n".join(
            [
                "| step | in | kept | dropped |",
                "| --- | ---: | ---: | --- |",
                *(f"| {' '.join(attack.split()).replace('|', '')} | 1 | 1 | x |" for attack in ATTACKS),
                "",
                "| cleaning rule | rounds touched |",
                "| --- | ---: |",
                *(
                    f"| {' '.join(attack.split()).replace('|', '')} | 99999999999999999999 |"
                    for attack in ATTACKS
                ),
            ]
        )
    )
    return folder


class WatchedPage:
    """A page in a browser with a record of what it requested and which dialogs it opened."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.requests: list[str] = []
        self.dialogs: list[str] = []
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("dialog", lambda dialog: (self.dialogs.append(dialog.message), dialog.dismiss()))

    def open_and_point(self) -> None:
        """Opens every folded part, moves the pointer over the page, and waits."""
        self.page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true })")
        for place in ((60, 200), (300, 400), (600, 600)):
            self.page.mouse.move(*place)
        self.page.wait_for_timeout(200)

    def is_inert(self, *allowed: str) -> bool:
        """Whether no script of the data ran, no dialog opened and nothing was requested but what is `allowed`."""
        requested = [url for url in self.requests if not url.startswith((*allowed, "data:"))]
        return not requested and not self.dialogs and self.page.evaluate("window.pwned === undefined")


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


@contextmanager
def browser(**page: Any) -> Iterator[WatchedPage]:
    """A page in headless Chromium; the test is skipped where there is none."""
    playwright = pytest.importorskip("playwright.sync_api", reason="needs the package playwright")
    if CHROMIUM is None:
        pytest.skip("needs Chromium (apt-get install chromium)")
    flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with playwright.sync_playwright() as running:
        opened = running.chromium.launch(executable_path=CHROMIUM, args=flags)
        try:
            yield WatchedPage(opened.new_context(**page).new_page())
        finally:
            opened.close()
