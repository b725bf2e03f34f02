"""The page on which people talk with one model, or with two side by side, about an image."""

import html
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llavamed_data.console.printable import printable, printable_line
from llavamed_data.errors import LlavaMedError, UsageError
from llavamed_data.pages import (
    LOCAL_HOST,
    RESEARCH_ONLY,
    PageServer,
    check_host,
    import_gradio,
    new_page,
    serve,
)
from llavamed_data.reasons import Drop
from llavamed_trainer.chat.answers import AnswerSettings, AnswerStream, Assistant
from llavamed_trainer.chat.conversation import (
    MOST_IMAGE_BYTES,
    Chat,
    ChatImage,
    ChatTurn,
    Conversation,
    Ending,
    chat_of,
)

if TYPE_CHECKING:
    import gradio

_MOST_CHAT_BYTES = 2 * MOST_IMAGE_BYTES
"""Bytes of a saved conversation at most: its image takes four thirds of the bytes that it has as a file."""

_DOWNLOAD = """(name, text) => {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([text], { type: 'text/plain;charset=utf-8' }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}"""

_KEYS = """() => document.addEventListener('keydown', (event) => {
  if (event.key === 'Escape') document.querySelector('#stop')?.click();
})"""

_COPY = """
element.addEventListener('click', (event) => {
  const button = event.target.closest('button.copy');
  if (button) navigator.clipboard.writeText(button.parentElement.querySelector('p').textContent);
});
"""

_STYLE = """
.talk { border: 1px solid var(--border-color-primary); padding: 8px 12px; max-height: 60vh; overflow-y: auto; }
.talk p { white-space: pre-wrap; overflow-wrap: anywhere; margin: 6px 0; }
.talk .asked { font-weight: 600; }
.talk .copy { border: 1px solid var(--input-border-color); padding: 2px 10px; border-radius: 4px; }
#picture img { max-width: 100%; max-height: 420px; display: block; }
#said:empty { display: none; }
"""


def chat_page(
    assistants: Sequence[Assistant], image: ChatImage | None = None, settings: AnswerSettings | None = None
) -> "gradio.Blocks":
    """The page for one model, or for two that answer the same questions.

    Args:
        assistants: the models.
        image: that is talked about at first.
        settings: how answers are written at first.
    """
    gr: Any = import_gradio()
    from gradio import Request

    start = settings or AnswerSettings()
    talk = _Talk(assistants)
    page = new_page("Chat about an image")

    def ask(
        chat: Chat, question: str, temperature: float, tokens: float, request: Request
    ) -> Iterator[list[Any]]:
        yield from talk.ask(
            chat, question, AnswerSettings(int(tokens), float(temperature)), str(request.session_hash)
        )

    def again(chat: Chat, temperature: float, tokens: float, request: Request) -> Iterator[list[Any]]:
        last = chat.conversations[0].turns[-1:]
        if not last:
            yield talk.shown(chat, "there is no question to answer again: ask one")
            return
        before = replace(chat, conversations=tuple(each.without_last() for each in chat.conversations))
        yield from ask(before, last[0].question, temperature, tokens, request)

    def stop(request: Request) -> None:
        talk.stop(str(request.session_hash))

    with page:
        first = talk.empty(image)
        chat = gr.State(first)
        gr.HTML(f'<h1>Chat about an image</h1><p class="research-only">{html.escape(RESEARCH_ONLY)}</p>')
        with gr.Row():
            with gr.Column(scale=1):
                picture = gr.HTML(_picture(image), elem_id="picture")
                upload = gr.File(
                    label="Image (its conversation begins anew)",
                    file_types=["image"],
                    elem_id="image",
                    height=120,
                )
            with gr.Column(scale=2), gr.Row():
                boxes = [
                    gr.HTML(_answers(each), elem_id=f"answers-{number}", js_on_load=_COPY)
                    for number, each in enumerate(first.conversations)
                ]
        said = gr.HTML("", elem_id="said")
        question = gr.Textbox(label="Question", info="Enter asks it", elem_id="question", max_lines=4)
        with gr.Row():
            send = gr.Button("Ask", variant="primary", elem_id="ask")
            halt = gr.Button("Stop (Esc)", elem_id="stop")
            redo = gr.Button("Answer again", elem_id="again")
            anew = gr.Button("Begin anew", elem_id="new")
        with gr.Row():
            temperature = gr.Slider(
                0, 2, start.temperature, step=0.1, label="Temperature", elem_id="temperature"
            )
            tokens = gr.Slider(
                1, 2048, start.max_new_tokens, step=1, label="Longest answer (tokens)", elem_id="tokens"
            )
        with gr.Row():
            as_json = gr.Button("Save as JSON", elem_id="save-json")
            as_markdown = gr.Button("Save as Markdown", elem_id="save-markdown")
            load = gr.UploadButton("Load a conversation", file_types=[".json"], elem_id="load")
        name, text = gr.Textbox(visible="hidden"), gr.Textbox(visible="hidden")

        outputs = [chat, *boxes, said]
        answering = {"concurrency_limit": 32, "api_visibility": "private", "show_progress": "hidden"}
        at_once = {"queue": False, "api_visibility": "private", "show_progress": "hidden"}
        for event in (send.click, question.submit):
            event(ask, [chat, question, temperature, tokens], outputs, **answering)
            event(None, None, question, js="() => ''")  # at once, or it would take what is typed next
        redo.click(again, [chat, temperature, tokens], outputs, **answering)
        halt.click(stop, None, None, **at_once)
        anew.click(lambda old: talk.shown(talk.empty(old.image), ""), chat, outputs, **at_once)
        upload.upload(talk.take_image, [chat, upload], [*outputs, picture, upload], **at_once)
        load.upload(talk.take_chat, [chat, load], [*outputs, picture], **at_once)
        for button, ending, written in (
            (as_json, "json", Chat.to_json),
            (as_markdown, "md", Chat.to_markdown),
        ):
            button.click(_file_of(ending, written), chat, [name, text], **at_once).then(
                None, [name, text], None, js=_DOWNLOAD
            )
    return page


