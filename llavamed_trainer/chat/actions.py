"""What people can do on the chat page; each action returns what the page shows after it."""

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from llavamed_data.errors import LlavaMedError, UsageError
from llavamed_trainer.chat.answers import AnswerSettings, AnswerStream, Assistant
from llavamed_trainer.chat.conversation import Chat, ChatImage, ChatTurn, Conversation, Ending
from llavamed_trainer.chat.examples import ChatExample
from llavamed_trainer.chat.saving import load_chat

_News = tuple[int, str | Ending | LlavaMedError]
"""The number of a model, and a piece of its answer, how it ended, or why it failed."""

_BUSY = "an answer is being written: stop it first, or wait for its end"


@dataclass(frozen=True, slots=True)
class ChatView:
    """What the page shows.

    Attributes:
        chat: the image and the conversations; None leaves them as they are.
        being_written: for each model, whether its last answer is not at its end.
        fault: a line on what went wrong, or "".
    """

    chat: Chat | None
    being_written: Sequence[bool]
    fault: str = ""


class _Answers:
    """The answers of all models to one question while they are written, each in a thread of its own."""

    def __init__(self, question: str, names: Sequence[str]) -> None:
        self._question, self._names = question, names
        self._texts = [""] * len(names)
        self._endings: dict[int, Ending] = {}
        self._faults: list[str] = []
        self._streams: list[AnswerStream] = []
        self._stopped = threading.Event()
        self._news: queue.SimpleQueue[_News] = queue.SimpleQueue()

    def begin(self, begun: Sequence[Callable[[], AnswerStream]]) -> None:
        """Starts to write; each function begins the answer of one model."""
        for number, begin in enumerate(begun):
            threading.Thread(target=self._write, args=(number, begin), daemon=True).start()

    def read(self) -> None:
        """Takes in what has been written since, once there is anything."""
        news = [self._news.get()]
        while not self._news.empty():
            news.append(self._news.get())
        for number, piece in news:
            if isinstance(piece, LlavaMedError):
                self._endings[number] = Ending.FAILED
                self._faults.append(f"{self._names[number]}: {piece}")
            elif isinstance(piece, Ending):
                self._endings[number] = piece
            else:
                self._texts[number] += piece

    def stop(self) -> None:
        """Ends the answers soon, also those that have not begun."""
        self._stopped.set()
        for stream in list(self._streams):
            stream.stop()

    @property
    def being_written(self) -> list[bool]:
        """For each model, whether its answer is not at its end."""
        return [number not in self._endings for number in range(len(self._texts))]

    @property
    def fault(self) -> str:
        """What went wrong, with which model."""
        return "; ".join(self._faults)

    @property
    def turns(self) -> list[ChatTurn]:
        """The question and each answer as far as it is written."""
        return [
            ChatTurn(self._question, text.strip(), self._endings.get(number, Ending.STOPPED))
            for number, text in enumerate(self._texts)
        ]

    def _write(self, number: int, begin: Callable[[], AnswerStream]) -> None:
        try:
            stream = begin()
            self._streams.append(stream)
            if self._stopped.is_set():
                stream.stop()
            for piece in stream:
                self._news.put((number, piece))
            self._news.put((number, stream.ended))
        except LlavaMedError as error:
            self._news.put((number, error))
        except Exception as error:  # the page must go on whatever a model does
            self._news.put((number, LlavaMedError(f"{type(error).__name__}: {error}")))


class ChatActions:
    """The actions on the page, for all tabs in which it is open.

    Args:
        assistants: the models.
        examples: images of a dataset, whose answers are shown beside the models'.
    """

    def __init__(self, assistants: Sequence[Assistant], examples: Sequence[ChatExample] = ()) -> None:
        self.assistants, self.examples = assistants, examples
        self._answering: dict[str, _Answers] = {}

    def begin(self, image: ChatImage | None, tab: str = "") -> ChatView:
        """A chat without questions; an answer that is being written in the tab is stopped and not shown."""
        self.close(tab)
        return self._whole(Chat(image, [Conversation(each.name) for each in self.assistants]))

    def stop(self, tab: str) -> None:
        """Ends the answers that are being written in the tab; what was written of them stays."""
        if answers := self._answering.get(tab):
            answers.stop()

    def close(self, tab: str) -> None:
        """Ends the answers that are being written in the tab, and shows no more of them."""
        if answers := self._answering.pop(tab, None):
            answers.stop()

    def ask(self, chat: Chat, question: str, settings: AnswerSettings, tab: str) -> Iterator[ChatView]:
        """The chat again and again while the answers grow, all models at the same time."""
        if tab in self._answering:
            yield self._fault(_BUSY)
            return
        if not question.strip():
            yield self._fault("the question is empty: write one")
            return
        answers = self._answering[tab] = _Answers(question, [each.name for each in self.assistants])
        reference = next((each.answer(question) for each in self._examples_with(chat.image)), "")
        begun = [
            partial(assistant.answer, chat.image, conversation.answered, question, settings)
            for assistant, conversation in zip(self.assistants, chat.conversations, strict=True)
        ]
        try:
            answers.begin(begun)
            while self._answering.get(tab) is answers:
                unfinished = answers.being_written
                yield ChatView(chat.with_turns(answers.turns, reference), unfinished, answers.fault)
                if not any(unfinished):
                    return
                answers.read()
            # another conversation was begun: Gradio shows what was yielded last once more at the end
            yield self._fault("")
        finally:
            answers.stop()
            if self._answering.get(tab) is answers:
                del self._answering[tab]

    def ask_again(self, chat: Chat, settings: AnswerSettings, tab: str) -> Iterator[ChatView]:
        """Answers the last question again, in place of the answers that it has."""
        if chat.last_question is None:
            yield self._fault("there is no question to answer again: ask one")
        elif tab in self._answering:
            yield self._fault(_BUSY)
        else:
            yield from self.ask(chat.without_last(), chat.last_question, settings, tab)

    def take_image(self, path: str, tab: str) -> ChatView:
        """Begins anew with an image that was uploaded; its file is deleted."""
        file = Path(path)
        try:
            return self.begin(ChatImage.read(file), tab)
        except LlavaMedError as error:
            return self._fault(str(error).replace(path, file.name))
        finally:
            file.unlink(missing_ok=True)

    def take_chat(self, path: str, tab: str) -> ChatView:
        """Goes on with a conversation that was saved; its file is deleted."""
        file = Path(path)
        try:
            loaded = load_chat(file)
            if len(loaded.conversations) != len(self.assistants):
                raise UsageError(
                    f"{file.name} holds {len(loaded.conversations)} conversations, and {len(self.assistants)} models "
                    "are asked here: start chat with as many"
                )
        except LlavaMedError as error:
            return self._fault(str(error).replace(path, file.name))
        finally:
            file.unlink(missing_ok=True)
        self.close(tab)
        conversations = [
            replace(each, model=assistant.name)
            for each, assistant in zip(loaded.conversations, self.assistants, strict=True)
        ]
        return self._whole(replace(loaded, conversations=conversations))

    def questions_about(self, image: ChatImage | None) -> list[str]:
        """What the dataset asks about an image of it; nothing about other images."""
        return [question for each in self._examples_with(image) for question, _ in each.rounds]

    def _examples_with(self, image: ChatImage | None) -> list[ChatExample]:
        return [each for each in self.examples if image is not None and each.image.data == image.data]

    def _whole(self, chat: Chat) -> ChatView:
        return ChatView(chat, [False] * len(self.assistants))

    def _fault(self, fault: str) -> ChatView:
        return ChatView(None, [False] * len(self.assistants), fault)
