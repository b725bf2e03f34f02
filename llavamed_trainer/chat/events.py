"""What the chat page calls at its events: takes what Gradio gives, acts, and returns what the page's parts show.

This module imports Gradio, which looks at the types of parameters for where to pass a request; it is imported when a
page is made, after `llavamed_data.pages.import_gradio`.
"""

from collections.abc import Iterator
from typing import Any

from gradio import Dataset, Request, SelectData, skip

from llavamed_trainer.chat.actions import ChatActions, ChatView
from llavamed_trainer.chat.answers import AnswerSettings
from llavamed_trainer.chat.conversation import Chat
from llavamed_trainer.chat.rendering import answers_html, fault_html, image_html, references_html
from llavamed_trainer.chat.saving import chat_as_json, chat_as_markdown


class ChatEvents:
    """The events of the page, in each tab of a browser.

    Where nothing else is said, the outputs are the chat, the answers of each model, the reference answers, and the line
    on what went wrong.

    Args:
        actions: what people can do.
    """

    def __init__(self, actions: ChatActions) -> None:
        self._chats = actions

    def ask(
        self, chat: Chat, question: str, temperature: float, tokens: float, request: Request
    ) -> Iterator[list[Any]]:
        """Asks, and shows the answers while they grow."""
        settings = AnswerSettings(int(tokens), float(temperature))
        yield from map(_shown, self._chats.ask(chat, question, settings, _tab(request)))

    def ask_again(
        self, chat: Chat, temperature: float, tokens: float, request: Request
    ) -> Iterator[list[Any]]:
        """Asks the last question again."""
        settings = AnswerSettings(int(tokens), float(temperature))
        yield from map(_shown, self._chats.ask_again(chat, settings, _tab(request)))

    def stop(self, request: Request) -> None:
        """Stops the answers; there are no outputs."""
        self._chats.stop(_tab(request))

    def close(self, request: Request) -> None:
        """Stops the answers in a tab that was closed; there are no outputs."""
        self._chats.close(_tab(request))

    def begin_anew(self, chat: Chat, request: Request) -> list[Any]:
        """Begins anew with the same image."""
        return _shown(self._chats.begin(chat.image, _tab(request)))

    def choose(self, request: Request, chosen: SelectData) -> list[Any]:
        """Begins with an image of the dataset; the image and the dataset's questions are outputs too."""
        image = self._chats.examples[chosen.index].image
        return self._shown_with_image(self._chats.begin(image, _tab(request)))

    def take_image(self, path: str, request: Request) -> list[Any]:
        """Begins with an uploaded image; besides as `choose`, the upload is an output, which is emptied."""
        return [*self._shown_with_image(self._chats.take_image(path, _tab(request))), None]

    def take_chat(self, path: str, request: Request) -> list[Any]:
        """Goes on with a saved conversation; outputs as of `choose`."""
        return self._shown_with_image(self._chats.take_chat(path, _tab(request)))

    def write_json(self, chat: Chat) -> tuple[str, str]:
        """The name and the text of a file with the conversation as JSON."""
        return "conversation.json", chat_as_json(chat)

    def write_markdown(self, chat: Chat) -> tuple[str, str]:
        """The name and the text of a file with the conversation as Markdown."""
        return "conversation.md", chat_as_markdown(chat)

    def _shown_with_image(self, view: ChatView) -> list[Any]:
        if view.chat is None:
            return [*_shown(view), skip(), skip()]
        asked = [[question] for question in self._chats.questions_about(view.chat.image)]
        questions = Dataset(samples=asked, visible=bool(asked))
        return [*_shown(view), image_html(view.chat.image), questions]


def _shown(view: ChatView) -> list[Any]:
    unfinished = view.being_written
    if view.chat is None:
        return [*([skip()] * (2 + len(unfinished))), fault_html(view.fault)]
    answers = [
        answers_html(each, being_written=growing)
        for each, growing in zip(view.chat.conversations, unfinished, strict=True)
    ]
    return [view.chat, *answers, references_html(view.chat), fault_html(view.fault)]


def _tab(request: Request) -> str:
    return str(request.session_hash)
