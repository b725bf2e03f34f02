"""Chat templates that mark what the assistant says (`{% generation %}`), so that training can tell answers apart.

There are three kinds: the packaged ones (`TEMPLATES`), a user's own file, and the template of a language model made fit
for images. The last is not edited: conversations are rendered with it, the fixed text around the messages becomes a new
template with marks, and the new template must render further conversations exactly as the original does.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from llavamed_data.errors import UsageError, one_line

TEMPLATES = {
    path.stem: path.read_text(encoding="utf-8").rstrip("\n")
    for path in sorted((Path(__file__).parent / "templates").glob("*.jinja"))
}
"""The packaged templates as Jinja text, by name. `vicuna_v1` is LLaVA's `conv_vicuna_v1` (its file conversation.py),
`mistral` is that of Mistral-7B-Instruct; LLaVA-Med's `conv_mistral_instruct` differs from it by a blank before each
`</s>`."""

_GENERATION = re.compile(r"\{%[-+]?\s*generation\s*[-+]?%\}")

_Turns: TypeAlias = list[dict[str, str]]

_MESSAGES = ("QUESTIONONE", "ANSWERONE", "QUESTIONTWO", "ANSWERTWO")
"""Messages that are rendered to see what a template puts around them."""

_FILTERS = ("", " | trim")
"""What templates do to blanks around a message: they keep them, or trim them."""


def marks_answers(template: str) -> bool:
    """Whether a chat template has `{% generation %}` marks."""
    return bool(_GENERATION.search(template))


def find_template(name: str) -> str:
    """Returns the Jinja text of a packaged template by its name, or of a file by its path.

    Raises:
        UsageError: there is no such template, or it does not mark what the assistant says.
    """
    if name in TEMPLATES:
        return TEMPLATES[name]
    path = Path(name)
    if not path.is_file():
        raise UsageError(
            f"no chat template is called {name!r}: choose from {', '.join(TEMPLATES)}, or give the path of a file"
        )
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"the chat template {path} cannot be read: {one_line(error)}") from error
    if not marks_answers(text):
        raise UsageError(
            f"{path} does not mark what the assistant says: put {{% generation %}} around its answers"
        )
    return text


def template_with_images(tokenizer: Any, name: str) -> str:
    """Makes a template from a language model's own: it takes images and marks the answers, and is otherwise the same.

    Args:
        tokenizer: the language model's.
        name: of the language model, for errors.

    Returns:
        The template as Jinja text.

    Raises:
        UsageError: there is no template, or it is not made of fixed text around questions and answers.
    """
    if not tokenizer.chat_template:
        raise UsageError(f"{name} has no chat template of its own: use --template vicuna_v1 or mistral")
    if "strftime_now" in str(tokenizer.chat_template):
        raise UsageError(f"the chat template of {name} states the current date: use --template vicuna_v1")
    reason = "it does not put the same text around every turn"
    try:
        around = _text_around_messages(tokenizer)
        for blanks in _FILTERS:
            made = _jinja(around, blanks)
            if _renders_alike(tokenizer, made):
                return made
    except Exception as error:  # a foreign template may raise anything
        reason = one_line(error, 160)
    raise UsageError(
        f"the answers in the chat template of {name} cannot be marked ({reason}): use --template vicuna_v1, or a Jinja "
        "file with {% generation %}"
    )


@dataclass(frozen=True, slots=True)
class _TextAround:
    """The fixed text that a template puts around messages.

    Attributes:
        start: before the first question, with the system prompt if there is one.
        after_question: from a question to the header of the answer.
        answer_header: opens the answer's turn; the model is given it.
        before_answer: between the header and the answer; the model writes it.
        answer_end: ends the answer; the model writes it.
        after_answer: follows the answer's end.
        before_question: precedes every question but the first.
    """

    start: str
    after_question: str
    answer_header: str
    before_answer: str
    answer_end: str
    after_answer: str
    before_question: str


def _text_around_messages(tokenizer: Any) -> _TextAround:
    rest = _render(tokenizer, _turns(*_MESSAGES))
    pieces = []
    for message in _MESSAGES:
        piece, _, rest = rest.partition(message)
        pieces.append(piece)
    start, question_to_answer, answer_to_question, _ = pieces
    question = _render(tokenizer, _turns(_MESSAGES[0])).removeprefix(start + _MESSAGES[0])
    prompt = _render(tokenizer, _turns(_MESSAGES[0]), prompt=True).removeprefix(start + _MESSAGES[0])
    end, after = _split_at_end_token(rest, tokenizer.eos_token)
    return _TextAround(
        start=start,
        after_question=question,
        answer_header=_without(question, prompt),
        before_answer=_without(prompt, question_to_answer),
        answer_end=end,
        after_answer=after,
        before_question=_without(rest, answer_to_question),
    )


def _split_at_end_token(text: str, token: str | None) -> tuple[str, str]:
    if not token or token not in text:
        raise ValueError("answers do not end with the end-of-text token")
    end = text.find(token) + len(token)
    return text[:end], text[end:]


def _without(prefix: str, text: str) -> str:
    if not text.startswith(prefix):
        raise ValueError(f"{text!r} does not continue {prefix!r}")
    return text[len(prefix) :]


def _turns(*texts: str) -> _Turns:
    return [
        {"role": "assistant" if number % 2 else "user", "content": text} for number, text in enumerate(texts)
    ]


def _render(tokenizer: Any, turns: _Turns, *, prompt: bool = False, template: str | None = None) -> str:
    return str(
        tokenizer.apply_chat_template(
            turns, chat_template=template, tokenize=False, add_generation_prompt=prompt
        )
    )


def _renders_alike(tokenizer: Any, template: str) -> bool:
    """Whether the template renders conversations of one to six turns as the tokenizer's own does."""
    texts = ("What is it?", "A cyst.", " Sure?\n", "Yes, \n quite. ", "Where?", "In the left lobe.")
    for count in range(1, len(texts) + 1):
        turns = _turns(*texts[:count])
        for prompt in (False, True) if turns[-1]["role"] == "user" else (False,):
            own = _render(tokenizer, turns, prompt=prompt)
            if own != _render(tokenizer, turns, prompt=prompt, template=template):
                return False
    return True


def _jinja(around: _TextAround, blanks: str) -> str:
    message = (
        f"{{%- if message['content'] is string -%}}{{{{- message['content']{blanks} -}}}}{{%- else -%}}"
        "{%- for part in message['content'] -%}{%- if part['type'] == 'image' -%}{{- '<image>\\n' -}}"
        f"{{%- else -%}}{{{{- part['text']{blanks} -}}}}{{%- endif -%}}{{%- endfor -%}}{{%- endif -%}}"
    )
    return (
        "{%- for message in messages -%}{%- if message['role'] == 'assistant' -%}"
        f"{_output(around.answer_header)}{{%- generation -%}}{_output(around.before_answer)}{message}"
        f"{_output(around.answer_end)}{{%- endgeneration -%}}{_output(around.after_answer)}"
        "{%- elif message['role'] == 'user' -%}"
        f"{{%- if loop.first -%}}{_output(around.start)}{{%- else -%}}{_output(around.before_question)}{{%- endif -%}}"
        f"{message}{_output(around.after_question)}"
        "{%- else -%}{{- raise_exception('only user and assistant have turns') -}}{%- endif -%}{%- endfor -%}"
        f"{{%- if add_generation_prompt -%}}{_output(around.answer_header)}{{%- endif -%}}"
    )


def _output(text: str) -> str:
    """A Jinja statement that writes the text as it is."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n")
    return f"{{{{- '{escaped}' -}}}}"
