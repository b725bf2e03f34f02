"""The review page in a real browser: every action by mouse and by keys alone, on a phone and a desk, light and dark."""

import io
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image
from starlette.applications import Starlette
from starlette.testclient import TestClient

from llavamed_data.dataset.reader import Dataset
from llavamed_data.pages import PASSWORD
from llavamed_data.review import DecisionFile, DecisionKind
from llavamed_data.review.filters import ReviewFilter
from llavamed_data.review.flags import Flag
from llavamed_data.review.page import serve_review
from llavamed_data.review.pictures import Pictures
from llavamed_data.review.rendering import render_row
from llavamed_data.review.review_set import ReviewSet
from tests.llavamed_data.pages.browsing import (
    LOOKS,
    SIZES,
    console_errors,
    expect,
    scrolls_sideways,
    serious_faults,
)
from tests.llavamed_data.show.hostile import ATTACKS, Elements, WatchedPage, browser, hostile_set
from tests.llavamed_data.validation.sets import instruct_row, turn, write_set

NAMES = [f"{9000 + number}_F1" for number in range(12)]
REASON = "#reason input, #reason textarea"


class Reader:
    """Someone at the page."""

    def __init__(self, watched: WatchedPage, address: str) -> None:
        self.watched, self.page, self.address = watched, watched.page, address
        self.errors = console_errors(self.page)

    def open(self) -> None:
        self.page.goto(self.address)
        self.page.locator(".review-row, .none").first.wait_for()

    def at(self, name: str) -> None:
        """Waits until the row of this id is shown."""
        self.page.locator(f'.review-row[aria-label="row {name}"]').wait_for()

    def said(self, words: str) -> None:
        """Waits until the line of the page says these words."""
        self.page.locator("#status", has_text=words).wait_for()

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def type_in(self, text: str) -> None:
        self.page.keyboard.type(text)

    def choose_from(self, field: str, value: str) -> None:
        """Types a choice into a list of choices that has the focus, and takes it when the list shows no other kind."""
        self.press("Control+a")
        self.type_in(value)
        self.page.wait_for_function(
            """([field, value]) => {
              const left = [...document.querySelectorAll(`#${field} ul li`)];
              return left.length && left.every((each) => each.innerText.includes(value));
            }""",
            arg=[field, value],
        )
        self.press("Enter")
        self.page.locator(f"#{field} ul").wait_for(state="detached")

    def text_is_open(self, text: str) -> Any:
        """Waits until this text of a turn can be edited, and returns its box."""
        box = self.page.locator("#text textarea")
        expect(box).to_be_visible()
        expect(box).to_have_value(text)
        self.page.wait_for_function("document.activeElement.closest('#text')")
        return box

    def shown_turns(self) -> list[str]:
        found: list[str] = self.page.locator(".turn > .text").all_inner_texts()
        return found


Open = Callable[..., Any]


def replace_rows(folder: Path, rows: list[dict[str, Any]]) -> None:
    """Puts other files in the place of those of a dataset."""
    new = folder.parent / f"replacing-{len(rows)}"
    write_set(new, rows)
    for path in (new / "data").iterdir():
        path.replace(folder / "data" / path.name)


@contextmanager
def reviewing(
    folder: Path, decisions: Path, size: str = "desk", scheme: str = "light", **more: Any
) -> Iterator[Reader]:
    width, height = SIZES[size]
    name = more.pop("reviewer", "anna")
    server = serve_review(ReviewSet(str(folder), decisions, **more), name)
    try:
        with browser(viewport={"width": width, "height": height}, color_scheme=scheme) as watched:
            reader = Reader(watched, server.address)
            reader.open()
            yield reader
            assert reader.errors == []
            assert watched.is_inert(server.address)
    finally:
        server.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_set(tmp_path_factory.mktemp("sets") / "set", [instruct_row(number) for number in range(12)])


def kinds(decisions: Path) -> list[tuple[str, str]]:
    return [(str(each.kind), each.id) for each in DecisionFile(decisions).decisions]


