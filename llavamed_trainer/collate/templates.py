"""A row's text as the model reads it, and where in it the answers are."""

import re
from collections.abc import Sequence
from typing import Any, TypeAlias

from jinja2 import TemplateError
from transformers import LlavaProcessor
from transformers.utils.chat_template_utils import render_jinja_template

from llavamed_data.errors import UsageError
from llavamed_trainer.collate.messages import Message, count_images, texts
from llavamed_trainer.collate.refusals import Fault, Refusal

Span: TypeAlias = tuple[int, int]
"""First character and the one after the last."""

_MARK = re.compile(r"\{%-?\s*generation\s*-?%\}")


class ChatTemplate:
    """The chat template of a processor, with `{% generation %}` marks around what an assistant says.

    Raises:
        UsageError: there is no template, or it has no marks.
    """

    def __init__(self, processor: LlavaProcessor) -> None:
        template = processor.chat_template or processor.tokenizer.chat_template
        self._template = template.get("default") if isinstance(template, dict) else template
        self._words: dict[str, Any] = processor.tokenizer.special_tokens_map
        if not self._template or not _MARK.search(self._template):
            raise UsageError(
                f"the chat template of {processor.tokenizer.name_or_path or 'this model'} "
                f"{'has no {% generation %} marks' if self._template else 'is missing'}, so answers cannot be told "
                "from questions: train with --template vicuna_v1 (or mistral), or set processor.chat_template to one "
                "of llavamed_trainer.assembly.TEMPLATES"
            )

    def render(self, messages: Sequence[Message]) -> tuple[str, list[Span]]:
        """Text, and the spans of it that are answers with their end marks; empty answers have no span.

        Raises:
            Refusal: the template does not take these messages.
        """
        try:
            rendered: Any = render_jinja_template(
                [list(messages)],
                chat_template=self._template,
                return_assistant_tokens_mask=True,
                **self._words,
            )
        except TemplateError as error:
            raise Refusal(Fault.MALFORMED, f"the chat template does not take it: {error}") from error
        (text,), (spans,) = rendered
        end = self._words.get("eos_token", "")
        return text, [(start, stop) for start, stop in spans if text[start:stop].replace(end, "").strip()]


class AnswersOnly:
    """No template and no question: the image and the answers, which is all that Stage 1 needs (section C.2).

    One image and one answer are `<s><image>\\nanswer</s>`; further answers follow on lines of their own.
    """

    def __init__(self, processor: LlavaProcessor) -> None:
        self._first: str = processor.tokenizer.bos_token or ""
        self._image: str = processor.image_token
        self._end: str = processor.tokenizer.eos_token or ""

    def render(self, messages: Sequence[Message]) -> tuple[str, list[Span]]:
        """Text, and the span of it that is the answer with its end mark.

        Raises:
            Refusal: there is no image.
        """
        images = count_images(messages)
        if not images:
            raise Refusal(Fault.NO_IMAGE, "the image is the only input, and there is none")
        answers = [text for text in texts(messages, "assistant") if text.strip()]
        start = self._first + self._image * images + "\n"
        text = start + "\n".join(answers) + self._end
        return text, [(len(start), len(text))]
