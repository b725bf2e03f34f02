"""The chat page in a real browser: every action, on a phone and a desk, light and dark."""

import io
import os
import re
import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from llavamed_data.console.printable import printable, printable_line
from llavamed_trainer.chat import (
    Assistant,
    ChatImage,
    ChatTurn,
    Conversation,
    LocalAssistant,
    ServerAssistant,
    load_chat,
    save_chat,
)
from llavamed_trainer.chat.conversation import Chat
from llavamed_trainer.chat.examples import ChatExample, examples_of
from llavamed_trainer.chat.page import serve_chat
from tests.llavamed_data.pages.browsing import (
    LOOKS,
    SIZES,
    console_errors,
    expect,
    scrolls_sideways,
    serious_faults,
)
from tests.llavamed_data.show.hostile import ATTACKS, browser, hostile_set
from tests.llavamed_data.validation.sets import instruct_row, jpeg, write_set
from tests.servers.openai import KEY, Server, Settings, running


@contextmanager
def chatting(
    assistants: list[Assistant],
    image: ChatImage | None,
    size: str = "desk",
    scheme: str = "light",
    examples: list[ChatExample] | None = None,
) -> Iterator[Any]:
    width, height = SIZES[size]
    served_page = serve_chat(assistants, image, None, examples or [])
    try:
        with browser(viewport={"width": width, "height": height}, color_scheme=scheme) as watched:
            errors = console_errors(watched.page)
            watched.page.set_default_timeout(30_000)
            watched.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
            watched.page.goto(served_page.address)
            watched.page.locator("#question textarea").wait_for()
            yield watched.page
            assert errors == []
            assert watched.is_inert(served_page.address, "blob:")
    finally:
        served_page.close()


def answers(page: Any, number: int = 0) -> Any:
    return page.locator(f"#answers-{number} .answered > p")


@pytest.mark.parametrize(("size", "scheme"), LOOKS)
def test_questions_follow_up_by_keyboard_alone(
    served: ServerAssistant, image: ChatImage, size: str, scheme: str, tmp_path: Path
) -> None:
    with chatting([served, served], image, size, scheme) as page:
        expect(page.locator("#picture img")).to_have_js_property("naturalWidth", 120)
        notice = page.get_by_text("For research only, not for clinical care.", exact=True)
        page.locator("#question textarea").focus()
        for number, question in enumerate(("What is shown? 胸部", ATTACKS[0])):
            page.keyboard.type(question)
            page.keyboard.press("Enter")
            for model in (0, 1):
                expect(answers(page, model).nth(number)).to_contain_text("finding")
                page.locator(f"#answers-{model} .copy").nth(number).wait_for()
        assert ATTACKS[0] in page.locator("#answers-0").inner_text()
        for place in ("0", "document.body.scrollHeight"):
            page.evaluate(f"window.scrollTo(0, {place})")
            box = notice.bounding_box()
            assert box["y"] >= 0
            assert box["y"] + box["height"] <= SIZES[size][1]
        page.screenshot(path=str(tmp_path / f"chat-{size}-{scheme}.png"), full_page=True)
        assert serious_faults(page) == []
        assert not scrolls_sideways(page)


