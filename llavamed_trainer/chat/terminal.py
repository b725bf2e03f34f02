"""A conversation in the terminal: the picture where it can be shown, answers as they are written, and follow-ups."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.text import Text

from llavamed_data.console.pictures import MOST_CHARACTERS_WIDE, MOST_PIXELS_HIGH, half_blocks, shows_colours
from llavamed_data.console.printable import printable, printable_line
from llavamed_data.errors import LlavaMedError
from llavamed_data.pages import RESEARCH_ONLY
from llavamed_trainer.chat.answers import AnswerSettings, AnswerStream, Assistant
from llavamed_trainer.chat.conversation import (
    Chat,
    ChatImage,
    ChatTurn,
    Conversation,
    Ending,
)
from llavamed_trainer.chat.saving import load_chat, save_chat
from llavamed_trainer.collate.pixels import read_image

_COMMANDS = {
    "/image": "FILE   talk about another image, from the start",
    "/again": "       answer the last question again",
    "/new": "         begin anew with the same image",
    "/save": "FILE    save the conversation, as Markdown (.md) or JSON",
    "/load": "FILE    go on with a conversation that was saved",
    "/help": "        show this list",
    "/quit": "        end (so does Ctrl-D)",
}


class TerminalChat:
    """Asks one model, or two side by side, what a person types.

    Ctrl-C stops an answer; what was written of it stays in the conversation.

    Args:
        assistants: the models.
        image: that is talked about, or None.
        settings: how answers are written.
        console: what to print on.
    """

    def __init__(
        self,
        assistants: Sequence[Assistant],
        image: ChatImage | None,
        settings: AnswerSettings,
        console: Console,
    ) -> None:
        self._assistants, self._settings, self._console = assistants, settings, console
        self.chat = Chat(image, [Conversation(each.name) for each in assistants])

    def run(self, read_line: Callable[[], str]) -> None:
        """Answers until there is no further line.

        Args:
            read_line: reads what the person types; raises EOFError at the end.
        """
        self._print(RESEARCH_ONLY, style="dim")
        self._show_image()
        self._print("Type a question; /help lists the commands.", style="dim")
        while True:
            try:
                line = read_line().strip()
            except EOFError:
                return
            except KeyboardInterrupt:  # at the prompt there is nothing to stop
                self._print("")
                continue
            if line == "/quit":
                return
            try:
                self._act(line)
            except LlavaMedError as error:
                self._print(f"error: {printable_line(str(error))}", style="red")
            except KeyboardInterrupt:  # between two models, or while a file is read
                self._print("(stopped)", style="dim")

    def _act(self, line: str) -> None:
        command, _, rest = line.partition(" ")
        rest = rest.strip()
        if not line:
            return
        if not line.startswith("/"):
            self._ask(line)
        elif command == "/image" and rest:
            self.chat = Chat(ChatImage.read(Path(rest).expanduser()), self._empty())
            self._show_image()
        elif command == "/again":
            self._again()
        elif command == "/new":
            self.chat = replace(self.chat, conversations=self._empty())
        elif command == "/save" and rest:
            save_chat(self.chat, Path(rest).expanduser())
            self._print(f"saved: {rest}", style="dim")
        elif command == "/load" and rest:
            self._load(Path(rest).expanduser())
        else:
            for name, words in _COMMANDS.items():
                self._print(f"{name} {words}", style="dim")

    def _ask(self, question: str) -> None:
        conversations = list(self.chat.conversations)
        for number, (assistant, conversation) in enumerate(zip(self._assistants, conversations, strict=True)):
            if len(self._assistants) > 1:
                self._print(printable_line(assistant.name), style="bold green")
            conversations[number] = conversation.with_turn(self._answered(assistant, conversation, question))
            self.chat = replace(self.chat, conversations=tuple(conversations))

    def _answered(self, assistant: Assistant, conversation: Conversation, question: str) -> ChatTurn:
        """Prints an answer while it is written."""
        pieces: list[str] = []
        stream: AnswerStream | None = None
        try:
            stream = assistant.answer(self.chat.image, conversation.answered, question, self._settings)
            for piece in stream:
                pieces.append(piece)
                self._console.print(Text(printable(piece)), end="", soft_wrap=True)
        except KeyboardInterrupt:
            if stream:
                stream.stop()
            self._print(" (stopped)", style="dim")
            return ChatTurn(question, "".join(pieces).strip(), Ending.STOPPED)
        except LlavaMedError as error:
            self._print(f"\nerror: {printable_line(str(error))}", style="red")
            return ChatTurn(question, "".join(pieces).strip(), Ending.FAILED)
        ended = stream.ended
        self._print(
            " (cut off: a longer --max-new-tokens lets it finish)" if ended is Ending.CUT_OFF else "",
            style="dim",
        )
        return ChatTurn(question, "".join(pieces).strip(), ended)

    def _again(self) -> None:
        last = self.chat.conversations[0].turns[-1:]
        if not last:
            raise LlavaMedError("there is no question to answer again: type one")
        self.chat = replace(
            self.chat, conversations=tuple(each.without_last() for each in self.chat.conversations)
        )
        self._ask(last[0].question)

    def _load(self, path: Path) -> None:
        loaded = load_chat(path)
        if len(loaded.conversations) != len(self._assistants):
            raise LlavaMedError(
                f"{path} holds {len(loaded.conversations)} conversations, and {len(self._assistants)} models are asked "
                "here: start chat with as many"
            )
        self.chat = replace(
            loaded,
            conversations=tuple(
                replace(each, model=assistant.name)
                for each, assistant in zip(loaded.conversations, self._assistants, strict=True)
            ),
        )
        self._show_image()
        for each in self.chat.conversations:
            for turn in each.turns:
                self._print(f"> {printable(turn.question)}", style="bold cyan")
                self._print(printable(turn.answer))

    def _show_image(self) -> None:
        image = self.chat.image
        if image is None:
            return
        self._print(f"image: {printable_line(image.name, 120)}", style="dim")
        if shows_colours(self._console):
            small = read_image({"bytes": image.data})
            small.thumbnail((min(MOST_CHARACTERS_WIDE, self._console.width - 2), MOST_PIXELS_HIGH))
            self._console.print(half_blocks(small))

    def _empty(self) -> tuple[Conversation, ...]:
        return tuple(Conversation(each.name) for each in self._assistants)

    def _print(self, text: str, *, style: str = "") -> None:
        self._console.print(Text(text, style=style), soft_wrap=True)
