"""A language model's own chat template, made fit for images and for training on answers alone.

The template is not rewritten, it is asked: conversations are rendered with it, what stands around the texts becomes a
template of ours with marks around the answers, and that one must render other conversations as the original does.
"""

from dataclasses import dataclass
from typing import Any

from llavamed_data.errors import UsageError

Turns = list[dict[str, str]]

OWN = "own"
"""How `assemble` calls it."""

_Q1, _A1, _Q2, _A2 = "QUESTIONONE", "ANSWERONE", "QUESTIONTWO", "ANSWERTWO"
_KEEPING = ("", " | trim")
"""What templates do to the blanks around a text: keep them, or trim them."""


@dataclass(frozen=True, slots=True)
class _Form:
    """What stands around the texts.

    Attributes:
        head: before the first question, with the system prompt if there is one.
        after_question: up to where an answer's turn is opened.
        opening: of the answer's turn, which the model is given.
        lead: blanks before the answer, which the model writes.
        stop: what ends an answer, which the model writes.
        tail: after it.
        between: before the next question.
    """

    head: str
    after_question: str
    opening: str
    lead: str
    stop: str
    tail: str
    between: str


def own_template(tokenizer: Any, name: str) -> str:
    """The template, as Jinja.

    Args:
        tokenizer: of the language model.
        name: of the language model, for errors.

    Raises:
        UsageError: there is none, or it is not made of fixed text around questions and answers.
    """
    if not tokenizer.chat_template:
        raise UsageError(f"{name} has no chat template of its own: take --template vicuna_v1 or mistral")
    if "strftime_now" in str(tokenizer.chat_template):
        raise UsageError(f"the chat template of {name} states the day's date: take --template vicuna_v1")
    try:
        form = _form(tokenizer)
        for keeping in _KEEPING:
            made = _jinja(form, keeping)
            if all(_same(tokenizer, made, turns) for turns in _conversations()):
                return made
    except Exception as error:  # whatever a foreign template raises
        raise _refusal(name, " ".join(str(error).split())[:160]) from error
    raise _refusal(name, "it does not put the same text around every turn")


def _refusal(name: str, why: str) -> UsageError:
    return UsageError(
        f"no marks can be put around the answers of {name}'s own chat template ({why}): "
        "take --template vicuna_v1, or a Jinja file with {% generation %}"
    )


def _render(tokenizer: Any, turns: Turns, *, prompt: bool, template: str | None = None) -> str:
    return str(
        tokenizer.apply_chat_template(
            turns, chat_template=template, tokenize=False, add_generation_prompt=prompt
        )
    )


def _turns(*texts: str) -> Turns:
    return [
        {"role": "assistant" if number % 2 else "user", "content": text} for number, text in enumerate(texts)
    ]


def _form(tokenizer: Any) -> _Form:
    rest = _render(tokenizer, _turns(_Q1, _A1, _Q2, _A2), prompt=False)
    pieces = []
    for text in (_Q1, _A1, _Q2, _A2):
        piece, _, rest = rest.partition(text)
        pieces.append(piece)
    head, to_answer, to_question, _ = pieces
    asked = _render(tokenizer, _turns(_Q1), prompt=False).removeprefix(head + _Q1)
    prompted = _render(tokenizer, _turns(_Q1), prompt=True).removeprefix(head + _Q1)
    ends = [rest.find(token) + len(token) for token in (tokenizer.eos_token,) if token and token in rest]
    if not ends:
        raise ValueError("answers do not end with the end-of-text token")
    return _Form(
        head=head,
        after_question=asked,
        opening=_without(asked, prompted),
        lead=_without(prompted, to_answer),
        stop=rest[: ends[0]],
        tail=rest[ends[0] :],
        between=_without(rest, to_question),
    )


def _without(prefix: str, text: str) -> str:
    if not text.startswith(prefix):
        raise ValueError(f"{text!r} does not go on from {prefix!r}")
    return text[len(prefix) :]


def _conversations() -> list[Turns]:
    texts = ("What is it?", "A cyst.", " Sure?\n", "Yes, \n quite. ", "Where?", "In the left lobe.")
    return [_turns(*texts[:count]) for count in range(1, len(texts) + 1)]


def _same(tokenizer: Any, made: str, turns: Turns) -> bool:
    return all(
        _render(tokenizer, turns, prompt=prompt) == _render(tokenizer, turns, prompt=prompt, template=made)
        for prompt in ((False, True) if turns[-1]["role"] == "user" else (False,))
    )


def _jinja(form: _Form, keeping: str) -> str:
    text = (
        f"{{%- if message['content'] is string -%}}{{{{- message['content']{keeping} -}}}}{{%- else -%}}"
        "{%- for part in message['content'] -%}{%- if part['type'] == 'image' -%}{{- '<image>\\n' -}}"
        f"{{%- else -%}}{{{{- part['text']{keeping} -}}}}{{%- endif -%}}{{%- endfor -%}}{{%- endif -%}}"
    )
    return (
        "{%- for message in messages -%}{%- if message['role'] == 'assistant' -%}"
        f"{_said(form.opening)}{{%- generation -%}}{_said(form.lead)}{text}{_said(form.stop)}"
        f"{{%- endgeneration -%}}{_said(form.tail)}"
        "{%- elif message['role'] == 'user' -%}"
        f"{{%- if loop.first -%}}{_said(form.head)}{{%- else -%}}{_said(form.between)}{{%- endif -%}}"
        f"{text}{_said(form.after_question)}"
        "{%- else -%}{{- raise_exception('only user and assistant have turns') -}}{%- endif -%}{%- endfor -%}"
        f"{{%- if add_generation_prompt -%}}{_said(form.opening)}{{%- endif -%}}"
    )


def _said(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n")
    return f"{{{{- '{escaped}' -}}}}"
