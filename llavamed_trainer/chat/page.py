"""The page on which people talk with one model, or with two side by side, about an image."""

import html
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from llavamed_data.pages import (
    LOCAL_HOST,
    RESEARCH_ONLY,
    PageServer,
    check_host,
    import_gradio,
    new_page,
    serve,
)
from llavamed_trainer.chat.actions import ChatActions
from llavamed_trainer.chat.answers import AnswerSettings, Assistant
from llavamed_trainer.chat.conversation import ChatImage
from llavamed_trainer.chat.examples import ChatExample
from llavamed_trainer.chat.rendering import answers_html, image_html
from llavamed_trainer.chat.saving import MOST_CHAT_BYTES
from llavamed_trainer.collate.pixels import read_image

if TYPE_CHECKING:
    import gradio

_EXAMPLE_PIXELS = 160
"""The longer side of an example in the gallery."""

_DOWNLOAD = """(name, text) => {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([text], { type: 'text/plain;charset=utf-8' }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}"""

_ONCE_ANSWERED = """
  const asking = document.querySelector('#question').dataset;
  const isWriting = () => Boolean(document.querySelector('.talk[aria-busy=true]'));
  while ((asking.asked || asking.askedAgain) && !isWriting()) await new Promise((done) => setTimeout(done, 20));
"""
"""Waits for the end of an event whose answers are shown whole already.

Until that end, which is moments later, Gradio drops what is asked, and shows the answers once more over what is begun.
It does not wait while answers are being written: what is asked then is refused, and what is begun then stops them.
"""

_TAKE_QUESTION = f"""async (text) => {{
  const box = document.querySelector('#question textarea');
  const typed = box.value;
  {_ONCE_ANSWERED}
  if (isWriting()) return ['', box.value];
  asking.asked = true;
  return [text, box.value === typed ? '' : box.value];
}}"""
"""Takes a question out of its box; one that is typed while an answer is being written stays there."""

_BEGIN_ANEW = f"async (...given) => {{ {_ONCE_ANSWERED} return given; }}"

_ASK_AGAIN = f"async (...given) => {{ {_ONCE_ANSWERED} asking.askedAgain = true; return given; }}"

_ASKED = "() => { delete document.querySelector('#question').dataset.asked; }"

_ASKED_AGAIN = "() => { delete document.querySelector('#question').dataset.askedAgain; }"

_FOCUS_QUESTION = "() => document.querySelector('#question textarea').focus()"