@pytest.mark.parametrize(("size", "scheme"), LOOKS)
def test_every_action_by_keyboard_alone(folder: Path, tmp_path: Path, size: str, scheme: str) -> None:
    decisions = tmp_path / "decisions.jsonl"
    with reviewing(folder, decisions, size, scheme) as reader:
        reader.at(NAMES[0])
        picture = reader.page.locator(".review-row img")
        expect(picture).to_have_js_property("naturalWidth", 64)
        assert serious_faults(reader.page) == []
        assert not scrolls_sideways(reader.page)
        reader.press("a")
        reader.at(NAMES[1])
        reader.said(f"{NAMES[0]}: accepted")
        reader.press("r")
        reader.type_in("wrong organ")
        reader.press("Enter")
        reader.at(NAMES[2])
        reader.press("2")
        box = reader.text_is_open("A synthetic phantom.")
        reader.press("Control+a")
        reader.type_in("A phantom, 胸部.")
        assert serious_faults(reader.page) == []
        reader.press("Control+Enter")
        reader.said("turn 2 edited")
        expect(reader.page.locator(".turn > .text").nth(1)).to_have_text("A phantom, 胸部.")
        box.wait_for(state="hidden")
        reader.press("2")
        reader.text_is_open("A phantom, 胸部.")
        reader.press("Control+Enter")
        reader.said("the text is as it was")
        box.wait_for(state="hidden")
        reader.press("d", "3")
        reader.said("round deleted")
        expect(reader.page.locator(".turn.deleted")).to_have_count(2)
        reader.press("u")
        reader.said("undone")
        expect(reader.page.locator(".turn.deleted")).to_have_count(0)
        reader.press("g")
        reader.choose_from("domain", "gross")
        reader.said("domain: gross")
        reader.press("Escape", "m")
        reader.type_in("ask the radiologist")
        reader.press("Enter")
        reader.said("note kept")
        reader.press("Escape", "j")
        reader.at(NAMES[3])
        reader.press("k")
        reader.at(NAMES[2])
        expect(reader.page.locator(".review-row")).to_contain_text("anna: ask the radiologist")
        expect(picture).to_have_js_property("naturalWidth", 64)
        reader.press("z")
        zoomed = reader.page.locator("dialog.review-zoom img")
        expect(zoomed).to_have_js_property("naturalWidth", 64)
        assert zoomed.evaluate("(each) => [each.width, each.height]") == [256, 192]
        reader.press("+")
        assert zoomed.evaluate("(each) => [each.width, each.height]") == [384, 288]
        reader.press("-", "-")
        assert zoomed.evaluate("(each) => each.width") == 171
        reader.press("Escape")
        zoomed.wait_for(state="detached")
        reader.press("i")
        reader.type_in(NAMES[7])
        reader.press("Enter")
        reader.at(NAMES[7])
        assert serious_faults(reader.page) == []
        assert not scrolls_sideways(reader.page)
        reader.page.screenshot(path=tmp_path / f"review-{size}-{scheme}.png", full_page=True)
    assert kinds(decisions) == [
        ("accept", NAMES[0]),
        ("reject", NAMES[1]),
        *((kind, NAMES[2]) for kind in ("edit", "delete", "undo", "domain", "note")),
    ]


def test_the_same_by_mouse(folder: Path, tmp_path: Path) -> None:
    decisions = tmp_path / "decisions.jsonl"
    with reviewing(folder, decisions) as reader:
        click = reader.page.click
        click("#accept")
        reader.at(NAMES[1])
        reader.page.fill("#reason input, #reason textarea", "blurred")
        click("#reject")
        reader.at(NAMES[2])
        expect(reader.page.locator("#reason input, #reason textarea")).to_have_value("")
        click('[data-do="edit"][data-turn="3"]')
        reader.text_is_open("No, it is noise.").fill("Noise.")
        click("#save")
        reader.said("turn 4 edited")
        reader.page.locator("#text").wait_for(state="hidden")
        click('[data-do="edit"][data-turn="1"]')
        reader.text_is_open("A synthetic phantom.")
        click("#cancel")
        reader.page.locator("#text").wait_for(state="hidden")
        click('[data-do="delete"][data-turn="0"]')
        reader.said("round deleted")
        click("#undo")
        reader.said("undone")
        click("#next")
        reader.at(NAMES[3])
        click("#previous")
        reader.at(NAMES[2])
        expect(reader.page.locator(".review-row img")).to_have_js_property("naturalWidth", 64)
        click(".zoom")
        click("dialog.review-zoom")
        reader.page.locator("dialog.review-zoom").wait_for(state="detached")
    assert [kind for kind, _ in kinds(decisions)] == ["accept", "reject", "edit", "delete", "undo"]


def test_a_reload_a_second_tab_and_a_second_reviewer_lose_nothing(folder: Path, tmp_path: Path) -> None:
    decisions = tmp_path / "decisions.jsonl"
    with reviewing(folder, decisions) as reader:
        reader.press("a")
        reader.at(NAMES[1])
        reader.open()
        reader.at(NAMES[1])  # the first without a verdict
        other = reader.page.context.browser.new_page()
        other.goto(reader.address)
        other.locator(f'.review-row[aria-label="row {NAMES[1]}"]').wait_for()
        DecisionFile(decisions).decide(
            Dataset(str(folder)).row(2),
            DecisionKind.REJECT,
            reviewer="bert",
            dataset="set",
            reason="by another program",
        )
        reader.press("a")
        reader.at(NAMES[2])
        assert "rejected: by another program" in reader.page.locator(".review-row").inner_text()
        other.keyboard.press("a")
        other.locator(f'.review-row[aria-label="row {NAMES[2]}"]').wait_for()
        assert reader.page.locator("#status").inner_text().count("3 of 12 rows decided") == 1
    assert kinds(decisions) == [("accept", NAMES[0]), ("reject", NAMES[2]), ("accept", NAMES[1])]


