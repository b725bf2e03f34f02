"""Answers through an OpenAI-compatible server, with the client and the journal of data generation."""

import base64
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from PIL import Image

from llavamed_data.console.progress import ProgressCallback
from llavamed_data.errors import LlavaMedError
from llavamed_data.llm import (
    Answer,
    ChatModel,
    Endpoint,
    Journal,
    LlmClient,
    Request,
    chat_model,
    open_client,
)
from llavamed_data.reasons import Drop, Reason
from llavamed_trainer.evaluation.predict.answer_file import Unanswered
from llavamed_trainer.evaluation.predict.options import Found, PredictOptions, Prompted
from llavamed_trainer.evaluation.predict.questions import Benchmark, Question

_SENT_AS_THEY_ARE = {"JPEG": "jpeg", "PNG": "png", "GIF": "gif", "WEBP": "webp"}
_REFUSALS_THAT_TELL = 8

Sent = tuple[Question, str]
"""A question and the text that is sent."""


def answer_served(
    options: PredictOptions,
    benchmark: Benchmark,
    prompted: Prompted,
    on_progress: ProgressCallback | None,
) -> Found:
    """Answers through a server; what is in the journal of `options.work` is not asked again."""
    model = replace(chat_model(options.model, options.prices), max_tokens=options.max_new_tokens)
    found = Found()
    with Journal(options.work / "journal.jsonl") as journal:
        client = open_client(
            "openai",
            model,
            journal,
            endpoint=Endpoint(options.base_url, options.timeout),
            limits=options.limits,
            prices=options.prices,
        )
        sent = [(question, prompt) for question, prompt, _ in prompted]
        for done, (question, outcome) in enumerate(ask(client, model, sent, benchmark.image), 1):
            if isinstance(outcome, Drop):
                found.unanswered[question.id] = Unanswered(question.id, outcome.reason.value, outcome.detail)
            else:
                found.answers[question.id] = outcome.text.strip()
                if outcome.finish_reason == "length":
                    found.cut.add(question.id)
            if on_progress:
                on_progress("answer", done, len(sent))
    found.tally, found.taken_over = client.counts, client.counts.from_journal
    return found


def ask(
    client: LlmClient,
    model: ChatModel,
    prompted: Sequence[Sent],
    image_bytes: Callable[[Question], bytes],
) -> Iterator[tuple[Question, Answer | Drop]]:
    """One outcome a question, in order.

    Args:
        client: answers the requests; its journal keeps the answers.
        model: what is asked.
        prompted: question and prompt; a question whose image is lost is sent without one.
        image_bytes: the image of a question.

    Raises:
        LlavaMedError: the run cannot go on: among others, a server that refuses every image.
    """
    unreadable = dict[str, Drop]()
    jobs = _jobs(model, prompted, image_bytes, unreadable)
    answered = refused = 0
    waiting = iter(prompted)
    for question, outcome in client.complete(jobs):
        yield from _skipped(waiting, question, unreadable)
        if isinstance(outcome, Answer):
            answered += 1
        elif outcome.reason is Reason.REQUEST_REFUSED and question.image:
            refused += 1
            if not answered and refused >= _REFUSALS_THAT_TELL:
                raise LlavaMedError(
                    f"{model.name} answers none of the first {refused} requests with an image ({outcome.detail}): "
                    "does it take images?"
                )
        yield question, outcome
    yield from _skipped(waiting, None, unreadable)


def data_url(stored: bytes) -> str:
    """An image as a data URL, its bytes as they are; formats that servers do not take become PNG.

    Raises:
        Drop: the image cannot be decoded.
    """
    try:
        with Image.open(io.BytesIO(stored)) as opened:
            kind = _SENT_AS_THEY_ARE.get(opened.format or "")
            if kind is None:
                kind, again = "png", io.BytesIO()
                opened.convert("RGB").save(again, "PNG")
                stored = again.getvalue()
            else:
                opened.load()
    except (
        Exception
    ) as error:  # Pillow's plugins raise anything on hostile bytes: struct, Key-, ValueError, …
        raise Drop(Reason.IMAGE_UNREADABLE, " ".join(str(error).split())[:200]) from error
    return f"data:image/{kind};base64,{base64.b64encode(stored).decode()}"


def _jobs(
    model: ChatModel,
    prompted: Sequence[Sent],
    image_bytes: Callable[[Question], bytes],
    unreadable: dict[str, Drop],
) -> Iterator[tuple[Question, Request]]:
    for question, prompt in prompted:
        content: list[dict[str, Any]] = [{"type": "text", "text": prompt}]
        if question.image:
            try:
                url = data_url(image_bytes(question))
            except Drop as drop:
                unreadable[question.id] = drop
                continue
            content.insert(0, {"type": "image_url", "image_url": {"url": url}})
        yield question, model.request([{"role": "user", "content": content}])  # type: ignore[typeddict-item]


def _skipped(
    waiting: Iterator[Sent], until: Question | None, unreadable: dict[str, Drop]
) -> Iterator[tuple[Question, Drop]]:
    """The questions before `until`, which were not sent."""
    for question, _ in waiting:
        if until is not None and question.id == until.id:
            return
        yield question, unreadable[question.id]