def serve_chat(
    assistants: Sequence[Assistant],
    image: ChatImage | None = None,
    settings: AnswerSettings | None = None,
    *,
    host: str = LOCAL_HOST,
    port: int = 0,
) -> PageServer:
    """Serves the page.

    Args:
        assistants, image, settings: as `chat_page` takes them.
        host, port: as `llavamed_data.pages.serve` takes them.

    Raises:
        UsageError: others than this machine could open it and there is no password, or the port is not free.
    """
    check_host(host)
    page = chat_page(assistants, image, settings)
    return serve(page, host=host, port=port, script=_KEYS, style=_STYLE, most_upload_bytes=_MOST_CHAT_BYTES)


class _Talk:
    """What the buttons of the page do; each call returns the new chat, the answers, and a line on what went wrong."""

    def __init__(self, assistants: Sequence[Assistant]) -> None:
        self._assistants = assistants
        self._streams: dict[str, list[AnswerStream]] = {}

    def empty(self, image: ChatImage | None) -> Chat:
        return Chat(image, [Conversation(each.name) for each in self._assistants])

    def shown(self, chat: Chat, fault: str) -> list[Any]:
        line = f'<p role="alert">{html.escape(printable_line(fault, 400))}</p>' if fault else ""
        return [chat, *(_answers(each) for each in chat.conversations), line]

    def stop(self, session: str) -> None:
        for stream in self._streams.get(session, ()):
            stream.stop()

    def ask(self, chat: Chat, question: str, settings: AnswerSettings, session: str) -> Iterator[list[Any]]:
        """The chat again and again while the answers grow, all models at the same time."""
        if not question.strip():
            yield self.shown(chat, "the question is empty: write one")
            return
        news: queue.Queue[tuple[int, str | Ending | LlavaMedError]] = queue.Queue()
        streams: list[AnswerStream] = []
        self._streams[session] = streams
        for number in range(len(self._assistants)):
            arguments = (number, chat, question, settings, streams, news)
            threading.Thread(target=self._answer, args=arguments, daemon=True).start()
        texts, endings, fault = [""] * len(self._assistants), dict[int, Ending](), ""
        try:
            while len(endings) < len(texts):
                number, piece = news.get()
                if isinstance(piece, LlavaMedError):
                    endings[number] = Ending.FAILED
                    fault = f"{self._assistants[number].name}: {piece}"
                elif isinstance(piece, Ending):
                    endings[number] = piece
                else:
                    texts[number] += piece
                turns = [
                    ChatTurn(question, text.strip(), endings.get(at, Ending.STOPPED))
                    for at, text in enumerate(texts)
                ]
                grown = tuple(
                    each.with_turn(turn) for each, turn in zip(chat.conversations, turns, strict=True)
                )
                yield self.shown(replace(chat, conversations=grown), fault)
        finally:
            self.stop(session)
            self._streams.pop(session, None)

    def _answer(
        self,
        number: int,
        chat: Chat,
        question: str,
        settings: AnswerSettings,
        streams: list[AnswerStream],
        news: "queue.Queue[tuple[int, str | Ending | LlavaMedError]]",
    ) -> None:
        try:
            answered = chat.conversations[number].answered
            stream = self._assistants[number].answer(chat.image, answered, question, settings)
            streams.append(stream)
            for piece in stream:
                news.put((number, piece))
            news.put((number, stream.ended))
        except LlavaMedError as error:
            news.put((number, error))
        except Exception as error:  # the page must go on whatever a model does
            news.put((number, LlavaMedError(f"{type(error).__name__}: {error}")))

    def take_image(self, chat: Chat, path: str) -> list[Any]:
        """Begins anew with an image that was uploaded; its file is deleted."""
        try:
            image = ChatImage.read(Path(path))
            image = ChatImage.of(Path(path).name, image.data)
        except LlavaMedError as error:
            return [*self.shown(chat, str(error).replace(path, Path(path).name)), _picture(chat.image), None]
        finally:
            Path(path).unlink(missing_ok=True)
        return [*self.shown(self.empty(image), ""), _picture(image), None]

    def take_chat(self, chat: Chat, path: str) -> list[Any]:
        """Goes on with a conversation that was saved; its file is deleted."""
        try:
            loaded = chat_of(Path(path).read_text(encoding="utf-8"), Path(path).name)
            if len(loaded.conversations) != len(self._assistants):
                raise UsageError(
                    f"{Path(path).name} holds {len(loaded.conversations)} conversations, and {len(self._assistants)} "
                    "models are asked here: start chat with as many"
                )
        except UnicodeDecodeError:
            return [*self.shown(chat, f"{Path(path).name} is no UTF-8 text"), _picture(chat.image)]
        except LlavaMedError as error:
            return [*self.shown(chat, str(error)), _picture(chat.image)]
        finally:
            Path(path).unlink(missing_ok=True)
        renamed = tuple(
            replace(each, model=assistant.name)
            for each, assistant in zip(loaded.conversations, self._assistants, strict=True)
        )
        return [*self.shown(replace(loaded, conversations=renamed), ""), _picture(loaded.image)]


