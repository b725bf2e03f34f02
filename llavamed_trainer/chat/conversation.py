"""Conversations about an image with one model or with several, kept as JSON and shown as Markdown.

{"format": "llavamed chat", "version": 1, "image": {"name": "ct.jpg", "base64": "…"}, "references": [],
 "conversations": [{"model": "runs/stage2-60k-im", "turns": [
     {"question": "What is shown?", "answer": "A chest CT.", "ended": "complete"}]}]}
"""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from llavamed_data.console.printable import printable, printable_line
from llavamed_data.errors import UsageError, explain
from llavamed_data.io.atomic import write_text
from llavamed_data.pages import RESEARCH_ONLY
from llavamed_trainer.collate.bad_rows import BadRowError
from llavamed_trainer.collate.pixels import read_image

MOST_IMAGE_BYTES = 20_000_000
"""The bytes of an image at most."""

_FORMAT, _VERSION = "llavamed chat", 1


class Ending(StrEnum):
    """How an answer ended."""

    COMPLETE = "complete"
    CUT_OFF = "cut off"
    STOPPED = "stopped"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class ChatTurn:
    """A question and its answer.

    Attributes:
        question: as it was asked.
        answer: as far as it was given.
        ended: `cut off` at the longest answer allowed, `stopped` by the user, `failed` with the model or its server.
    """

    question: str
    answer: str
    ended: Ending = Ending.COMPLETE


@dataclass(frozen=True, slots=True)
class ChatImage:
    """An image that is talked about.

    Attributes:
        name: of its file.
        data: the bytes of its file.
    """

    name: str
    data: bytes

    @classmethod
    def read(cls, path: Path) -> "ChatImage":
        """Reads an image from a file.

        Raises:
            UsageError: there is no such file, or it is too large or no image.
        """
        try:
            if path.stat().st_size > MOST_IMAGE_BYTES:
                raise UsageError(
                    f"{path} has more than {MOST_IMAGE_BYTES // 1_000_000} MB: give a smaller image"
                )
            return cls.of(path.name, path.read_bytes())
        except OSError as error:
            raise UsageError(f"the image {path} cannot be read: {error.strerror or error}") from error

    @classmethod
    def of(cls, name: str, data: bytes) -> "ChatImage":
        """Checks the bytes of an image.

        Raises:
            UsageError: they are none.
        """
        try:
            read_image({"bytes": data})
        except BadRowError as error:
            raise UsageError(f"{name} is no image that can be shown to a model: {error.detail}") from error
        return cls(name, data)

    @property
    def digest(self) -> str:
        """SHA-256 of its bytes."""
        return hashlib.sha256(self.data).hexdigest()


@dataclass(frozen=True, slots=True)
class Conversation:
    """What was asked of one model, and what it answered.

    Attributes:
        model: its name.
        turns: in order; those that failed are no part of what the model is shown.
    """

    model: str
    turns: Sequence[ChatTurn] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "turns", tuple(self.turns))

    @property
    def answered(self) -> list[ChatTurn]:
        """The turns that the next question follows."""
        return [turn for turn in self.turns if turn.answer and turn.ended is not Ending.FAILED]

    def with_turn(self, turn: ChatTurn) -> "Conversation":
        """The conversation and one turn more."""
        return replace(self, turns=(*self.turns, turn))

    def without_last(self) -> "Conversation":
        """The conversation without its last turn, so that the question can be asked again."""
        return replace(self, turns=self.turns[:-1])


