"""Answers come piece by piece, are those of stock `generate`, can be stopped, and fail in one line."""

import io
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor

from llavamed_data.errors import LlavaMedError, UsageError
from llavamed_trainer.chat import AnswerSettings, ChatImage, ChatTurn, Ending, LocalAssistant, ServerAssistant
from llavamed_trainer.collate import learnt_end_ids
from tests.servers.openai import Server

from .conftest import QUESTIONS

SHORT = AnswerSettings(max_new_tokens=12)


@pytest.fixture(scope="module")
def assistant(tiny_model: Path) -> LocalAssistant:
    return LocalAssistant(str(tiny_model))


def stock_answer(path: Path, image: ChatImage | None, turns: list[ChatTurn], question: str) -> str:
    """The answer of `generate` as the libraries' documentation calls it."""
    auto: Any = AutoModelForImageTextToText
    model, processor = auto.from_pretrained(path), AutoProcessor.from_pretrained(path)
    messages: list[Any] = []
    for turn in turns:
        messages.append({"role": "user", "content": [{"type": "text", "text": turn.question}]})
        messages.append({"role": "assistant", "content": [{"type": "text", "text": turn.answer}]})
    messages.append({"role": "user", "content": [{"type": "text", "text": question}]})
    if image:
        messages[0]["content"].insert(0, {"type": "image", "image": Image.open(io.BytesIO(image.data))})
    inputs = processor.apply_chat_template(
        messages, add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt"
    )
    with torch.inference_mode():
        stops = sorted(learnt_end_ids(processor))
        made = model.generate(**inputs, do_sample=False, max_new_tokens=12, eos_token_id=stops)
    text: str = processor.tokenizer.decode(made[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
    return text


@pytest.mark.parametrize("with_image", [True, False])
def test_answers_and_follow_ups_are_those_of_stock_generate(
    assistant: LocalAssistant, tiny_model: Path, image: ChatImage, with_image: bool
) -> None:
    shown = image if with_image else None
    turns: list[ChatTurn] = []
    for question in QUESTIONS:
        stream = assistant.answer(shown, turns, question, SHORT)
        text = "".join(stream)
        assert text == stock_answer(tiny_model, shown, turns, question)
        assert stream.ended in (Ending.COMPLETE, Ending.CUT_OFF)
        turns.append(ChatTurn(question, text))


def test_an_answer_at_the_limit_is_cut_off(assistant: LocalAssistant, image: ChatImage) -> None:
    stream = assistant.answer(image, [], QUESTIONS[0], AnswerSettings(max_new_tokens=2))
    list(stream)
    assert stream.ended is Ending.CUT_OFF


def test_an_answer_that_is_stopped_ends_soon_and_the_next_one_is_whole(
    assistant: LocalAssistant, tiny_model: Path, image: ChatImage
) -> None:
    stream = assistant.answer(image, [], QUESTIONS[0], AnswerSettings(max_new_tokens=100_000))
    pieces = iter(stream)
    next(pieces)
    stream.stop()
    start = time.monotonic()
    list(pieces)
    assert time.monotonic() - start < 30
    assert stream.ended is Ending.STOPPED
    whole = "".join(assistant.answer(image, [], QUESTIONS[0], SHORT))
    assert whole == stock_answer(tiny_model, image, [], QUESTIONS[0])


def test_an_answer_that_waits_for_another_is_stopped_at_once(
    assistant: LocalAssistant, image: ChatImage
) -> None:
    first = assistant.answer(image, [], QUESTIONS[0], AnswerSettings(max_new_tokens=100_000))
    pieces = iter(first)
    next(pieces)
    second = assistant.answer(image, [], QUESTIONS[1], SHORT)
    second.stop()
    assert list(second) == []
    assert second.ended is Ending.STOPPED
    assert next(pieces)  # the first one is still being written
    first.stop()
    list(pieces)


def test_an_answer_that_nobody_reads_on_stops_by_itself(assistant: LocalAssistant, image: ChatImage) -> None:
    pieces = iter(assistant.answer(image, [], QUESTIONS[0], AnswerSettings(max_new_tokens=100_000)))
    next(pieces)
    pieces.close()  # type: ignore[attr-defined]  (a generator)
    start = time.monotonic()
    list(assistant.answer(image, [], QUESTIONS[0], SHORT))
    assert time.monotonic() - start < 30


def test_a_model_that_fails_in_the_middle_says_so_in_one_line_and_answers_again(
    assistant: LocalAssistant, image: ChatImage
) -> None:
    whole, steps = "".join(assistant.answer(image, [], QUESTIONS[0], SHORT)), list[int]()

    def failing(*_: Any) -> None:
        steps.append(1)
        if len(steps) > 4:
            raise RuntimeError("out of\nmemory")

    hook = assistant._model.register_forward_pre_hook(failing)
    stream = assistant.answer(image, [], QUESTIONS[0], SHORT)
    with pytest.raises(LlavaMedError, match="^the model failed: out of memory$"):
        list(stream)
    assert stream.ended is Ending.FAILED
    hook.remove()
    assert "".join(assistant.answer(image, [], QUESTIONS[0], SHORT)) == whole


def test_what_cannot_be_asked_is_refused(assistant: LocalAssistant, image: ChatImage) -> None:
    with pytest.raises(UsageError, match="the question is empty"):
        assistant.answer(image, [], "  ", SHORT)
    token = assistant._processor.image_token
    with pytest.raises(UsageError, match="stands for an image and cannot be written"):
        assistant.answer(image, [], f"What is {token}?", SHORT)
    with pytest.raises(UsageError, match="a temperature is between 0 and 2"):
        assistant.answer(image, [], "Why?", AnswerSettings(temperature=3))
    with pytest.raises(UsageError, match="give 1 or more"):
        assistant.answer(image, [], "Why?", AnswerSettings(max_new_tokens=0))


def test_a_temperature_varies_answers(assistant: LocalAssistant, image: ChatImage) -> None:
    warm = AnswerSettings(max_new_tokens=12, temperature=1.5)
    assert len({"".join(assistant.answer(image, [], QUESTIONS[0], warm)) for _ in range(6)}) > 1


def test_a_server_sends_its_answer_in_pieces(
    server: Server, served: ServerAssistant, image: ChatImage
) -> None:
    server.settings.pause = 0.3
    stream = served.answer(image, [ChatTurn("What?", "A cyst.")], "Why?", SHORT)
    start = time.monotonic()
    pieces, times = [], []
    for piece in stream:
        pieces.append(piece)
        times.append(time.monotonic() - start)
    assert len(pieces) > 2
    assert times[0] < times[-1] - 0.05
    assert "".join(pieces).startswith("The image shows finding ")
    assert stream.ended is Ending.COMPLETE


def test_a_server_that_breaks_off_fails_in_one_line(
    server: Server, served: ServerAssistant, image: ChatImage
) -> None:
    server.settings.queue = ["reset"]
    stream = served.answer(image, [], "Why?", SHORT)
    with pytest.raises(LlavaMedError, match=r"^the server at http://127.0.0.1:\d+/v1 failed: .+$"):
        list(stream)
    assert stream.ended is Ending.FAILED
    assert "".join(served.answer(image, [], "Why?", SHORT))


def test_a_server_that_cuts_its_answer_off_says_so(
    server: Server, served: ServerAssistant, image: ChatImage
) -> None:
    server.settings.queue = ["length"]
    stream = served.answer(image, [], "Why?", SHORT)
    list(stream)
    assert stream.ended is Ending.CUT_OFF


def test_a_server_that_is_not_there_or_wants_a_key_is_told(
    image: ChatImage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-none")
    with pytest.raises(LlavaMedError, match=r"the server at http://127.0.0.1:9/v1 failed: Connection error"):
        list(ServerAssistant("m", "http://127.0.0.1:9/v1", timeout=5).answer(image, [], "Why?", SHORT))


def test_a_key_that_the_server_refuses_is_told(
    server: Server, image: ChatImage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-wrong")
    with pytest.raises(LlavaMedError, match="does not accept the key in OPENAI_API_KEY"):
        list(ServerAssistant("judge", server.url).answer(image, [], "Why?", SHORT))


def test_a_temperature_is_not_undone_by_what_the_model_states(
    assistant: LocalAssistant, image: ChatImage
) -> None:
    stated = assistant._model.generation_config
    before, stated.top_k = stated.top_k, 1
    warm = AnswerSettings(max_new_tokens=12, temperature=1.5)
    assert len({"".join(assistant.answer(image, [], QUESTIONS[0], warm)) for _ in range(6)}) > 1
    stated.top_k = before


def test_a_silent_server_is_stopped_at_once(
    server: Server, served: ServerAssistant, image: ChatImage
) -> None:
    server.settings.latency = 20
    stream = served.answer(image, [], "Why?", SHORT)
    threading.Timer(0.3, stream.stop).start()
    start = time.monotonic()
    assert list(stream) == []
    assert time.monotonic() - start < 15
    assert stream.ended is Ending.STOPPED


def test_a_stopped_answer_of_a_server_ends(server: Server, served: ServerAssistant, image: ChatImage) -> None:
    server.settings.pause = 0.05
    stream = served.answer(image, [], "Why?", SHORT)
    pieces = iter(stream)
    next(pieces)
    stream.stop()
    assert list(pieces) == []
    assert stream.ended is Ending.STOPPED