def test_what_cannot_be_kept_is_said_and_the_page_goes_on(folder: Path, tmp_path: Path) -> None:
    decisions = tmp_path / "decisions.jsonl"
    with reviewing(folder, decisions) as reader:
        reader.page.click("#reject")
        reader.said("the reason is empty: write it first")
        assert "<" not in reader.page.locator("#status").inner_text()
        reader.at(NAMES[0])
        reader.press("Escape", "2")
        reader.text_is_open("A synthetic phantom.").fill("an <image>")
        reader.page.click("#save")
        reader.said("no text may hold <image>")
        expect(reader.page.locator("#text textarea")).to_have_value("an <image>")
        reader.page.click("#cancel")
        reader.page.locator("#text").wait_for(state="hidden")
        reader.page.click("#undo")
        reader.said("has decided nothing")
        decisions.unlink(missing_ok=True)
        decisions.mkdir()
        reader.page.click("#accept")
        reader.said("cannot be read: it is a folder")
        decisions.rmdir()
        reader.page.click("#accept")
        reader.at(NAMES[1])
    assert kinds(decisions) == [("accept", NAMES[0])]


def test_a_dataset_that_changes_under_the_page_is_read_again(tmp_path: Path) -> None:
    rows = [instruct_row(number) for number in range(4)]
    folder, decisions = write_set(tmp_path / "set", rows), tmp_path / "decisions.jsonl"
    with reviewing(folder, decisions) as reader:
        reader.at(NAMES[0])
        write_set(tmp_path / "new", rows[::-1])
        for path in sorted((tmp_path / "new" / "data").iterdir()):
            path.replace(folder / "data" / path.name)
        reader.press("a")  # what is shown is no longer the first row of the files
        reader.said("the dataset has changed meanwhile")
        assert not decisions.exists()
        reader.press("j")
        reader.said("this is the last row")
    with reviewing(folder, decisions) as reader:
        reader.at(NAMES[3])


def test_rows_are_chosen_by_domain_flag_state_words_and_at_random(folder: Path, tmp_path: Path) -> None:
    flags = {
        NAMES[3]: [Flag(NAMES[3], 1, "cleaning", "opening", "it began oddly")],
        NAMES[4]: [Flag(NAMES[4], None, "judge", "2", "poor")],
        "elsewhere": [Flag("elsewhere", None, "judge", "9", "")],
    }
    review = ReviewSet(str(folder), tmp_path / "decisions.jsonl", flags=flags)
    assert review.flag_names() == ["cleaning", "cleaning: opening", "judge", "judge: 2"]
    assert review.problems() == ["flags about 1 id that this dataset does not have are not shown"]
    with reviewing(folder, tmp_path / "decisions.jsonl", flags=flags) as reader:
        page = reader.page
        reader.press("/")
        reader.type_in("9005_F1 noise")
        reader.press("Enter")
        reader.at(NAMES[5])
        reader.said("row 1 of 1 chosen")
        page.fill("#words input, #words textarea", "")
        page.click("#filters button")
        page.click("#flag input")
        reader.choose_from("flag", "cleaning")
        page.click("#apply")
        reader.at(NAMES[3])
        assert "cleaning: opening it began oddly" in page.locator(".turn .flag").inner_text()
        page.click("#flag input")
        reader.choose_from("flag", "any")
        page.click("#in-domain input")
        reader.choose_from("in-domain", "gross")
        page.click("#apply")
        reader.said("row 1 of 2 chosen")
        page.fill("#words input, #words textarea", "nothing like this")
        page.click("#apply")
        page.locator("text=No row is like this").wait_for()
        assert serious_faults(page) == []


def test_rows_are_chosen_by_keyboard_alone(folder: Path, tmp_path: Path) -> None:
    decisions = tmp_path / "decisions.jsonl"
    flags = {
        NAMES[6]: [
            Flag(NAMES[6], 1, "cleaning", "opening", "it began oddly"),
            Flag(NAMES[6], 3, "cleaning", "length", "it is long"),
        ],
        NAMES[7]: [Flag(NAMES[7], 1, "cleaning", "length", "it is long")],
    }
    with reviewing(folder, decisions, flags=flags) as reader:
        reader.press("a", "r")
        reader.at(NAMES[1])
        reader.type_in("blurred")
        reader.press("Enter")
        reader.at(NAMES[2])
        reader.said("all: 2 of 12 rows decided, 50% rejected (95 % interval 9% to 91%)")

        def choose(**values: str) -> None:
            reader.press("Escape", "f")
            reader.page.wait_for_function("document.activeElement.closest('#in-domain')")
            plain = {"in-domain": "any", "state": "all", "flag": "any", "sample": "0", "seed": "0"}
            for name, value in (plain | values).items():
                reader.page.wait_for_function(f"document.activeElement.closest('#{name}')")
                if name in ("in-domain", "state", "flag"):
                    reader.choose_from(name, value)
                else:
                    reader.press("Control+a")
                    reader.type_in(value)
                reader.page.wait_for_function(
                    "([name, value]) => document.querySelector(`#${name} input`).value === value",
                    arg=[name, value],
                )
                reader.press("Tab")
            reader.page.wait_for_function("document.activeElement.id === 'apply'")
            reader.press("Enter")

        choose(state="rejected")
        reader.at(NAMES[1])
        reader.said("row 1 of 1 chosen")
        choose(flag="cleaning: length")
        reader.at(NAMES[6])
        reader.said("row 1 of 2 chosen")
        choose(flag="cleaning: opening", **{"in-domain": "mri"})
        reader.at(NAMES[6])
        reader.said("row 1 of 1 chosen")
        drawn = ReviewSet(str(folder), decisions).find(ReviewFilter(sample=3, seed=5))
        choose(sample="3", seed="5")
        for number in drawn:
            reader.at(NAMES[number])
            reader.press("Escape", "j")
        reader.said("row 3 of 3 chosen")
        reader.said("this is the last row")