def _answers(conversation: Conversation) -> str:
    """The turns as HTML; what people and models wrote is text in it, which acts as nothing else."""
    name = html.escape(printable_line(conversation.model, 80))
    lines = [f'<section class="talk" role="log" tabindex="0" aria-label="Answers of {name}"><h2>{name}</h2>']
    for turn in conversation.turns:
        ended = "" if turn.ended is Ending.COMPLETE else f" <small>({turn.ended})</small>"
        lines.append(f'<p class="asked" dir="auto">{html.escape(printable(turn.question))}</p>')
        lines.append(
            f'<div class="answered"><p dir="auto">{html.escape(printable(turn.answer))}</p>{ended}'
            '<button type="button" class="copy">Copy</button></div>'
        )
    return "".join([*lines, "</section>"])


def _picture(image: ChatImage | None) -> str:
    if image is None:
        return "<p>No image yet: drop one below.</p>"
    from llavamed_trainer.evaluation.predict.served import data_url

    try:
        address = data_url(image.data)
    except Drop:
        return "<p>The image cannot be shown.</p>"
    name = html.escape(printable_line(image.name, 120), quote=True)
    return f'<img src="{address}" alt="{name}">'


def _file_of(ending: str, written: Callable[[Chat], str]) -> Callable[[Chat], tuple[str, str]]:
    def make(chat: Chat) -> tuple[str, str]:
        return f"conversation.{ending}", written(chat)

    return make
