"""Conversations kept in files, as JSON or as Markdown; either is loaded again, with its image.

{"format": "llavamed chat", "version": 1, "image": {"name": "ct.jpg", "base64": "…"}, "references": [],
 "conversations": [{"model": "runs/stage2-60k-im", "turns": [
     {"question": "What is shown?", "answer": "A chest CT.", "ended": "complete"}]}]}
"""

import base64
import io
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from PIL import Image

from llavamed_data.console.printable import printable, printable_line
from llavamed_data.errors import UsageError, explain
from llavamed_data.io.atomic import write_text
from llavamed_data.pages import RESEARCH_ONLY
from llavamed_trainer.chat.conversation import (
    MOST_IMAGE_BYTES,
    Chat,
    ChatImage,
    ChatTurn,
    Conversation,
    Ending,
)

MOST_CHAT_BYTES = 2 * MOST_IMAGE_BYTES
"""Bytes of a saved conversation at most: its image takes four thirds of the bytes that it has as a file."""

_FORMAT, _VERSION = "llavamed chat", 1

_FIRST_LINE = f"<!-- {_FORMAT} {_VERSION} -->"
"""Of a conversation in Markdown."""

_NO_IMAGE = "Without an image"
_SHOWN = "![The image][image]"
_FENCE = re.compile("(`{3,})text")
_PART = re.compile(
    r"# (?P<name>.*)|(?P<shown>!\[The image\]\[image\])|## (?P<model>.*)|\*\*(?P<said>User|Model|Reference)\*\*"
    r"|\*\((?P<ended>.+)\)\*|\[image\]: data:image/\w+;base64,(?P<image>.*)"
)
_KINDS = {"name": "first heading", "Model": "last answer", "image": "image"}
"""Parts that must be there, for messages."""


def save_chat(chat: Chat, path: Path) -> None:
    """Writes a chat, as Markdown where the name ends so and as JSON otherwise; whole or not at all.

    Raises:
        UsageError: it cannot be written.
    """
    text = chat_as_markdown(chat) if path.suffix in (".md", ".markdown") else chat_as_json(chat)
    try:
        write_text(path, text)
    except OSError as error:
        raise UsageError(f"the conversation was not saved: {explain(error, path)}") from error


def load_chat(path: Path) -> Chat:
    """Reads a chat that was saved, as JSON or as Markdown.

    Raises:
        UsageError: there is no such file, or it is none of these, or damaged.
    """
    try:
        if path.stat().st_size > MOST_CHAT_BYTES:
            raise UsageError(f"the conversation {path} has more than {MOST_CHAT_BYTES // 1_000_000} MB")
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        told = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
        raise UsageError(f"the conversation {path} cannot be read: {told}") from error
    return chat_of(text, str(path))


def chat_of(text: str, name: str) -> Chat:
    """The chat that a JSON or Markdown text holds.

    Args:
        text: as `chat_as_json` or `chat_as_markdown` writes it.
        name: of its file, for errors.

    Raises:
        UsageError: it is no chat, or a damaged one.
    """
    try:
        return _chat_of_markdown(text) if text.startswith(f"<!-- {_FORMAT}") else _chat_of_json(text)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        told = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise UsageError(f"{name} cannot be loaded: {printable_line(told, 200)}") from error


def chat_as_json(chat: Chat) -> str:
    """The whole chat with its image as JSON."""
    image = chat.image and {
        "name": chat.image.name,
        "base64": base64.b64encode(chat.image.data).decode("ascii"),
    }
    stated = {
        "format": _FORMAT,
        "version": _VERSION,
        "note": RESEARCH_ONLY,
        "image": image,
        "references": list(chat.references),
        "conversations": [asdict(each) for each in chat.conversations],
    }
    return json.dumps(stated, ensure_ascii=False, indent=1) + "\n"


def chat_as_markdown(chat: Chat) -> str:
    """The whole chat with its image as Markdown.

    What models and people wrote is quoted, so that nothing in it acts as Markdown; control characters are written as
    their codes.
    """
    lines = [_FIRST_LINE, "", f"# {_inline(chat.image.name if chat.image else _NO_IMAGE)}", ""]
    lines += [_SHOWN, ""] if chat.image else []
    lines += [f"*{RESEARCH_ONLY}*", ""]
    for each in chat.conversations:
        lines += [f"## {_inline(each.model)}", ""]
        for number, turn in enumerate(each.turns):
            lines += ["**User**", "", *_quoted(turn.question), "", "**Model**", "", *_quoted(turn.answer), ""]
            lines += [f"*({turn.ended})*", ""] if turn.ended is not Ending.COMPLETE else []
            if reference := chat.reference(number):
                lines += ["**Reference**", "", *_quoted(reference), ""]
    if chat.image:
        with Image.open(io.BytesIO(chat.image.data)) as opened:
            kind = (opened.format or "png").lower()
        lines += [
            f"[image]: data:image/{kind};base64,{base64.b64encode(chat.image.data).decode('ascii')}",
            "",
        ]
    return "\n".join(lines)