def test_rows_that_a_reviewer_has_not_decided_are_chosen_by_the_reviewers_name(
    folder: Path, tmp_path: Path
) -> None:
    decisions, rows = tmp_path / "decisions.jsonl", Dataset(str(folder))
    for number, name in ((0, "bert"), (1, "anna"), (2, "anna"), (2, "bert")):
        DecisionFile(decisions).decide(rows.row(number), DecisionKind.ACCEPT, reviewer=name, dataset="set")
    with reviewing(folder, decisions) as reader:
        reader.at(NAMES[3])  # the first that nobody has decided
        reader.page.click("#filters button")
        reader.page.locator("#state input").fill("undecided by me")
        reader.page.locator("#state input").press("Enter")
        reader.page.click("#apply")
        reader.at(NAMES[0])
        reader.said("row 1 of 10 chosen")
        reader.page.click("#next")
        reader.at(NAMES[3])


def test_presses_before_the_answer_decide_nothing_and_are_told(folder: Path, tmp_path: Path) -> None:
    decisions = tmp_path / "decisions.jsonl"
    press = "document.body.dispatchEvent(new KeyboardEvent('keydown', { key: 'a', bubbles: true }))"
    with reviewing(folder, decisions) as reader:
        reader.at(NAMES[0])
        reader.page.evaluate(f"() => {{ {press}; {press}; {press}; }}")  # no answer comes in between
        reader.at(NAMES[1])
        reader.said("2 presses were ignored, as they came before the answer to the one before")
        reader.press("a")
        reader.at(NAMES[2])
        assert "ignored" not in reader.page.locator("#status").inner_text()
    assert kinds(decisions) == [("accept", NAMES[0]), ("accept", NAMES[1])]


def test_all_that_is_known_of_a_row_is_shown(folder: Path, tmp_path: Path) -> None:
    with reviewing(folder, tmp_path / "decisions.jsonl") as reader:
        row = reader.page.locator(".review-row")
        text = row.inner_text()
        for words in (
            "A phantom made of noise.",
            "Noise is shown in Fig. 1.",
            "chest_xray",
            "CC BY",
            "Figure 1",
        ):
            assert words in text
        assert reader.shown_turns() == [
            "What does the image show?",
            "A synthetic phantom.",
            "Is it a person?",
            "No, it is noise.",
        ]
        link = row.locator("a")
        assert link.get_attribute("href") == "https://pmc.ncbi.nlm.nih.gov/articles/PMC5000/"
        assert set(str(link.get_attribute("rel")).split()) == {"noopener", "noreferrer"}
        assert "For research only" in reader.page.locator(".research-only").inner_text()


@pytest.mark.parametrize("size", SIZES)
def test_a_row_can_be_decided_about_wherever_the_page_is_scrolled(
    folder: Path, tmp_path: Path, size: str
) -> None:
    with reviewing(folder, tmp_path / "decisions.jsonl", size) as reader:
        for place in (0, 200):
            reader.page.evaluate(f"window.scrollTo(0, {place})")
            for name in ("accept", "reject", "previous", "undo", "next"):
                box = reader.page.locator(f"#{name}").bounding_box()
                assert 0 <= box["y"] <= SIZES[size][1] - box["height"]


def test_two_reviewers_at_one_page_are_told_where_they_disagree(folder: Path, tmp_path: Path) -> None:
    decisions = tmp_path / "decisions.jsonl"
    with reviewing(folder, decisions) as reader:
        other = reader.page.context.browser.new_page()
        other.goto(reader.address)
        other.locator(".review-row").wait_for()
        other.fill("#reviewer input, #reviewer textarea", "bert")
        reader.press("a")
        reader.at(NAMES[1])
        other.fill("#reason input, #reason textarea", "blurred")
        other.click("#reject")
        other.locator(f'.review-row[aria-label="row {NAMES[1]}"]').wait_for()
        reader.press("k")
        reader.at(NAMES[0])
        assert "reviewers disagree" in reader.page.locator(".marks").inner_text()
        assert "rejected: blurred" in reader.page.locator(".marks").inner_text()
        reader.press("u")
        reader.said("undone")  # anna's own, not bert's
        assert "rejected: blurred" in reader.page.locator(".marks").inner_text()
    assert [each.reviewer for each in DecisionFile(decisions).decisions] == ["anna", "bert", "anna"]


