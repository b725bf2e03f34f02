"""The messages of a row, checked and brought into the one form that chat templates take; its images and its name."""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from typing import Any, TypeAlias

from llavamed_trainer.collate.bad_rows import BadRowError, BadRowReason

Row: TypeAlias = Mapping[str, Any]
ContentPart: TypeAlias = dict[str, str]
RowMessage: TypeAlias = dict[str, Any]
"""A message `{"role", "content"}`; its content is a list of `{"type": "text", "text"}` and `{"type": "image"}`."""


def read_messages(messages: Any, reserved: Collection[str], images: int | None = None) -> list[RowMessage]:
    """Checks the messages of a row and returns them with content parts that hold a type, a text, and nothing else.

    Keys that Arrow fills with None are left out, and plain strings become text parts.

        [{"role": "user", "content": [{"type": "image", "text": None}, {"type": "text", "text": "What is it?"}]},
         {"role": "assistant", "content": "An X-ray."}]
    becomes
        [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "What is it?"}]},
         {"role": "assistant", "content": [{"type": "text", "text": "An X-ray."}]}]

    Args:
        messages: the `messages` of a row, of any type.
        reserved: tokens that no message may contain, those that stand for images.
        images: the number of the row's images; None if it is not known.

    Raises:
        BadRowError: the row cannot be trained on; `bad_rows` has the table of reasons.
    """
    if not isinstance(messages, Sequence) or isinstance(messages, str) or not messages:
        raise BadRowError(BadRowReason.MALFORMED, "it has no list of messages")
    plain = all(
        isinstance(message, Mapping) and isinstance(message.get("content"), str) for message in messages
    )
    read = [_read_message(message) for message in messages]
    if plain and images:
        first_question = next((message for message in read if message["role"] == "user"), None)
        if first_question is not None:
            first_question["content"][:0] = [{"type": "image"} for _ in range(images)]
    for text in texts(read):
        for token in reserved:
            if token in text:
                raise BadRowError(
                    BadRowReason.IMAGE_TOKEN_IN_TEXT, f"{token} is written in {_beginning(text)}"
                )
    if not any(text.strip() for text in texts(read, "assistant")):
        raise BadRowError(BadRowReason.NO_ANSWER, "no assistant turn says anything")
    parts = count_images(read)
    if images is not None and parts != images:
        if not images:
            raise BadRowError(BadRowReason.NO_IMAGE, f"{_number(parts, 'image part')} and no image")
        raise BadRowError(
            BadRowReason.IMAGE_COUNT, f"{_number(parts, 'image part')}, {_number(images, 'image')}"
        )
    return read


def row_images(row: Row) -> list[Any]:
    """The images of a row: its column `image`, a single one, or `images`, a list."""
    if row.get("image") is not None:
        return [row["image"]]
    return list(row.get("images") or [])


def row_name(row: Row) -> str:
    """The row's id, or a digest of its content, which is the same whenever the row is met."""
    if row.get("id") is not None:
        return str(row["id"])
    digest = hashlib.sha256(repr(row.get("messages")).encode("utf-8", "replace"))
    for image in row_images(row):
        content = image.get("bytes") or image.get("path") if isinstance(image, Mapping) else image
        digest.update(content if isinstance(content, bytes) else repr(content).encode())
    return f"unnamed-{digest.hexdigest()[:12]}"


def texts(messages: Sequence[RowMessage], role: str | None = None) -> list[str]:
    """The texts of all turns, or of the turns of one role, in order."""
    return [
        part["text"]
        for message in messages
        if role is None or message["role"] == role
        for part in message["content"]
        if part["type"] == "text"
    ]


def count_images(messages: Sequence[RowMessage]) -> int:
    """The number of image parts in all turns."""
    return sum(part["type"] == "image" for message in messages for part in message["content"])


def _read_message(message: Any) -> RowMessage:
    if not isinstance(message, Mapping) or not isinstance(message.get("role"), str):
        raise BadRowError(BadRowReason.MALFORMED, "a message has no role")
    content = message.get("content")
    if content is None or isinstance(content, str):
        content = [{"type": "text", "text": content or ""}]
    if not isinstance(content, Sequence):
        raise BadRowError(BadRowReason.MALFORMED, f"a message's content is a {type(content).__name__}")
    parts = [_read_part(part) for part in content]
    if message["role"] == "assistant" and any(part["type"] == "image" for part in parts):
        raise BadRowError(BadRowReason.MALFORMED, "an assistant turn has an image part")
    return {"role": message["role"], "content": parts}


def _read_part(part: Any) -> ContentPart:
    kind = part.get("type") if isinstance(part, Mapping) else None
    if kind == "image":
        return {"type": "image"}
    if kind == "text" and isinstance(part.get("text"), str):
        return {"type": "text", "text": part["text"]}
    raise BadRowError(
        BadRowReason.MALFORMED, f"a content part is neither text nor image: {_beginning(repr(part))}"
    )


def _number(count: int, thing: str) -> str:
    return f"{count} {thing}" if count == 1 else f"{count} {thing}s"


def _beginning(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:60]}…")
