"""The chat page in a real browser: every action, on a phone and a desk, light and dark."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from llavamed_trainer.chat import Assistant, ChatImage, LocalAssistant, ServerAssistant, load_chat
from llavamed_trainer.chat.page import serve_chat
from tests.llavamed_data.pages.browsing import LOOKS, SIZES, console_errors, scrolls_sideways, serious_faults
from tests.llavamed_data.show.hostile import ATTACKS, browser
from tests.servers.openai import KEY, Settings, running


@contextmanager
def chatting(
    assistants: list[Assistant], image: ChatImage | None, size: str = "desk", scheme: str = "light"
) -> Iterator[Any]:
    width, height = SIZES[size]
    served_page = serve_chat(assistants, image)
    try:
        with browser(viewport={"width": width, "height": height}, color_scheme=scheme) as watched:
            errors = console_errors(watched.page)
            watched.page.set_default_timeout(12_000)
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
        assert page.locator("#picture img").evaluate("(each) => each.naturalWidth") == 120
        assert page.get_by_text("For research only").is_visible()
        page.locator("#question textarea").focus()
        for number, question in enumerate(("What is shown? 胸部", ATTACKS[0])):
            page.keyboard.type(question)
            page.keyboard.press("Enter")
            for model in (0, 1):
                page.locator(f"#answers-{model} .answered > p").nth(number).filter(
                    has_text="finding"
                ).wait_for()
        assert ATTACKS[0] in page.locator("#answers-0").inner_text()
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
        assert page.locator(".answered small").inner_text() == "(failed)"
        page.locator("#again").click()
        answers(page).filter(has_text="finding").wait_for()
        page.locator(".answered small").wait_for(state="detached")
        assert page.get_by_role("alert").count() == 0


def test_an_answer_is_stopped_and_given_again_and_saved_and_loaded(
    image: ChatImage, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with (
        running(Settings(pause=0.5)) as server,
        chatting([ServerAssistant("judge", server.url)], image) as page,
    ):
        page.locator("#question textarea").fill("Is it large?")
        page.keyboard.press("Enter")
        answers(page).filter(has_text="The").wait_for()
        page.keyboard.press("Escape")
        page.wait_for_timeout(1500)
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
        answers(page).first.wait_for()
        assert answers(page).inner_text() == stopped


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
        page.locator("#picture img").wait_for()
        assert page.locator("#picture img").evaluate("(each) => each.naturalWidth") == 120
        page.locator("#tokens input[type=number]").fill("6")
        page.locator("#question textarea").fill("Is it large?")
        page.keyboard.press("Enter")
        page.locator(".answered small").filter(has_text="(cut off)").wait_for()
        assert page.get_by_role("alert").count() == 0