def test_texts_of_a_hostile_row_are_shown_as_text_and_run_nothing(tmp_path: Path) -> None:
    folder = hostile_set(tmp_path / "set")
    first = Dataset(str(folder)).row(0)
    attacks = ATTACKS[0] + ATTACKS[2]
    flags = {first["id"]: [Flag(first["id"], 0, attacks, attacks, attacks)]}
    decisions = tmp_path / "decisions.jsonl"
    DecisionFile(decisions).decide(first, DecisionKind.NOTE, reviewer=attacks, dataset=attacks, text=attacks)
    with reviewing(folder, decisions, flags=flags, reviewer="anna") as reader:
        for number, attack in enumerate(ATTACKS):
            reader.page.locator(f'.review-row[data-number="{number}"]').wait_for()
            reader.watched.open_and_point()
            if attack.isprintable():
                assert reader.shown_turns()[0] == attack
            assert not scrolls_sideways(reader.page)
            assert reader.watched.is_inert(reader.address)
            if number < len(ATTACKS) - 1:
                reader.press("j")


def test_long_words_right_to_left_and_chinese_fit_a_phone(tmp_path: Path) -> None:
    texts = [
        "x" * 3000,
        "صورة الأشعة السينية للصدر",
        "这张胸部X光片显示了什么？",
        "# Not a heading\n**not bold**",
    ]
    row = instruct_row(0) | {
        "messages": [turn(("user", "assistant")[n % 2], text, image=n == 0) for n, text in enumerate(texts)],
        "caption": "ن" * 500,
        "id": "i" * 200,
    }
    with reviewing(write_set(tmp_path / "set", [row], shards=1), tmp_path / "d.jsonl", "phone") as reader:
        assert reader.shown_turns() == texts
        assert not scrolls_sideways(reader.page)
        assert serious_faults(reader.page) == []


def test_an_image_that_browsers_do_not_show_is_shown_as_a_jpeg_and_markup_not_at_all(tmp_path: Path) -> None:
    row, file = instruct_row(0), io.BytesIO()
    Image.effect_noise((60, 40), 50).save(file, "TIFF")
    row["images"] = [
        {"bytes": file.getvalue(), "path": "a.tif"},
        {"bytes": b"<svg onload='x'/>", "path": "a.jpg"},
    ]
    with reviewing(write_set(tmp_path / "set", [row], shards=1), tmp_path / "d.jsonl") as reader:
        picture = reader.page.locator(".review-row img")
        expect(picture).to_have_js_property("naturalWidth", 60)
        expect(picture).to_have_js_property("naturalHeight", 40)
        assert reader.page.locator("text=a picture that cannot be shown").count() == 1
        given = httpx.get(f"{reader.address}{picture.get_attribute('src')}", timeout=30)
        assert given.headers["content-type"] == "image/jpeg"
        assert Image.open(io.BytesIO(given.content)).format == "JPEG"


def test_a_picture_is_given_to_who_was_shown_its_row_and_as_it_was_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [instruct_row(number) for number in range(3)]
    folder = write_set(tmp_path / "set", rows, shards=1)
    review = ReviewSet(str(folder), tmp_path / "d.jsonl")
    monkeypatch.setenv(PASSWORD, "a word")
    server = serve_review(review, "anna")
    try:
        with httpx.Client(base_url=server.address, timeout=30) as reader:
            reader.post("/login", data={"username": "anna", "password": "a word"})
            config = reader.get("/config").json()
            load = next(
                each["id"]
                for each in config["dependencies"]
                if any(name == "load" for _, name in each["targets"])
            )
            asked = {"data": ["anna"], "fn_index": load, "session_hash": "anna"}
            shown = Elements(reader.post("/gradio_api/run/predict", json=asked).json()["data"][1])
        (address,) = (each for each in shown.addresses if each.startswith("pictures/"))
        given = httpx.get(f"{server.address}{address}", timeout=30)
        assert given.content == rows[0]["images"][0]["bytes"]
        assert given.headers["content-type"] == "image/jpeg"
        assert given.headers["x-content-type-options"] == "nosniff"
        _, secret, digest, number, place = address.split("/")
        for other in (
            f"pictures/{'x' * len(secret)}/{digest}/{number}/{place}",
            f"pictures/{secret}/{digest}/1/0",  # another row's picture
            f"pictures/{secret}/{digest}/0/1",
            f"pictures/{secret}/{digest}/99/0",
            f"pictures/{secret}/../../{number}/{place}",
            f"pictures/{secret}/{digest}/{number}/-1",
        ):
            url = httpx.URL(server.address).copy_with(raw_path=b"/" + other.encode())
            assert httpx.get(url, timeout=30).status_code == 404, other
        other_host = {"Host": "evil.example"}
        assert httpx.get(f"{server.address}{address}", headers=other_host, timeout=30).status_code == 403
    finally:
        server.close()


def test_pictures_that_are_kept_take_bounded_memory_and_are_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [instruct_row(number) for number in range(20)]
    size = max(len(row["images"][0]["bytes"]) for row in rows)
    monkeypatch.setattr("llavamed_data.review.pictures._MOST_KEPT_BYTES", 3 * size)
    folder = write_set(tmp_path / "set", rows, shards=1)
    review = ReviewSet(str(folder), tmp_path / "d.jsonl")
    pictures = Pictures(review)
    client = TestClient(Starlette(routes=[pictures.route()]))
    addresses = [pictures.addresses(review.view(number))[0] for number in range(20)]
    for number, address in enumerate(addresses):
        assert client.get(f"/{address}").content == rows[number]["images"][0]["bytes"]
    write_set(tmp_path / "new", [row | {"images": rows[0]["images"]} for row in rows], shards=1)
    for path in (tmp_path / "new" / "data").iterdir():
        path.replace(folder / "data" / path.name)
    assert (
        client.get(f"/{addresses[3]}").status_code == 404
    )  # it is no longer kept, and not in the dataset any more