def test_a_server_that_dies_gives_a_line_and_the_conversation_goes_on(
    image: ChatImage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with (
        running(Settings(queue=["reset"])) as server,
        chatting([ServerAssistant("judge", server.url)], image) as page,
    ):
        page.locator("#question textarea").fill("Is it large?")
        page.keyboard.press("Enter")
        page.get_by_role("alert").filter(has_text="judge: ").wait_for()
        expect(page.locator(".answered small")).to_have_text("(failed)")
        page.locator("#again").click()
        answers(page).filter(has_text="finding").wait_for()
        page.locator(".answered small").wait_for(state="detached")
        expect(page.get_by_role("alert")).to_have_count(0)


def test_an_answer_is_stopped_and_given_again_and_saved_and_loaded(
    image: ChatImage, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with (
        running(Settings(pause=1.0)) as server,
        chatting([ServerAssistant("judge", server.url)], image) as page,
    ):
        page.locator("#question textarea").fill("Is it large?")
        page.keyboard.press("Enter")
        answers(page).filter(has_text="The").wait_for()
        page.keyboard.press("Escape")
        expect(page.locator(".answered small")).to_have_text("(stopped)")
        page.wait_for_timeout(3000)
        stopped = answers(page).inner_text()
        assert "finding" not in stopped
        assert page.locator(".answered small").inner_text() == "(stopped)"
        with page.expect_download() as download:
            page.locator("#save-json").click()
        saved = tmp_path / "saved.json"
        download.value.save_as(saved)
        kept = load_chat(saved)
        assert kept.image == image
        assert [turn.answer for turn in kept.conversations[0].turns] == [stopped]
        page.locator("#new").click()
        answers(page).first.wait_for(state="detached")
        with page.expect_file_chooser() as chooser:
            page.locator("#load").click()
        chooser.value.set_files(saved)
        expect(answers(page)).to_have_text(stopped)


def test_a_model_of_this_machine_answers_about_an_image_that_is_uploaded(
    tiny_model: Path, image: ChatImage, tmp_path: Path
) -> None:
    picture, damaged = tmp_path / "ct.png", tmp_path / "damaged.png"
    picture.write_bytes(image.data)
    damaged.write_bytes(image.data[:60])
    with chatting([LocalAssistant(str(tiny_model))], None) as page:
        page.locator("#image input[type=file]").set_input_files(damaged)
        page.get_by_role("alert").filter(has_text="damaged.png").wait_for()
        page.locator("#image input[type=file]").set_input_files(picture)
        expect(page.locator("#picture img")).to_have_js_property("naturalWidth", 120)
        page.locator("#tokens input[type=number]").fill("6")
        page.locator("#question textarea").fill("Is it large?")
        page.keyboard.press("Enter")
        page.locator(".answered small").filter(has_text="(cut off)").wait_for()
        expect(page.get_by_role("alert")).to_have_count(0)


def write_dataset(folder: Path) -> Path:
    """Rows of three domains, a second one about the first image, and one about another image of the same file name."""
    rows = [instruct_row(number) for number in (0, 1, 2)]
    same = rows[0] | {"id": "9000_F1-q1"}
    same["messages"] = [
        {
            "role": "user",
            "content": [{"type": "image", "text": None}, {"type": "text", "text": "Is it noise?"}],
        },
        {"role": "assistant", "content": [{"type": "text", "text": "Yes."}]},
    ]
    other = instruct_row(5) | {"id": "other", "pmcid": rows[0]["pmcid"]}
    other["images"] = [{"bytes": jpeg(99), "path": rows[0]["images"][0]["path"]}]
    return write_set(folder, [*rows, same, other])


def test_each_domain_of_a_dataset_has_an_example(tmp_path: Path) -> None:
    found = examples_of(str(write_dataset(tmp_path / "set")))
    assert [each.title for each in found] == ["chest xray", "mri", "histology"]
    questions = ["What does the image show?", "Is it a person?", "Is it noise?"]
    assert [question for question, _ in found[0].rounds] == questions
    assert found[0].answer("  is it NOISE? ") == "Yes."
    assert found[0].answer("Is it large?") == ""


@pytest.mark.parametrize(("size", "scheme"), LOOKS)
def test_an_image_of_a_dataset_is_chosen_and_its_answers_stand_beside(
    served: ServerAssistant, tmp_path: Path, size: str, scheme: str
) -> None:
    examples = examples_of(str(write_dataset(tmp_path / "set")))
    with chatting([served], None, size, scheme, examples) as page:
        thumbnails = page.locator("#examples img")
        thumbnails.nth(2).wait_for()
        page.wait_for_function(
            "[...document.querySelectorAll('#examples img')].every((each) => each.naturalWidth)"
        )
        page.locator("#examples button").nth(0).focus()
        page.keyboard.press("Enter")
        expect(page.locator("#picture img")).to_have_js_property("naturalWidth", 64)
        offered = page.locator("#questions button")
        expect(offered).to_have_text(["What does the image show?", "Is it a person?", "Is it noise?"])
        offered.nth(2).focus()
        page.keyboard.press("Enter")
        page.wait_for_function("document.querySelector('#question textarea').value === 'Is it noise?'")
        page.wait_for_function("document.activeElement.tagName === 'TEXTAREA'")
        page.keyboard.press("Enter")
        expect(page.locator("#references .answered")).to_have_text("Yes.")
        page.locator("#answers-0 .copy").wait_for()
        page.keyboard.type("Is it large?")
        page.keyboard.press("Enter")
        page.locator("#answers-0 .copy").nth(1).wait_for()
        expect(page.locator("#references .answered")).to_have_text(["Yes.", "none is known"])
        assert serious_faults(page) == []
        assert not scrolls_sideways(page)
        page.screenshot(path=str(tmp_path / f"examples-{size}-{scheme}.png"), full_page=True)
        page.locator("#examples button").nth(1).click()
        page.locator("#answers-0 .answered").first.wait_for(state="detached")
        page.locator("#references").wait_for(state="hidden")
        expect(offered).to_have_count(2)


def test_what_a_dataset_says_is_shown_as_text(served: ServerAssistant) -> None:
    examples = [
        ChatExample(attack, ChatImage(attack, jpeg(number)), [(attack, attack)])
        for number, attack in enumerate((*ATTACKS[:6], ATTACKS[9], ATTACKS[12], "صدر 胸部 " + "x" * 500))
    ]
    with chatting([served], None, examples=examples) as page:
        for number, example in enumerate(examples):
            page.locator("#examples button").nth(number).click()
            expect(page.locator("#picture img")).to_have_attribute("alt", printable_line(example.title, 120))
            expect(page.locator("#questions button")).to_contain_text(example.title[:9])
            page.locator("#questions button").click()
            expect(page.locator("#question textarea")).to_have_value(example.title)
            page.locator("#ask").click()
            page.locator("#references .answered").wait_for()
            page.locator("#answers-0 .copy").wait_for()
            shown = (page.locator("#answers-0 p.asked"), page.locator("#references .answered p"))
            texts = [" ".join((each.text_content() or "").split()) for each in shown]
            assert texts == [" ".join(printable(example.title).split())] * 2
            assert not scrolls_sideways(page)
            page.locator("#new").click()
            page.locator("#answers-0 .answered").first.wait_for(state="detached")


def test_the_rows_of_a_hostile_dataset_are_examples(served: ServerAssistant, tmp_path: Path) -> None:
    examples = examples_of(str(hostile_set(tmp_path / "set")))
    with chatting([served], None, examples=examples) as page:
        assert len(examples) == 8
        expect(page.locator("#examples button")).to_have_count(8)
        expect(page.locator("#examples img")).to_have_count(8)
        page.wait_for_function(
            "[...document.querySelectorAll('#examples img')].every((each) => each.naturalWidth)"
        )


def test_every_control_is_reached_by_the_tab_key(served: ServerAssistant, tmp_path: Path) -> None:
    examples = examples_of(str(write_dataset(tmp_path / "set")))
    with chatting([served], examples[0].image, examples=examples) as page:
        page.locator("#question textarea").fill("Is it large?")
        page.keyboard.press("Enter")
        page.locator("#answers-0 .copy").wait_for()
        page.locator("h1").click()  # where Tab starts from
        wanted = ["examples", "image", "answers-0", "question", "questions", "ask", "stop", "again", "new"]
        wanted += ["temperature", "tokens", "save-json", "save-markdown", "load"]
        focused = "(ids) => ids.find((id) => document.getElementById(id)?.contains(document.activeElement))"
        reached = []
        for _ in range(40):
            page.keyboard.press("Tab")
            reached.append(page.evaluate(focused, wanted))
        assert list(dict.fromkeys(filter(None, reached))) == wanted


def test_an_answer_is_copied(served: ServerAssistant, image: ChatImage) -> None:
    with chatting([served], image) as page:
        page.locator("#question textarea").fill("Is it large?")
        page.keyboard.press("Enter")
        page.locator("#answers-0 .copy").focus()
        page.keyboard.press("Enter")
        page.get_by_role("button", name="Copied").wait_for()
        assert page.evaluate("navigator.clipboard.readText()") == answers(page).inner_text()


def test_a_conversation_in_markdown_is_saved_and_loaded(
    served: ServerAssistant, image: ChatImage, tmp_path: Path
) -> None:
    with chatting([served], image) as page:
        page.locator("#question textarea").fill("Is it **large**? 大吗")
        page.keyboard.press("Enter")
        page.locator("#answers-0 .copy").wait_for()
        answer = answers(page).inner_text()
        with page.expect_download() as download:
            page.locator("#save-markdown").click()
        assert download.value.suggested_filename == "conversation.md"
        saved = tmp_path / "saved.md"
        download.value.save_as(saved)
        kept = load_chat(saved)
        assert kept.image == image
        assert kept.conversations[0].turns == (ChatTurn("Is it **large**? 大吗", answer),)
    with chatting([served], None) as page:
        page.locator("#load input[type=file], input[type=file][accept*='.md']").first.set_input_files(saved)
        page.locator("#picture img").wait_for()
        expect(answers(page)).to_have_text(answer)


def test_a_file_that_is_no_conversation_leaves_the_page_as_it_is(
    served: ServerAssistant, image: ChatImage, tmp_path: Path
) -> None:
    of_two = tmp_path / "two.json"
    save_chat(Chat(image, [Conversation("a"), Conversation("b")]), of_two)
    (tmp_path / "broken.json").write_text("{")
    with chatting([served], image) as page:
        page.locator("#question textarea").fill("Is it large?")
        page.keyboard.press("Enter")
        page.locator("#answers-0 .copy").wait_for()
        for name, told in (("broken.json", "cannot be loaded"), ("two.json", "holds 2 conversations")):
            page.locator("input[type=file][accept*='.md']").first.set_input_files(tmp_path / name)
            page.get_by_role("alert").filter(has_text=re.compile(f"^{name}.*{told}")).wait_for()
        assert answers(page).count() == 1


_ASK_AT_THE_END = """() => new MutationObserver((_, observer) => {
  if (!document.querySelector('#answers-0 .copy')) return;
  observer.disconnect();
  setTimeout(() => document.querySelector('#ask').click());
}).observe(document.querySelector('#answers-0'), { childList: true, subtree: true })"""
"""Asks what was typed as soon as an answer is shown whole."""


def test_a_question_that_is_asked_the_moment_an_answer_ends_is_answered(
    slow: ServerAssistant, image: ChatImage
) -> None:
    with chatting([slow], image) as page:
        page.locator("#question textarea").fill("Is it large?")
        page.keyboard.press("Enter")
        page.locator(".talk[aria-busy=true]").wait_for()
        page.evaluate(_ASK_AT_THE_END)
        page.keyboard.type("Where is it?")
        page.locator("#answers-0 .copy").nth(1).wait_for()
        expect(page.locator("#answers-0 .asked")).to_have_text(["Is it large?", "Where is it?"])
        expect(page.locator("#question textarea")).to_have_value("")


@pytest.fixture
def slow(server: Server) -> ServerAssistant:
    """A model that takes a second for each of its five words."""
    server.settings.pause = 1.0
    return ServerAssistant("judge", server.url)


def test_what_is_asked_while_an_answer_is_written_stays_in_its_box(
    slow: ServerAssistant, image: ChatImage
) -> None:
    with chatting([slow], image) as page:
        page.locator("#question textarea").fill("Is it large?")
        page.keyboard.press("Enter")
        page.locator(".talk[aria-busy=true]").wait_for()
        page.keyboard.type("Where is it?")
        page.keyboard.press("Enter")
        page.locator("#again").click()
        page.get_by_role("alert").filter(has_text="an answer is being written").wait_for()
        page.locator("#answers-0 .copy").wait_for()
        expect(page.locator("#question textarea")).to_have_value("Where is it?")
        expect(page.locator("#answers-0 .asked")).to_have_text(["Is it large?"])


def test_a_conversation_that_is_begun_anew_stays_empty(slow: ServerAssistant, image: ChatImage) -> None:
    with chatting([slow], image) as page:
        page.locator("#question textarea").fill("Is it large?")
        page.keyboard.press("Enter")
        answers(page).filter(has_text="The").wait_for()
        page.locator("#new").click()
        page.locator("#answers-0 .answered").wait_for(state="detached")
        page.wait_for_timeout(2500)
        assert answers(page).count() == 0
        page.locator("#question textarea").fill("Where is it?")
        page.keyboard.press("Enter")
        page.locator("#answers-0 .copy").wait_for()
        expect(page.locator("#answers-0 .asked")).to_have_text(["Where is it?"])


def test_two_tabs_do_not_disturb_each_other(slow: ServerAssistant, image: ChatImage) -> None:
    with chatting([slow], image) as page:
        other = page.context.new_page()
        other.goto(page.url)
        for tab, text in ((page, "Is it large?"), (other, "Where is it?")):
            tab.locator("#question textarea").fill(text)
            tab.keyboard.press("Enter")
            answers(tab).filter(has_text="The").wait_for()
        other.keyboard.press("Escape")
        other.locator("small").filter(has_text="(stopped)").wait_for()
        page.locator("#answers-0 .copy").wait_for()
        expect(answers(page)).to_contain_text("finding")
        expect(page.locator("small")).to_have_count(0)
        expect(page.locator("#answers-0 .asked")).to_have_text(["Is it large?"])
        other.close()


def test_an_answer_ends_when_its_tab_is_closed(server: Server, image: ChatImage) -> None:
    server.settings.pause = 6.0
    others = set(threading.enumerate())
    with chatting([ServerAssistant("judge", server.url)], image) as page:
        other = page.context.new_page()
        other.goto(page.url)
        other.locator("#question textarea").fill("Is it large?")
        other.keyboard.press("Enter")
        answers(other).filter(has_text="The").wait_for()
        other.close()
        until = time.monotonic() + 20  # the four words that are left would take 24 seconds
        while any(each.name == "read-answer" for each in set(threading.enumerate()) - others):
            assert time.monotonic() < until
            time.sleep(0.1)


def uploads() -> list[str]:
    folder = os.environ["GRADIO_TEMP_DIR"]
    return [name for _, _, names in os.walk(folder) for name in names if name.startswith("upload-")]


def test_an_upload_is_not_kept(served: ServerAssistant, image: ChatImage, tmp_path: Path) -> None:
    (tmp_path / "upload-good.png").write_bytes(image.data)
    (tmp_path / "upload-bad.png").write_bytes(image.data[:60])
    with chatting([served], None) as page:
        chooser = page.locator("#image input[type=file]")
        chooser.set_input_files(tmp_path / "upload-bad.png")
        page.get_by_role("alert").filter(has_text="upload-bad.png is no image").wait_for()
        chooser.set_input_files(tmp_path / "upload-good.png")
        page.locator("#picture img").wait_for()
        assert uploads() == []


def png_of(width: int, height: int) -> bytes:
    """A PNG that states this size in pixels and has almost no bytes."""
    file = io.BytesIO()
    Image.new("1", (8, 8)).save(file, "PNG")
    head = bytearray(file.getvalue())
    head[16:24] = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    head[29:33] = zlib.crc32(bytes(head[12:29])).to_bytes(4, "big")
    return bytes(head)


def test_an_image_of_too_many_pixels_or_bytes_is_refused(
    served: ServerAssistant, image: ChatImage, tmp_path: Path
) -> None:
    (tmp_path / "wide.png").write_bytes(png_of(60_000, 60_000))
    (tmp_path / "heavy.png").write_bytes(image.data + bytes(20_000_000))
    with chatting([served], image) as page:
        for name, told in (("wide.png", "is no image that can be shown"), ("heavy.png", "more than 20 MB")):
            page.locator("#image input[type=file]").set_input_files(tmp_path / name)
            page.get_by_role("alert").filter(has_text=re.compile(f"^{name}.*{told}")).wait_for()
        expect(page.locator("#picture img")).to_have_js_property("naturalWidth", 120)
