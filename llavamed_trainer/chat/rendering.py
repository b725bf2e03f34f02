"""The parts of the chat page as HTML; what people, models and datasets wrote is text in it and acts as nothing else."""

import html
from collections.abc import Iterable

from llavamed_data.console.printable import printable, printable_line
from llavamed_data.reasons import Drop
from llavamed_trainer.chat.conversation import Chat, ChatImage, Conversation, Ending

_COPY = '<button type="button" class="copy">Copy</button>'


def answers_html(conversation: Conversation, *, being_written: bool = False) -> str:
    """The questions to a model and its answers.

    Args:
        conversation: with the model.
        being_written: the last answer is not at its end.
    """
    last = len(conversation.turns) - 1
    parts = list[str]()
    for number, turn in enumerate(conversation.turns):
        parts.append(f'<p class="asked" dir="auto">{_text(turn.question)}</p>')
        answer = f'<p dir="auto">{_text(turn.answer)}</p>'
        if being_written and number == last:
            parts.append(f'<div class="answered">{answer}<small>…</small></div>')
        else:
            ended = "" if turn.ended is Ending.COMPLETE else f" <small>({turn.ended})</small>"
            parts.append(f'<div class="answered">{answer}{ended}{_COPY}</div>')
    return _section(conversation.model, f"Answers of {conversation.model}", parts, busy=being_written)


def references_html(chat: Chat) -> str:
    """The right answers to the questions that were asked; nothing where none is known."""
    if not any(chat.references):
        return ""
    parts = list[str]()
    for number, turn in enumerate(chat.conversations[0].turns):
        parts.append(f'<p class="asked" dir="auto">{_text(turn.question)}</p>')
        known = chat.reference(number)
        said = f'<p dir="auto">{_text(known)}</p>' if known else "<p><small>none is known</small></p>"
        parts.append(f'<div class="answered">{said}</div>')
    return _section("Reference", "Reference answers", parts)


def image_html(image: ChatImage | None) -> str:
    """The image that is talked about."""
    if image is None:
        return "<p>No image yet: choose or drop one.</p>"
    from llavamed_trainer.evaluation.predict.served import data_url

    try:
        address = data_url(image.data)
    except Drop:
        return "<p>The image cannot be shown.</p>"
    name = html.escape(printable_line(image.name, 120), quote=True)
    return f'<img src="{address}" alt="{name}">'


def fault_html(fault: str) -> str:
    """A line on what went wrong; nothing for an empty text."""
    return f'<p role="alert">{html.escape(printable_line(fault, 400))}</p>' if fault else ""


def _section(heading: str, label: str, parts: Iterable[str], *, busy: bool = False) -> str:
    shown, label = (html.escape(printable_line(text, 120), quote=True) for text in (heading, label))
    state = ' aria-busy="true"' if busy else ""
    return (
        f'<section class="talk" role="log" tabindex="0" aria-label="{label}"{state}><h2>{shown}</h2>'
        f"{''.join(parts)}</section>"
    )


def _text(text: str) -> str:
    return html.escape(printable(text))
