"""A conversation is saved and loaded without a loss, and nothing that was said acts on what shows it."""

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llavamed_data.console.printable import printable
from llavamed_data.errors import UsageError
from llavamed_trainer.chat import (
    Chat,
    ChatImage,
    ChatTurn,
    Conversation,
    Ending,
    chat_as_json,
    chat_as_markdown,
    chat_of,
    load_chat,
    save_chat,
)

from .conftest import drawn_bytes

TEXTS = st.text(max_size=40)
TURNS = st.lists(st.builds(ChatTurn, TEXTS, TEXTS, st.sampled_from(Ending)), max_size=4).map(tuple)


@given(
    st.lists(st.builds(Conversation, TEXTS, TURNS), max_size=3), st.lists(TEXTS, max_size=3), st.booleans()
)
def test_json_gives_back_what_was_saved(
    conversations: list[Conversation], references: list[str], with_image: bool
) -> None:
    chat = Chat(ChatImage("a.png", drawn_bytes()) if with_image else None, conversations, references)
    assert chat_of(chat_as_json(chat), "it") == chat


NAMES = st.text("abc *_[]<>#.-", min_size=1, max_size=20).map(lambda name: " ".join(name.split()))


@given(
    st.lists(st.builds(Conversation, NAMES, TURNS), max_size=3), st.lists(TEXTS, max_size=3), st.booleans()
)
def test_markdown_gives_back_what_was_saved(
    conversations: list[Conversation], references: list[str], with_image: bool
) -> None:
    image = ChatImage("a [b]_1.png", drawn_bytes()) if with_image else None
    loaded = chat_of(chat_as_markdown(Chat(image, conversations, references)), "it")
    assert loaded.image == image
    assert [each.model for each in loaded.conversations] == [each.model for each in conversations]
    for read, saved in zip(loaded.conversations, conversations, strict=True):
        assert [(turn.question, turn.answer, turn.ended) for turn in read.turns] == [
            (printable(turn.question), printable(turn.answer), turn.ended) for turn in saved.turns
        ]
    asked = max((len(each.turns) for each in conversations), default=0)
    for number, reference in enumerate(references[:asked]):
        assert loaded.reference(number) == printable(reference)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "is of another version"),
        ("# a\n\n![The image][image]\n", "it ends before its image"),
        ("# a\n## m\n**User**\n```text\nWhy?\n```\n", "it ends before its last answer"),
        ("# a\n## m\n**User**\n```text\nWhy?\n", "it ends within a code block"),
        ("# a\n## m\n**User**\nWhy?\n", "line 5 begins no code block: Why?"),
        ("# a\n**User**\n```text\n```\n", "line 3 has no place in a saved conversation"),
        ("Hello\n", "line 2 has no place in a saved conversation: Hello"),
        ("# a\nHello\n", "line 3 has no place in a saved conversation: Hello"),
        ("\n", "it ends before its first heading"),
        (
            "# a\n![The image][image]\n[image]: data:image/png;base64,eA==\n",
            "a is no image that can be shown",
        ),
        (
            "# a\n## m\n**User**\n```text\n```\n**Model**\n```text\n```\n*(odd)*\n",
            "'odd' is not a valid Ending",
        ),
    ],
)
def test_damaged_markdown_is_refused_with_its_line(text: str, told: str) -> None:
    first = "<!-- llavamed chat 2 -->\n" if not text else "<!-- llavamed chat 1 -->\n"
    with pytest.raises(UsageError, match=re.escape(told)):
        chat_of(first + text, "it.md")


def test_it_is_saved_to_a_file_and_loaded(image: ChatImage, tmp_path: Path) -> None:
    turn = ChatTurn("这是什么?", "A cyst.", Ending.CUT_OFF)
    chat = Chat(image, [Conversation("m", (turn,))], ["cyst"])
    save_chat(chat, tmp_path / "chat.json")
    assert load_chat(tmp_path / "chat.json") == chat
    save_chat(chat, tmp_path / "chat.md")
    assert load_chat(tmp_path / "chat.md") == chat
    (tmp_path / "bom.json").write_text(
        "\ufeff" + (tmp_path / "chat.json").read_text(encoding="utf-8"), "utf-8"
    )
    assert load_chat(tmp_path / "bom.json") == chat
    assert "clinical" in (tmp_path / "chat.json").read_text()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "Expecting value"),
        ("[]", "no conversation that `chat` saved"),
        ('{"format": "other"}', "no conversation that `chat` saved"),
        ('{"format": "llavamed chat", "version": 2}', "version 2, and this is for version 1"),
        ('{"format": "llavamed chat", "version": 1, "image": null}', "'conversations' is missing"),
        (
            '{"format": "llavamed chat", "version": 1, "image": {"name": "x", "base64": "eA=="}}',
            "x is no image",
        ),
        (
            '{"format": "llavamed chat", "version": 1, "image": {"name": "x", "base64": "?"}}',
            "cannot be loaded",
        ),
        (
            json.dumps(
                {
                    "format": "llavamed chat",
                    "version": 1,
                    "image": None,
                    "conversations": [
                        {"model": "m", "turns": [{"question": 1, "answer": "", "ended": "complete"}]}
                    ],
                }
            ),
            "question is no text",
        ),
        ("[" * 100_000, "cannot be loaded: maximum recursion depth"),
        (
            '{"format": "llavamed chat", "version": 1, "image": null, "conversations": [], "references": "ab"}',
            "references is no list of texts",
        ),
    ],
)
def test_what_is_no_saved_conversation_is_refused_by_name(text: str, told: str, tmp_path: Path) -> None:
    path = tmp_path / "chat.json"
    path.write_text(text)
    with pytest.raises(UsageError) as caught:
        load_chat(path)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def test_markdown_quotes_what_was_said(image: ChatImage) -> None:
    hostile = "```\n# no heading\n<script>alert(1)</script>\n\x1b[31m"
    text = chat_as_markdown(Chat(image, [Conversation("a*b", (ChatTurn("Why?", hostile),))]))
    lines = text.splitlines()
    start = lines.index("````text")
    assert lines[start : start + 6] == [
        "````text",
        "```",
        "# no heading",
        "<script>alert(1)</script>",
        "\\x1b[31m",
        "````",
    ]
    assert "## a\\*b" in lines


def test_turns_that_failed_are_not_shown_to_the_model() -> None:
    turns = [ChatTurn("1", "a"), ChatTurn("2", "b", Ending.FAILED), ChatTurn("3", "", Ending.STOPPED)]
    turns.append(ChatTurn("4", "d", Ending.STOPPED))
    assert [turn.question for turn in Conversation("m", turns).answered] == ["1", "4"]


def test_an_image_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"nothing.png cannot be read: No such file"):
        ChatImage.read(tmp_path / "nothing.png")
    (tmp_path / "text.png").write_text("no image")
    with pytest.raises(UsageError, match=r"text.png is no image that can be shown"):
        ChatImage.read(tmp_path / "text.png")
    (tmp_path / "large.png").write_bytes(drawn_bytes() + bytes(20_000_000))
    with pytest.raises(UsageError, match="more than 20 MB"):
        ChatImage.read(tmp_path / "large.png")