def test_a_hostile_row_adds_no_element_and_no_attribute(tmp_path: Path) -> None:
    plain = ReviewSet(str(write_set(tmp_path / "plain", [instruct_row(0)], shards=1)), tmp_path / "d.jsonl")
    review = ReviewSet(str(hostile_set(tmp_path / "set")), tmp_path / "d.jsonl")
    ours = Elements(render_row(plain.view(0), Pictures(plain).addresses(plain.view(0))))
    pictures = Pictures(review)
    for number in range(len(ATTACKS)):
        view = review.view(number)
        found = Elements(render_row(view, pictures.addresses(view)))
        assert found.tags <= ours.tags
        assert found.attributes <= ours.attributes
        assert found.addresses <= set(pictures.addresses(view))


@pytest.fixture
def two_sets(tmp_path: Path) -> tuple[Path, Path]:
    ours = [instruct_row(number) for number in range(6)]
    theirs = [
        instruct_row(number)
        | {
            "messages": [
                turn("user", "What does the image show?", image=True),
                turn("assistant", "The other."),
            ]
        }
        for number in range(1, 8)
    ]
    return write_set(tmp_path / "a", ours), write_set(tmp_path / "b", theirs)


@pytest.mark.parametrize(("size", "scheme"), [("phone", "dark"), ("desk", "light")])
def test_two_sets_are_compared_blind(
    two_sets: tuple[Path, Path], tmp_path: Path, size: str, scheme: str
) -> None:
    ours, theirs = two_sets
    decisions, sides = tmp_path / "decisions.jsonl", []
    with reviewing(ours, decisions, size, scheme, compare=str(theirs)) as reader:
        for name in NAMES[1:6]:
            reader.at(name)
            left, right = reader.page.locator(".side").all()
            sides.append("other" if "The other." in left.inner_text() else "this")
            assert ("The other." in left.inner_text()) != ("The other." in right.inner_text())
            assert serious_faults(reader.page) == []
            assert not scrolls_sideways(reader.page)
            reader.press("2" if name == NAMES[3] else "1")
        reader.said("this was the last row")
        reader.said("5 of 5 rows compared by anna")
        reader.press("u")
        reader.said("undone")
    made = DecisionFile(decisions)
    chosen = [each.fields["choice"] for each in made.decisions if each.kind is DecisionKind.PREFER]
    assert chosen == [*sides[:2], "tie", *sides[3:]]
    assert made.preferences(NAMES[5]) == []
    assert {each.fields["other_dataset"] for each in made.decisions if each.kind is DecisionKind.PREFER} == {
        "b"
    }


def test_a_preference_is_about_the_sides_as_they_are_shown_and_the_comparison_resumes(
    two_sets: tuple[Path, Path], tmp_path: Path
) -> None:
    ours, theirs = two_sets
    decisions, sides = tmp_path / "decisions.jsonl", []
    with reviewing(ours, decisions, compare=str(theirs)) as reader:
        for name, person in zip(NAMES[1:5], ("bert", "carla", "dora", "emil"), strict=True):
            reader.at(name)
            sides.append(
                "other" if "The other." in reader.page.locator(".side").first.inner_text() else "this"
            )
            reader.page.fill("#reviewer input, #reviewer textarea", person)
            reader.page.click("#left")
        reader.at(NAMES[5])
        reader.open()
        reader.at(NAMES[1])  # emil, whose name is remembered, has compared the fourth row alone
        expect(reader.page.locator("#reviewer input, #reviewer textarea")).to_have_value("emil")
        reader.page.click("#left")
        reader.at(NAMES[2])
        reader.open()
        reader.at(NAMES[2])
        reader.press("k")
        reader.at(NAMES[1])
        assert "you decided: the first is better" in reader.page.locator(".marks").inner_text()
    made = DecisionFile(decisions).decisions
    assert [each.fields["choice"] for each in made][:4] == sides
    assert [each.reviewer for each in made] == ["bert", "carla", "dora", "emil", "emil"]


def test_an_edit_is_saved_to_the_row_that_it_was_begun_for_or_not_at_all(
    folder: Path, tmp_path: Path
) -> None:
    decisions = tmp_path / "decisions.jsonl"
    with reviewing(folder, decisions) as reader:
        page = reader.page
        reader.press("2")
        reader.text_is_open("A synthetic phantom.").fill("Meant for the first row.")
        for button in ("#next", "#accept", "#undo", '[data-do="delete"][data-turn="2"]'):
            page.click(button)
            reader.said("turn 2 is being edited: save or cancel it first")
            page.click('[data-do="edit"][data-turn="1"]')
            page.wait_for_function("!document.querySelector('#status').innerText.includes('first')")
        expect(page.locator("#text textarea")).to_have_value("Meant for the first row.")
        page.click("#save")
        reader.said("turn 2 edited")
        page.locator("#text").wait_for(state="hidden")
        page.click("#next")
        reader.at(NAMES[1])
    assert kinds(decisions) == [("edit", NAMES[0])]


