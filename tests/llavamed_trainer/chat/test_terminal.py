"""The conversation in the terminal: what is typed is answered, stopped, saved and loaded, and no failure ends it."""

import io
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from rich.console import Console

from llavamed_trainer.chat import AnswerSettings, ChatImage, Ending, ServerAssistant, load_chat
from llavamed_trainer.chat.terminal import TerminalChat
from tests.servers.openai import Server


def typed(*lines: str) -> Callable[[], str]:
    """What a person types, line by line, and then the end."""
    left = list(lines)

    def read_line() -> str:
        if not left:
            raise EOFError
        return left.pop(0)

    return read_line


def talk(
    assistants: Sequence[ServerAssistant], image: ChatImage | None, *lines: str, colours: bool = False
) -> tuple[TerminalChat, str]:
    """The chat after these lines, and what was printed."""
    file = io.StringIO()
    console = Console(
        file=file, width=100, force_terminal=colours, color_system="truecolor" if colours else None
    )
    chat = TerminalChat(assistants, image, AnswerSettings(), console)
    chat.run(typed(*lines))
    return chat, file.getvalue()


def test_questions_are_answered_in_turn_with_what_was_said_before(
    served: ServerAssistant, server: Server, image: ChatImage
) -> None:
    chat, said = talk([served], image, "What?", "", "Why?")
    turns = chat.chat.conversations[0].turns
    assert [turn.question for turn in turns] == ["What?", "Why?"]
    assert all(turn.answer.startswith("The image shows finding") and turn.answer in said for turn in turns)
    assert said.startswith("For research only, not for clinical care.")
    assert "image: drawn.png" in said
    assert len(server.asked) == 2


class InterruptedOutput(io.StringIO):
    """A terminal at which Ctrl-C is pressed while the second word of an answer is printed."""

    pressed = False

    def write(self, text: str) -> int:
        if text.strip() == "image" and not self.pressed:
            self.pressed = True
            raise KeyboardInterrupt
        return super().write(text)


def test_ctrl_c_while_an_answer_is_printed_stops_the_answer_alone(
    served: ServerAssistant, server: Server, image: ChatImage
) -> None:
    server.settings.pause = 0.2
    output = InterruptedOutput()
    chat = TerminalChat([served], image, AnswerSettings(), Console(file=output, width=100))
    chat.run(typed("What?", "Why?"))
    assert output.pressed
    stopped, whole = chat.chat.conversations[0].turns
    assert stopped.ended is Ending.STOPPED
    assert not re.search(r"\d", stopped.answer)  # the number comes last
    assert whole.ended is Ending.COMPLETE
    assert "(stopped)" in output.getvalue()


def test_two_models_answer_the_same_question(
    served: ServerAssistant, server: Server, image: ChatImage
) -> None:
    chat, said = talk([served, ServerAssistant("gpt-4o", server.url)], image, "What?")
    assert [each.model for each in chat.chat.conversations] == ["judge", "gpt-4o"]
    assert said.index("judge") < said.index("gpt-4o")


def test_a_failure_is_one_line_and_the_conversation_goes_on(
    served: ServerAssistant, server: Server, image: ChatImage
) -> None:
    server.settings.queue = ["reset"]
    chat, said = talk([served], image, "What?", "/again")
    assert re.search(r"^error: the server at http://127\.0\.0\.1:\d+/v1 failed: ", said, re.MULTILINE)
    (turn,) = chat.chat.conversations[0].turns
    assert turn.ended is Ending.COMPLETE


def test_commands_change_the_image_begin_anew_save_and_load(
    served: ServerAssistant, image: ChatImage, image_file: Path, tmp_path: Path
) -> None:
    json, markdown = tmp_path / "c.json", tmp_path / "c.md"
    chat, said = talk(
        [served], None, f"/image {image_file}", "What?", f"/save {json}", f"/save {markdown}", "/new"
    )
    assert chat.chat.image == image
    assert chat.chat.conversations[0].turns == ()
    assert load_chat(json).conversations[0].turns[0].question == "What?"
    assert "What?" in markdown.read_text()
    again, said = talk([served], None, f"/load {json}", "Why?")
    assert [turn.question for turn in again.chat.conversations[0].turns] == ["What?", "Why?"]
    assert "> What?" in said


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("/image nothing.png", "error: the image nothing.png cannot be read: No such file or directory"),
        ("/again", "error: there is no question to answer again"),
        ("/load nothing.json", "error: the conversation nothing.json cannot be read: No such file"),
        ("/save /dev/null/c.json", "error: the conversation was not saved"),
        ("/nonsense", "/save FILE"),
    ],
)
def test_a_wrong_command_is_told_and_the_conversation_goes_on(
    line: str, told: str, served: ServerAssistant
) -> None:
    chat, said = talk([served], None, line, "What?")
    assert told in said
    assert len(chat.chat.conversations[0].turns) == 1


def test_the_picture_is_shown_where_the_terminal_has_colours(
    served: ServerAssistant, image: ChatImage
) -> None:
    _, said = talk([served], image, colours=True)
    red, black = "38;2;255;0;0", "38;2;0;0;0"
    assert said.count("▀") > 500
    assert red in said
    assert black in said


def test_what_is_answered_does_not_act_on_the_terminal(
    served: ServerAssistant, image: ChatImage, tmp_path: Path
) -> None:
    chat, _ = talk([served], image, "What?", f"/save {tmp_path / 'c.json'}")
    answer = chat.chat.conversations[0].turns[0].answer
    hostile = (tmp_path / "c.json").read_text().replace(answer, "\\u001b[2Jgone\\u202e")
    (tmp_path / "c.json").write_text(hostile)
    _, said = talk([served], None, f"/load {tmp_path / 'c.json'}")
    assert "\x1b" not in said
    assert "\\x1b[2Jgone\\u202e" in said


def test_ctrl_c_stops_an_answer_and_ctrl_d_ends(server: Server, image_file: Path, tmp_path: Path) -> None:
    server.settings.pause = 1.5
    words = [sys.executable, "-m", "llavamed_trainer", "chat", "--model", "judge", "--base-url", server.url]
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*words, "--image", str(image_file)],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    seen = b""

    def wait_for(text: bytes) -> None:
        nonlocal seen
        until = time.monotonic() + 60
        while text not in seen:
            assert time.monotonic() < until, seen
            if select.select([ours], [], [], 0.2)[0]:
                seen += os.read(ours, 65536)

    try:
        wait_for(b"> ")
        os.write(ours, b"What?\n")
        wait_for(b"The image")
        process.send_signal(signal.SIGINT)
        wait_for(b"(stopped)")
        seen = seen.partition(b"(stopped)")[2]
        wait_for(b"> ")
        os.write(ours, f"/save {tmp_path / 'c.json'}\n".encode())
        wait_for(b"saved: ")
        seen = seen.partition(b"saved: ")[2]
        wait_for(b"> ")  # before its prompt, the terminal would not pass Ctrl-D on
        os.write(ours, b"\x04")
        assert process.wait(30) == 0
    finally:
        process.kill()
        os.close(ours)
    (turn,) = load_chat(tmp_path / "c.json").conversations[0].turns
    assert turn.ended is Ending.STOPPED
    assert turn.answer.startswith("The")
    assert not re.search(r"\d", turn.answer)  # the number comes last
