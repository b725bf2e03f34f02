"""The messages of a row, checked, in the one form that chat templates take."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from llavamed_trainer.collate.refusals import Fault, Refusal

Part: TypeAlias = dict[str, str]
Message: TypeAlias = dict[str, Any]


def read_messages(messages: Any, image_token: str, images: int | None = None) -> list[Message]:
    """Messages whose content is a list of `{"type": "text", "text"}` and `{"type": "image"}` parts, and nothing else.

    Keys that Arrow fills with None are left out.

        [{"role": "user", "content": [{"type": "image", "text": None}, {"type": "text", "text": "What is it?"}]},
         {"role": "assistant", "content": "An X-ray."}]
    becomes
        [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "What is it?"}]},
         {"role": "assistant", "content": [{"type": "text", "text": "An X-ray."}]}]

    Args:
        messages: of a row, as they come.
        image_token: what no text may hold.
        images: how many the row has; None where nobody knows.

    Raises:
        Refusal: see the table of `refusals`.
    """
    if not isinstance(messages, Sequence) or isinstance(messages, str) or not messages:
        raise Refusal(Fault.MALFORMED, "it has no list of messages")
    plain = all(
        isinstance(message, Mapping) and isinstance(message.get("content"), str) for message in messages
    )
    read = [_read_message(message) for message in messages]
    if plain and images:
        _put_before_first_question(read, images)
    for text in texts(read):
        if image_token in text:
            raise Refusal(Fault.IMAGE_TOKEN_IN_TEXT, f"{image_token} is written in {_start(text)}")
    if not any(text.strip() for text in texts(read, "assistant")):
        raise Refusal(Fault.NO_ANSWER, "no assistant turn says anything")
    if images is not None:
        _check_count(count_images(read), images)
    return read


def texts(messages: Sequence[Message], role: str | None = None) -> list[str]:
    """The texts of all turns, or of those of one role, in order."""
    return [
        part["text"]
        for message in messages
        if role is None or message["role"] == role
        for part in message["content"]
        if part["type"] == "text"
    ]


def count_images(messages: Sequence[Message]) -> int:
    """Image parts in all turns."""
    return sum(part["type"] == "image" for message in messages for part in message["content"])


def _read_message(message: Any) -> Message:
    if not isinstance(message, Mapping) or not isinstance(message.get("role"), str):
        raise Refusal(Fault.MALFORMED, "a message has no role")
    content = message.get("content")
    if content is None or isinstance(content, str):
        content = [{"type": "text", "text": content or ""}]
    if not isinstance(content, Sequence):
        raise Refusal(Fault.MALFORMED, f"a message's content is a {type(content).__name__}")
    parts = [_read_part(part) for part in content]
    if message["role"] == "assistant" and any(part["type"] == "image" for part in parts):
        raise Refusal(Fault.MALFORMED, "an assistant turn has an image part")
    return {"role": message["role"], "content": parts}


def _read_part(part: Any) -> Part:
    kind = part.get("type") if isinstance(part, Mapping) else None
    if kind == "image":
        return {"type": "image"}
    if kind == "text" and isinstance(part.get("text"), str):
        return {"type": "text", "text": part["text"]}
    raise Refusal(Fault.MALFORMED, f"a content part is neither text nor image: {_start(repr(part))}")


def _put_before_first_question(messages: list[Message], images: int) -> None:
    for message in messages:
        if message["role"] == "user":
            message["content"] = [{"type": "image"} for _ in range(images)] + message["content"]
            return


def _check_count(parts: int, images: int) -> None:
    if parts and not images:
        raise Refusal(Fault.NO_IMAGE, f"{parts} image {_plural('part', parts)} and no image")
    if parts != images:
        raise Refusal(
            Fault.IMAGE_COUNT, f"{parts} image {_plural('part', parts)}, {images} {_plural('image', images)}"
        )


def _plural(word: str, count: int) -> str:
    return word if count == 1 else f"{word}s"


def _start(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:60]}…")