def test_a_reason_and_a_note_go_with_their_row(folder: Path, tmp_path: Path) -> None:
    decisions = tmp_path / "decisions.jsonl"
    with reviewing(folder, decisions) as reader:
        page = reader.page
        page.locator("#reason input, #reason textarea").press_sequentially("of the first row")
        page.locator("#note input, #note textarea").press_sequentially("of the first row too")
        page.click("#next")
        reader.at(NAMES[1])
        for field in ("reason", "note"):
            expect(page.locator(f"#{field} input, #{field} textarea")).to_have_value("")
        page.click("#reject")
        reader.said("the reason is empty")
    assert not decisions.exists() or kinds(decisions) == []


@contextmanager
def answers_held_back(page: Any) -> Iterator[list[Any]]:
    """Holds back what the page asks of the server until the block ends; the list is of what it has asked."""
    asked: list[Any] = []
    page.route("**/gradio_api/**", lambda route: asked.append(route))
    try:
        yield asked
    finally:
        for each in asked:
            each.continue_()
        page.unroute("**/gradio_api/**")


def slow_down(page: Any) -> None:
    """Lets every timer of the page run late, as on a machine that is busy with other work."""
    page.evaluate(
        """() => {
          const inTime = window.setTimeout;
          window.setTimeout = (call, wait, ...given) => inTime(call, (wait || 0) + 1000, ...given);
        }"""
    )


def test_reasons_that_are_typed_faster_than_the_page_answers_are_kept_whole(
    folder: Path, tmp_path: Path
) -> None:
    decisions = tmp_path / "decisions.jsonl"
    with reviewing(folder, decisions) as reader:
        slow_down(reader.page)
        reader.press("r")
        reader.type_in("blurred")
        with answers_held_back(reader.page):
            reader.press("Enter", "r")
            reader.type_in("dark image of the lung")
            reader.page.wait_for_timeout(1500)  # until the late timers have run
            expect(reader.page.locator(REASON)).to_have_value("dark image of the lung")
        reader.at(NAMES[1])
        expect(reader.page.locator(REASON)).to_have_value("dark image of the lung")
        reader.press("Enter")
        reader.at(NAMES[2])
    made = DecisionFile(decisions).decisions
    assert [(each.id, each.fields["reason"]) for each in made] == [
        (NAMES[0], "blurred"),
        (NAMES[1], "dark image of the lung"),
    ]


def test_a_reason_begun_before_the_next_row_is_shown_is_about_that_row(folder: Path, tmp_path: Path) -> None:
    decisions = tmp_path / "decisions.jsonl"
    with reviewing(folder, decisions) as reader:
        slow_down(reader.page)
        reader.press("r")
        reader.type_in("not sent")
        reader.press("Escape")
        with answers_held_back(reader.page):
            reader.press("j", "r")
            reader.type_in("a dark image")
            reader.press("Enter")
            reader.said("One press was ignored")
            expect(reader.page.locator(REASON)).to_be_focused()
        reader.at(NAMES[1])
        expect(reader.page.locator(REASON)).to_have_value("a dark image")
        reader.press("Enter")
        reader.at(NAMES[2])
        expect(reader.page.locator(REASON)).to_have_value("")
        reader.press("r")
        reader.type_in("left unsent")
        with answers_held_back(reader.page):
            reader.press("Escape", "j")
        reader.at(NAMES[3])
        expect(reader.page.locator(REASON)).to_have_value("")
    (made,) = DecisionFile(decisions).decisions
    assert (made.kind, made.id, made.fields["reason"]) == ("reject", NAMES[1], "a dark image")


@pytest.mark.parametrize("field", ["words", "goto", "domain", "note"])
def test_enter_leaves_a_field_before_the_next_key_is_taken(folder: Path, tmp_path: Path, field: str) -> None:
    with reviewing(folder, tmp_path / "decisions.jsonl") as reader:
        slow_down(reader.page)
        key = {"words": "/", "goto": "i", "domain": "g", "note": "m"}[field]
        reader.press(key)
        reader.type_in(NAMES[5])
        with answers_held_back(reader.page):
            reader.press("Enter", "r")
            reader.type_in("a dark image")
            expect(reader.page.locator(REASON)).to_have_value("a dark image")
        if field in ("words", "goto"):
            reader.at(NAMES[5])
        expect(reader.page.locator(REASON)).to_have_value("a dark image")


def test_keys_pressed_while_the_choice_of_rows_opens_decide_nothing(folder: Path, tmp_path: Path) -> None:
    decisions = tmp_path / "decisions.jsonl"
    with reviewing(folder, decisions) as reader:
        slow_down(reader.page)
        reader.press("f", "a")
        expect(reader.page.locator("#in-domain input")).to_be_focused()
        reader.at(NAMES[0])
    assert not decisions.exists() or kinds(decisions) == []


