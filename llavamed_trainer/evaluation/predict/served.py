"""Answers through an OpenAI-compatible server, with the client and the journal that generate the datasets."""

import base64
import io
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from PIL import Image

from llavamed_data.console.progress import ProgressCallback
from llavamed_data.errors import LlavaMedError, one_line
from llavamed_data.llm import Endpoint, Journal, Request, chat_model, open_client
from llavamed_data.reasons import Drop, Reason
from llavamed_trainer.evaluation.predict.options import PredictedAnswers, PredictOptions, QuestionPrompt
from llavamed_trainer.evaluation.predict.substitutes import ImageSource
from llavamed_trainer.evaluation.questions import Unanswered

_SENT_AS_THEY_ARE = {"JPEG": "jpeg", "PNG": "png", "GIF": "gif", "WEBP": "webp"}
_REFUSALS_THAT_TELL = 8
"""Requests with an image that a server may refuse before its first answer; then it is taken to refuse all images."""


def answer_served(
    options: PredictOptions,
    prompts: Sequence[QuestionPrompt],
    images: ImageSource,
    on_progress: ProgressCallback | None,
) -> PredictedAnswers:
    """Answers the prompts through a server; what is in the journal of `options.work` is not requested again.

    Raises:
        LlavaMedError: the run cannot go on: among others, the server refuses every image.
    """
    model = replace(chat_model(options.model, options.prices), max_tokens=options.max_new_tokens)
    found = PredictedAnswers()

    def requests() -> Iterator[tuple[QuestionPrompt, Request]]:
        for prompt in prompts:
            identity = prompt.question.id
            try:
                urls = [data_url(images.read(identity, number)) for number in range(len(prompt.images))]
            except Drop as drop:
                _leave_out(prompt, drop, found)
                continue
            content: list[dict[str, Any]] = [{"type": "image_url", "image_url": {"url": url}} for url in urls]
            content.append({"type": "text", "text": prompt.text})
            messages: Any = [{"role": "user", "content": content}]  # a list of parts, not text alone
            yield prompt, model.request(messages)

    with Journal(options.work / "journal.jsonl") as journal:
        client = open_client(
            "openai",
            model,
            journal,
            endpoint=Endpoint(options.base_url, options.timeout),
            limits=options.limits,
            prices=options.prices,
        )
        refused = 0
        for prompt, outcome in client.complete(requests()):
            if isinstance(outcome, Drop):
                _leave_out(prompt, outcome, found)
                refused += outcome.reason is Reason.REQUEST_REFUSED and bool(prompt.images)
                if not found.answers and refused >= _REFUSALS_THAT_TELL:
                    raise LlavaMedError(
                        f"{model.name} answers none of the first {refused} requests with an image "
                        f"({outcome.detail}): does it take images?"
                    )
            else:
                found.answers[prompt.question.id] = outcome.text.strip()
                if outcome.finish_reason == "length":
                    found.truncated.add(prompt.question.id)
            if on_progress:
                on_progress("answer", len(found.answers) + len(found.unanswered), len(prompts))
    found.tally, found.reused = client.counts, client.counts.from_journal
    return found


def data_url(stored: bytes) -> str:
    """An image as a data URL: its bytes as they are; an image in a format that servers do not take becomes PNG.

    Raises:
        Drop: the image cannot be decoded.
    """
    try:
        with Image.open(io.BytesIO(stored)) as opened:
            kind = _SENT_AS_THEY_ARE.get(opened.format or "")
            if kind is None:
                kind, converted = "png", io.BytesIO()
                opened.convert("RGB").save(converted, "PNG")
                stored = converted.getvalue()
            else:
                opened.load()
    except Exception as error:
        # hostile bytes make Pillow raise anything: struct.error, KeyError, ValueError, …
        raise Drop(Reason.IMAGE_UNREADABLE, one_line(error)) from error
    return f"data:image/{kind};base64,{base64.b64encode(stored).decode()}"


def _leave_out(prompt: QuestionPrompt, drop: Drop, found: PredictedAnswers) -> None:
    found.unanswered[prompt.question.id] = Unanswered(prompt.question.id, drop.reason.value, drop.detail)