def _chat_of_json(text: str) -> Chat:
    stated = json.loads(text)
    if not isinstance(stated, dict) or stated.get("format") != _FORMAT:
        raise ValueError("it is no conversation that `chat` saved")
    if stated["version"] != _VERSION:
        raise ValueError(f"it is of version {stated['version']}, and this is for version {_VERSION}")
    image = stated["image"]
    shown = image and ChatImage.of(_text(image, "name"), _bytes(_text(image, "base64")))
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
    return Chat(shown or None, conversations, references)


def _text(stated: Mapping[str, Any], name: str) -> str:
    value = stated[name]
    if not isinstance(value, str):
        raise TypeError(f"{name} is no text")
    return value


def _bytes(written: str) -> bytes:
    return base64.b64decode(written, validate=True)


def _chat_of_markdown(text: str) -> Chat:
    parts = _MarkdownParts(text)
    name, shown = _name(parts.take("name")), parts.take_if("shown")
    conversations, references = [], dict[int, str]()
    while (model := parts.take_if("model")) is not None:
        turns = list[ChatTurn]()
        while (question := parts.take_if("User")) is not None:
            answer, ended = parts.take("Model"), parts.take_if("ended")
            if reference := parts.take_if("Reference"):
                references[len(turns)] = reference
            turns.append(ChatTurn(question, answer, Ending(ended or Ending.COMPLETE)))
        conversations.append(Conversation(_name(model), turns))
    image = ChatImage.of(name, _bytes(parts.take("image"))) if shown is not None else None
    parts.end()
    known = max(references, default=-1) + 1
    return Chat(image, conversations, [references.get(number, "") for number in range(known)])


class _MarkdownParts:
    """What a conversation in Markdown is made of, to be taken part by part."""

    def __init__(self, text: str) -> None:
        first, *lines = text.replace("\r\n", "\n").split("\n")
        if first != _FIRST_LINE:
            raise ValueError(
                f"it is of another version than this is for: its first line is not {_FIRST_LINE}"
            )
        self._parts = list(_markdown_parts(enumerate(lines, 2)))
        self._parts.reverse()

    def take_if(self, kind: str) -> str | None:
        """The text of the next part, if it is of this kind."""
        if not self._parts or self._parts[-1][1] != kind:
            return None
        return self._parts.pop()[2]

    def take(self, kind: str) -> str:
        """The text of the next part, which must be of this kind."""
        text = self.take_if(kind)
        if text is None:
            self.end()
            raise ValueError(f"it ends before its {_KINDS[kind]}")
        return text

    def end(self) -> None:
        """Raises ValueError if there are further parts."""
        if self._parts:
            number, _, text = self._parts[-1]
            raise ValueError(f"line {number} has no place in a saved conversation: {text}")


def _markdown_parts(lines: Iterator[tuple[int, str]]) -> Iterator[tuple[int, str, str]]:
    """(number of the line, kind, text) of each part."""
    for number, line in lines:
        if not line or line == f"*{RESEARCH_ONLY}*":
            continue
        found = _PART.fullmatch(line)
        kind = (found and found.lastgroup) or "other"
        if kind == "said" and found:
            yield number, found["said"], _quotation(lines)
        else:
            yield number, kind, found[kind] if found else line


def _quoted(text: str) -> list[str]:
    """The text as a code block, with longer fences around it than any in it."""
    text = printable(text)
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return [f"{fence}text", *text.split("\n"), fence]


def _quotation(numbered: Iterator[tuple[int, str]]) -> str:
    """The text of the code block that comes next."""
    kept: list[str] | None = None
    fence = ""
    for number, line in numbered:
        if kept is None and line:
            opened = _FENCE.fullmatch(line)
            if not opened:
                raise ValueError(f"line {number} begins no code block: {line}")
            kept, fence = [], opened[1]
        elif kept is not None and line == fence:
            return "\n".join(kept)
        elif kept is not None:
            kept.append(line)
    raise ValueError("it ends within a code block")


def _inline(text: str) -> str:
    """A name in one line, in which nothing acts as Markdown."""
    return re.sub(r"([\\`*_{}\[\]<>()#+\-.!|~&])", r"\\\1", printable_line(text, 200))


def _name(written: str) -> str:
    """What `_inline` was given."""
    return re.sub(r"\\(.)", r"\1", written)