def test_keys_that_are_meant_as_text_decide_nothing(folder: Path, tmp_path: Path) -> None:
    decisions = tmp_path / "decisions.jsonl"
    with reviewing(folder, decisions) as reader:
        page = reader.page
        page.click('[data-do="edit"][data-turn="1"]')
        page.keyboard.type("a mass", delay=20)
        page.locator("#text textarea").wait_for()
        page.wait_for_function("document.activeElement.tagName === 'TEXTAREA'")
        page.evaluate("document.activeElement.blur()")
        reader.press("4")
        page.keyboard.type("a nodule jam", delay=30)
        expect(page.locator("#text textarea")).to_have_value(re.compile("a nodule jam$"))
        page.click("#cancel")
        page.locator("#text").wait_for(state="hidden")
        page.click("#accept")
        reader.at(NAMES[1])
        reader.press("Enter")  # the button has no focus any more
        page.wait_for_timeout(500)
        reader.at(NAMES[1])
    assert kinds(decisions) == [("accept", NAMES[0])]


def test_undo_goes_back_to_the_row_that_was_decided_about_last(folder: Path, tmp_path: Path) -> None:
    decisions = tmp_path / "decisions.jsonl"
    with reviewing(folder, decisions) as reader:
        for name in NAMES[:2]:
            reader.at(name)
            reader.press("a")
        reader.at(NAMES[2])
        reader.press("k", "Escape")
        reader.at(NAMES[1])
        reader.press("k")
        reader.at(NAMES[0])
        reader.press("u")
        reader.at(NAMES[1])
        reader.said(f"{NAMES[1]}: accept undone")
    assert DecisionFile(decisions).decisions[-1].id == NAMES[1]


def test_the_rows_that_were_chosen_stay_chosen_when_the_dataset_changes(tmp_path: Path) -> None:
    rows = [instruct_row(number) for number in range(12)]
    folder, decisions = write_set(tmp_path / "set", rows), tmp_path / "decisions.jsonl"
    drawn = [NAMES[each] for each in ReviewSet(str(folder), decisions).find(ReviewFilter(sample=4, seed=7))]
    with reviewing(folder, decisions) as reader:
        others = [reader.page.context.browser.new_page() for _ in range(2)]
        readers = [reader, *(Reader(WatchedPage(each), reader.address) for each in others)]
        for each in readers:
            each.open()
            each.page.click("#filters button")
            for field, value in (("sample", "4"), ("seed", "7")):
                box = each.page.locator(f"#{field} input")
                expect(box).to_have_value("0")
                each.page.wait_for_timeout(300)  # until the field takes what is typed
                box.press("Control+a")
                box.press_sequentially(value)
                box.press("Tab")
                expect(box).to_have_value(value)
            each.page.wait_for_timeout(300)
            each.page.click("#apply")
            each.at(drawn[0])
        replace_rows(folder, rows[::-1])
        for each in readers:
            each.page.click("#next")
            each.said("the dataset has changed meanwhile and was read again")
            for name in drawn[:3]:
                each.at(name)
                each.page.click("#next")
            each.at(drawn[3])
        replace_rows(folder, [row for row in rows if row["id"] != drawn[3]])
        for each in readers:
            each.page.click("#accept")
            each.said("the dataset has changed meanwhile and was read again")
            each.said("row 4 of 4 chosen")
            each.page.click("#previous")
            each.at(drawn[2])
    assert not decisions.exists() or kinds(decisions) == []


def test_who_has_logged_in_decides_by_that_name_alone(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    review = ReviewSet(str(folder), tmp_path / "d.jsonl")
    monkeypatch.setenv(PASSWORD, "a word")
    server = serve_review(review, "owner")
    try:
        for login in ("anna", "   "):
            with httpx.Client(base_url=server.address, timeout=30) as reader:
                reader.post("/login", data={"username": login, "password": "a word"})
                functions = {
                    each["targets"][0][1]: each["id"]
                    for each in reversed(reader.get("/config").json()["dependencies"])
                }
                asked = {"data": ["bert"], "fn_index": functions["load"], "session_hash": login}
                shown = reader.post("/gradio_api/run/predict", json=asked).json()["data"][1]
                mark = shown.partition('data-shown="')[2].partition('"')[0]
                data = ["bert", None, mark, None, "a reason by another name"]
                asked = {"data": data, "fn_index": functions["submit"], "session_hash": login}
                reader.post("/gradio_api/run/predict", json=asked)
    finally:
        server.close()
    assert [each.reviewer for each in review.file.decisions] == ["anna"]


def test_another_row_is_shown_from_its_top_on_a_phone(folder: Path, tmp_path: Path) -> None:
    with reviewing(folder, tmp_path / "d.jsonl", "phone") as reader:
        reader.page.evaluate("window.scrollTo(0, document.body.scrollHeight)")
        reader.page.click("#accept")
        reader.at(NAMES[1])
        top = "document.querySelector('#row').getBoundingClientRect().top"
        reader.page.wait_for_function(f"Math.abs({top}) < 60")
        assert abs(reader.page.evaluate(top)) < 60