@dataclass(frozen=True, slots=True)
class Chat:
    """Conversations about the same image with one or several models.

    Attributes:
        image: that is talked about; None for a conversation without one.
        conversations: one for each model.
        references: the answers that are right, question by question; empty where there are none.
    """

    image: ChatImage | None
    conversations: Sequence[Conversation]
    references: Sequence[str] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "conversations", tuple(self.conversations))
        object.__setattr__(self, "references", tuple(self.references))

    def to_json(self) -> str:
        """The whole chat with its image, as `load_chat` reads it."""
        image = self.image and {
            "name": self.image.name,
            "base64": base64.b64encode(self.image.data).decode("ascii"),
        }
        stated = {
            "format": _FORMAT,
            "version": _VERSION,
            "note": RESEARCH_ONLY,
            "image": image,
            "references": list(self.references),
            "conversations": [asdict(each) for each in self.conversations],
        }
        return json.dumps(stated, ensure_ascii=False, indent=1) + "\n"

    def to_markdown(self) -> str:
        """The texts of the chat; what models and people wrote is quoted, so that nothing in it acts as Markdown."""
        lines = [
            f"# {_inline(self.image.name if self.image else 'Without an image')}",
            "",
            f"*{RESEARCH_ONLY}*",
            "",
        ]
        for each in self.conversations:
            lines += [f"## {_inline(each.model)}", ""]
            for number, turn in enumerate(each.turns):
                lines += [
                    "**User**",
                    "",
                    *_quoted(turn.question),
                    "",
                    "**Model**",
                    "",
                    *_quoted(turn.answer),
                    "",
                ]
                if turn.ended is not Ending.COMPLETE:
                    lines += [f"*({turn.ended})*", ""]
                if number < len(self.references):
                    lines += ["**Answer**", "", *_quoted(self.references[number]), ""]
        return "\n".join(lines)

    def save(self, path: Path) -> None:
        """Writes the chat, as Markdown where the name ends so and as JSON otherwise; whole or not at all.

        Raises:
            UsageError: it cannot be written.
        """
        text = self.to_markdown() if path.suffix in (".md", ".markdown") else self.to_json()
        try:
            write_text(path, text)
        except OSError as error:
            raise UsageError(f"the conversation was not saved: {explain(error, path)}") from error


def load_chat(path: Path) -> Chat:
    """Reads a chat that was saved as JSON.

    Raises:
        UsageError: there is no such file, or it is none of these.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        told = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
        raise UsageError(f"the conversation {path} cannot be read: {told}") from error
    return chat_of(text, str(path))


def chat_of(text: str, name: str) -> Chat:
    """The chat that a JSON text states.

    Args:
        text: as `Chat.to_json` writes it.
        name: of its file, for errors.

    Raises:
        UsageError: it is no chat, or a damaged one.
    """
    try:
        stated = json.loads(text)
        if not isinstance(stated, dict) or stated.get("format") != _FORMAT:
            raise ValueError("it is no conversation that `chat` saved as JSON")
        if stated["version"] != _VERSION:
            raise ValueError(f"it is of version {stated['version']}, and this is for version {_VERSION}")
        image = stated["image"]
        shown = image and ChatImage.of(
            _text(image, "name"), base64.b64decode(_text(image, "base64"), validate=True)
        )
        conversations = [
            Conversation(
                _text(each, "model"),
                tuple(
                    ChatTurn(_text(turn, "question"), _text(turn, "answer"), Ending(_text(turn, "ended")))
                    for turn in each["turns"]
                ),
            )
            for each in stated["conversations"]
        ]
        references = stated.get("references", [])
        if not isinstance(references, list) or not all(isinstance(each, str) for each in references):
            raise TypeError("references is no list of texts")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        told = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise UsageError(f"{name} cannot be loaded: {printable_line(told, 200)}") from error
    return Chat(shown or None, conversations, references)


def _text(stated: Mapping[str, Any], name: str) -> str:
    value = stated[name]
    if not isinstance(value, str):
        raise TypeError(f"{name} is no text")
    return value


def _quoted(text: str) -> list[str]:
    """The text as a code block, longer fences around it than any in it."""
    text = printable(text)
    longest = max((len(run) for run in _runs(text)), default=0)
    fence = "`" * max(3, longest + 1)
    return [f"{fence}text", *text.splitlines(), fence]


def _runs(text: str) -> list[str]:
    """The runs of backticks in a text."""
    return "".join(character if character == "`" else " " for character in text).split()


def _inline(text: str) -> str:
    """A name in one line, in which nothing acts as Markdown."""
    return "".join(
        f"\\{each}" if each in r"\`*_{}[]<>()#+-.!|~&" else each for each in printable_line(text, 200)
    )