def chat_page(
    assistants: Sequence[Assistant],
    image: ChatImage | None = None,
    settings: AnswerSettings | None = None,
    examples: Sequence[ChatExample] = (),
) -> "gradio.Blocks":
    """The page for one model, or for two that answer the same questions.

    Args:
        assistants: the models.
        image: that is talked about at first.
        settings: how answers are written at first.
        examples: images of a dataset that people may choose, with the dataset's questions and answers.
    """
    gr: Any = import_gradio()
    start = settings or AnswerSettings()
    actions = ChatActions(assistants, examples)
    from llavamed_trainer.chat.events import ChatEvents  # which imports Gradio

    on, in_answers = ChatEvents(actions), _file("answers.js")
    page = new_page("Chat about an image")
    with page:
        first = actions.begin(image).chat
        assert first is not None
        chat = gr.State(first)
        gr.HTML(
            f'<h1>Chat about an image</h1><p class="research-only">{html.escape(RESEARCH_ONLY)}</p>'
            f'<p class="always-in-sight">{html.escape(RESEARCH_ONLY.partition(". ")[0])}.</p>'
        )
        gallery = gr.Gallery(
            [(_small(each.image), each.title) for each in examples],
            label="Images of the dataset",
            elem_id="examples",
            columns=8,
            fit_columns=False,
            height="auto",
            allow_preview=False,
            interactive=False,
            buttons=[],
            visible=bool(examples),
        )
        with gr.Row():
            with gr.Column(scale=1, min_width=280):
                picture = gr.HTML(image_html(image), elem_id="picture")
                upload = gr.File(
                    label="Your image",
                    file_types=["image"],
                    elem_id="image",
                    height=150,
                )
            with gr.Column(scale=2), gr.Row():
                boxes = [
                    gr.HTML(answers_html(each), elem_id=f"answers-{number}", js_on_load=in_answers)
                    for number, each in enumerate(first.conversations)
                ]
                references = gr.HTML("", elem_id="references", js_on_load=in_answers)
        said = gr.HTML("", elem_id="said")
        question = gr.Textbox(label="Question", info="Enter asks it", elem_id="question", max_lines=4)
        asked_of_first = [[each] for each in actions.questions_about(image)]
        questions = gr.Dataset(
            components=[gr.Textbox(visible=False)],
            samples=asked_of_first,
            label="Questions of the dataset about this image",
            elem_id="questions",
            visible=bool(asked_of_first),
        )
        with gr.Row():
            send = gr.Button("Ask", variant="primary", elem_id="ask", min_width=140)
            halt = gr.Button("Stop (Esc)", elem_id="stop", min_width=140)
            again = gr.Button("Answer again", elem_id="again", min_width=140)
            anew = gr.Button("Begin anew", elem_id="new", min_width=140)
        with gr.Row():
            temperature = gr.Slider(
                0, 2, start.temperature, step=0.1, label="Temperature", elem_id="temperature", buttons=[]
            )
            tokens = gr.Slider(
                1,
                max(2048, start.max_new_tokens),
                start.max_new_tokens,
                step=1,
                label="Longest answer (tokens)",
                elem_id="tokens",
                buttons=[],
            )
        with gr.Row():
            as_json = gr.Button("Save as JSON", elem_id="save-json", min_width=140)
            as_markdown = gr.Button("Save as Markdown", elem_id="save-markdown", min_width=140)
            load = gr.UploadButton("Load a conversation", file_types=[".json", ".md"], elem_id="load")
        taken, name, text = (gr.Textbox(visible="hidden") for _ in range(3))

        outputs = [chat, *boxes, references, said]
        with_image = [*outputs, picture, questions]
        answering = {"concurrency_limit": 32, "api_visibility": "private", "show_progress": "hidden"}
        at_once = {"queue": False, "api_visibility": "private", "show_progress": "hidden"}
        gr.on([send.click, question.submit], None, question, [taken, question], js=_TAKE_QUESTION).then(
            on.ask, [chat, taken, temperature, tokens], outputs, **answering
        ).then(None, None, None, js=_ASKED)
        again.click(on.ask_again, [chat, temperature, tokens], outputs, js=_ASK_AGAIN, **answering).then(
            None, None, None, js=_ASKED_AGAIN
        )
        halt.click(on.stop, None, None, **at_once)
        anew.click(on.begin_anew, chat, outputs, js=_BEGIN_ANEW, **at_once)
        gallery.select(on.choose, None, with_image, js=_BEGIN_ANEW, **at_once)
        questions.click(lambda sample: sample[0], questions, question, **at_once).then(
            None, None, None, js=_FOCUS_QUESTION
        )
        upload.upload(on.take_image, upload, [*with_image, upload], js=_BEGIN_ANEW, **at_once)
        load.upload(on.take_chat, load, with_image, js=_BEGIN_ANEW, **at_once)
        for button, write in ((as_json, on.write_json), (as_markdown, on.write_markdown)):
            button.click(write, chat, [name, text], **at_once).then(None, [name, text], None, js=_DOWNLOAD)
        page.unload(on.close)
    return page


def serve_chat(
    assistants: Sequence[Assistant],
    image: ChatImage | None = None,
    settings: AnswerSettings | None = None,
    examples: Sequence[ChatExample] = (),
    *,
    host: str = LOCAL_HOST,
    port: int = 0,
) -> PageServer:
    """Serves the page.

    Args:
        assistants, image, settings, examples: as `chat_page` takes them.
        host, port: as `llavamed_data.pages.serve` takes them.

    Raises:
        UsageError: others than this machine could open it and there is no password, or the port is not free.
    """
    check_host(host)
    page = chat_page(assistants, image, settings, examples)
    return serve(
        page,
        host=host,
        port=port,
        script=_file("page.js"),
        style=_file("page.css"),
        most_upload_bytes=MOST_CHAT_BYTES,
    )


@cache
def _file(name: str) -> str:
    return files("llavamed_trainer.chat").joinpath("templates", name).read_text(encoding="utf-8")


def _small(image: ChatImage) -> Any:
    """The image as the gallery shows it."""
    small = read_image({"bytes": image.data})
    small.thumbnail((_EXAMPLE_PIXELS, _EXAMPLE_PIXELS))
    return small
