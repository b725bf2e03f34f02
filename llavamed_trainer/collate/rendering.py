"""Renders the messages of a row with the chat template, and finds in its text what is learnt: answers, their ends."""

from collections.abc import Collection, Sequence
from itertools import accumulate
from typing import Any, Literal, TypeAlias, cast

import numpy as np
import numpy.typing as npt
from jinja2 import TemplateError, TemplateSyntaxError
from transformers import LlavaProcessor, ProcessorMixin
from transformers.utils.chat_template_utils import render_jinja_template
from trl import get_training_chat_template

from llavamed_data.errors import UsageError, one_line
from llavamed_trainer.collate.bad_rows import BadRowError, BadRowReason
from llavamed_trainer.collate.messages import RowMessage, count_images, texts
from llavamed_trainer.models.chat_templates import marks_answers

TextChoice: TypeAlias = Literal["all", "answers"]
Ids: TypeAlias = npt.NDArray[np.int64]
Span: TypeAlias = tuple[int, int]
"""The position of the first character and of the one after the last."""

IGNORED = -100
"""The label of a token that is not learnt; torch's cross-entropy skips it."""

PROBE: list[RowMessage] = [
    {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "What is it?"}]},
    {"role": "assistant", "content": [{"type": "text", "text": "A cyst."}]},
    {"role": "user", "content": [{"type": "text", "text": "Sure?"}]},
    {"role": "assistant", "content": [{"type": "text", "text": "Yes"}]},
]
"""A conversation that is rendered to see whether the end of each answer is learnt; its first half is one too."""

_SYSTEM: RowMessage = {"role": "system", "content": [{"type": "text", "text": "Be brief."}]}
"""Put before the conversation where a template asks for it."""

_SIGN = "\ue000"
"""A character for private use, which no text has."""

_BEFORE, _AFTER = "TEXT BEFORE", "TEXT BEHIND"
"""Texts that are rendered around an image to see what a template writes for it."""


class Renderer:
    """Turns messages into the text that a model reads, with the spans of what is learnt in it.

    Answers are told from the rest in the first of these ways that works:

    1. The template marks them (`{% generation %}`).
    2. TRL has a version of the template with marks, which must render the same text.
    3. The text up to each answer, and the text with it, are beginnings of the whole text.

    As in `ProcessorMixin.apply_chat_template`, the tokenizer adds its first token unless the template has written it.

    Args:
        processor: with a fast tokenizer.
        text: `answers` leaves out questions and the template.

    Attributes:
        end_ids: the tokens that end an answer and are learnt with it; `generate` must stop at them.

    Raises:
        UsageError: the chat template is missing, goes wrong or marks questions too, none of the ways works, or the end
            of an answer would not be learnt.
    """

    def __init__(self, processor: ProcessorMixin, text: TextChoice = "all") -> None:
        if text not in ("all", "answers"):
            raise UsageError(f"text is {text!r}: it can be all or answers")
        self._tokenizer: Any = processor.tokenizer
        self._special_tokens: dict[str, Any] = self._tokenizer.special_tokens_map
        self._image_token: str = cast("Any", processor).image_token
        self._is_llava = isinstance(processor, LlavaProcessor)
        self._answers_only = text == "answers"
        self._template: str | None = None
        if self._answers_only:
            self._image_text = self._image_token if self._is_llava else self._written_for_an_image(processor)
            self._end_text = self._end_of_answers(processor)
        else:
            self._template = self._own_template(processor)
            self._marked = marks_answers(self._template)
            if not self._marked and (training := self._template_of_trl(processor)):
                self._template, self._marked = training, True
            self._around = None if self._marked else self._text_around_answers()
        self.end_ids: frozenset[int] = frozenset()
        self.end_ids = self._find_end_ids()

    def render(self, messages: list[RowMessage]) -> tuple[str, list[Span]]:
        """The text of a conversation, and the spans of its answers with their end tokens; empty answers have none.

        Raises:
            BadRowError: the chat template does not take the messages.
            UsageError: the chat template is no valid Jinja.
        """
        if self._answers_only:
            return self._answers_alone(messages)
        try:
            text, spans = (self._by_marks if self._marked else self._by_beginnings)(messages)
        except BadRowError:
            raise
        except TemplateSyntaxError as error:
            raise UsageError(
                f"the chat template is no valid Jinja ({one_line(error)}): correct it"
            ) from error
        except Exception as error:  # a template may raise anything
            told = str(error) if isinstance(error, TemplateError) else f"{type(error).__name__}: {error}"
            raise BadRowError(
                BadRowReason.MALFORMED, f"the chat template does not take it: {told}"
            ) from error
        ends = {
            self._special_tokens.get("eos_token"),
            *self._tokenizer.convert_ids_to_tokens([*self.end_ids]),
        }
        return text, [span for span in spans if _says_anything(text[slice(*span)], ends)]

    def adds_first_token(self, text: str) -> bool:
        """Whether the tokenizer is to add its first token: unless the text begins with it."""
        first = self._tokenizer.bos_token
        return not (first and text.startswith(first))

    def tokenize(self, text: str, answers: Sequence[Span]) -> tuple[Ids, Ids, Ids]:
        """Token ids, labels, and the position in the text at which each token starts."""
        encoding = self._tokenizer(
            text,
            add_special_tokens=self.adds_first_token(text),
            return_offsets_mapping=True,
            return_attention_mask=False,
            verbose=False,
        )
        ids = np.array(encoding["input_ids"], dtype=np.int64)
        offsets = np.array(encoding["offset_mapping"], dtype=np.int64).reshape(-1, 2)
        labels = np.where(inside(offsets[:, 0], offsets[:, 1], answers), ids, IGNORED)
        return ids, labels, offsets[:, 0]

    def check_ends(self, labels: Ids, text: str, answers: Sequence[Span]) -> None:
        """Checks that every answer of a row is learnt with its end.

        Args:
            labels: of the whole row.
            text: of the row.
            answers: the spans of its answers.

        Raises:
            UsageError: the chat template leaves out the end of an answer that it writes elsewhere.
        """
        if np.isin(labels, list(self.end_ids)).sum() < len(answers):
            self._ends_of(text, answers)

    def _own_template(self, processor: ProcessorMixin) -> str:
        template: Any = processor.chat_template or self._tokenizer.chat_template
        template = template.get("default") if isinstance(template, dict) else template
        if not template:
            raise UsageError(f"the chat template of {self._name} is missing: {self._another_template}")
        return str(template)

    def _template_of_trl(self, processor: ProcessorMixin) -> str | None:
        """TRL's version of the template with marks, if it has one and that renders the same text."""
        try:
            training = get_training_chat_template(processor)
            if training is None or self._rendered(PROBE) != self._rendered(PROBE, template=training):
                return None
        except Exception:  # the template raises what it likes, TRL a ValueError where it has none
            return None
        return training

    def _rendered(
        self, messages: list[RowMessage], *, template: str | None = None, prompt: bool = False
    ) -> str:
        rendered: Any = render_jinja_template(
            [messages],
            chat_template=template or self._template,
            add_generation_prompt=prompt,
            **self._special_tokens,
        )
        return str(rendered[0][0])

    def _by_marks(self, messages: list[RowMessage]) -> tuple[str, list[Span]]:
        rendered: Any = render_jinja_template(
            [messages],
            chat_template=self._template,
            return_assistant_tokens_mask=True,
            **self._special_tokens,
        )
        (text,), (spans,) = rendered
        return text, [(start, stop) for start, stop in spans]

    def _by_beginnings(self, messages: list[RowMessage]) -> tuple[str, list[Span]]:
        text = self._rendered(messages)
        if (quick := self._by_signs(messages, text)) is not None:
            return text, quick
        spans = []
        for number, message in enumerate(messages):
            if message["role"] == "assistant":
                before = self._rendered(messages[:number], prompt=True)
                until = self._rendered(messages[: number + 1])
                if not (text.startswith(until) and until.startswith(before)):
                    raise BadRowError(
                        BadRowReason.MALFORMED,
                        "the chat template has no {% generation %} marks, and its text up to an answer is no beginning "
                        "of its text of the whole",
                    )
                spans.append((len(before), len(until)))
        return text, spans

    def _by_signs(self, messages: list[RowMessage], text: str) -> list[Span] | None:
        """The spans that `_by_beginnings` finds, from one rendering with signs around the answers; None if unsure."""
        if self._around is None or _SIGN in text:
            return None
        signed = [_with_signs(message) for message in messages]
        pieces = self._rendered(signed).split(_SIGN)
        signs = 2 * sum(
            with_signs is not message for with_signs, message in zip(signed, messages, strict=True)
        )
        if len(pieces) != signs + 1 or "".join(pieces) != text:
            return None
        before, after = self._around
        ends = list(accumulate(map(len, pieces)))
        spans = []
        for start, stop in zip(ends[:-1:2], ends[1:-1:2], strict=True):
            if not (text.endswith(before, 0, start) and text.startswith(after, stop)):
                return None
            spans.append((start - len(before), stop + len(after)))
        return spans

    def _text_around_answers(self) -> tuple[str, str] | None:
        """The text of the template within the spans of answers, before them and after; None if it differs."""
        self._around = None
        try:
            text, spans = self._by_beginnings(PROBE)
        except Exception:  # the template raises what it likes, and does so again where that is told
            return None
        found = {
            text[slice(*span)].partition(answer)[::2]
            for span, answer in zip(spans, texts(PROBE, "assistant"), strict=True)
        }
        return found.pop() if len(found) == 1 else None

    def _answers_alone(self, messages: list[RowMessage]) -> tuple[str, list[Span]]:
        r"""The image as the only input (section C.2): `<s><image>\nanswer</s>`, more answers on lines of their own."""
        images = count_images(messages)
        if not images:
            raise BadRowError(BadRowReason.NO_IMAGE, "the image is the only input, and there is none")
        start = (self._tokenizer.bos_token or "") + self._image_text * images + "\n"
        answers = "\n".join(text for text in texts(messages, "assistant") if text.strip())
        text = start + answers + self._end_text
        return text, [(len(start), len(text))]

    def _written_for_an_image(self, processor: ProcessorMixin) -> str:
        """What the template writes where an image stands between two texts, such as marks of its beginning and end."""
        parts = [{"type": "text", "text": _BEFORE}, {"type": "image"}, {"type": "text", "text": _AFTER}]
        try:
            text = self._rendered(
                [{"role": "user", "content": parts}], template=self._own_template(processor)
            )
        except Exception:  # the template raises what it likes; without one the token stands alone
            return self._image_token
        written = text.partition(_BEFORE)[2].partition(_AFTER)[0].strip("\n")
        return written if written.count(self._image_token) == 1 else self._image_token

    def _end_of_answers(self, processor: ProcessorMixin) -> str:
        """The token that the template ends answers with, so that all stages teach one; else the tokenizer's own."""
        eos = self._tokenizer.eos_token or ""
        ends = self._tokenizer.convert_ids_to_tokens(sorted(learnt_end_ids(processor)))
        return eos if eos in ends or not ends else str(ends[0])

    def _find_end_ids(self) -> frozenset[int]:
        """The tokens that end the answers of a conversation of one round and of one of two.

        A template that takes neither conversation is left to the rows, of which it may take some.

        Raises:
            UsageError: answers cannot be told from questions, or questions are marked as answers; an answer's labels do
                not end with a token of its own: a model would not learn to stop; or the template cannot be used at all.
        """
        found = set[int]()
        for messages in (PROBE[:2], PROBE):
            try:
                text, answers = self._render_probe(messages)
            except BadRowError as error:
                if error.__cause__ is None:
                    raise UsageError(
                        f"the chat template of {self._name} has no {{% generation %}} marks, so answers cannot be told "
                        f"from questions: {self._another_template}"
                    ) from error
                if type(error.__cause__) is not TemplateError:  # it did not refuse, it went wrong
                    raise UsageError(
                        f"the chat template cannot be used ({one_line(error.detail)}): the content of a message is a "
                        f"list of parts of text and images; {self._another_template}"
                    ) from error
                continue
            if any(
                question in text[start:stop]
                for question in texts(messages, "user")
                for start, stop in answers
            ):
                raise UsageError(
                    "the chat template marks questions as answers, so they would be learnt too: put "
                    "{% generation %} marks around what the assistant says alone, or "
                    f"{self._another_template}"
                )
            found |= self._ends_of(text, answers)
        return frozenset(found)

    def _render_probe(self, messages: list[RowMessage]) -> tuple[str, list[Span]]:
        """Renders a conversation, with a system turn if the template does not take it without one."""
        try:
            return self.render(messages)
        except BadRowError as error:
            if error.__cause__ is None:
                raise
            return self.render([_SYSTEM, *messages])

    def _ends_of(self, text: str, answers: Sequence[Span]) -> set[int]:
        """The tokens that end the answers of a text."""
        _, labels, starts = self.tokenize(text, answers)
        return {
            self._end_id(labels[(starts >= start) & (starts < stop)], text[start:stop])
            for start, stop in answers
        }

    def _end_id(self, labels: Ids, answer: str) -> int:
        """The last token of an answer, blanks after it aside, which must be one that stands for no text."""
        last = next(
            (
                int(label)
                for label in labels[::-1]
                if label != IGNORED and self._tokenizer.decode([label]).strip()
            ),
            None,
        )
        is_text = last is None or last not in self._tokenizer.added_tokens_decoder
        if last is None or is_text or last == self._tokenizer.convert_tokens_to_ids(self._image_token):
            end = self._tokenizer.eos_token
            if self._answers_only or not end:
                raise UsageError(
                    "the tokenizer has no end-of-text token to end answers with: set its eos_token"
                )
            way_out = "vicuna_v1 (or mistral, or a file)" if self._is_llava else "FILE, one that ends answers"
            place = "before each {% endgeneration %} of the template" if self._marked else "after each answer"
            raise UsageError(
                f"the chat template ends what is learnt of an answer with {answer[-12:]!r} and no end token, so a "
                f"model trained with it would never stop: train with --template {way_out}, or write {end} {place}"
            )
        return last

    @property
    def _name(self) -> str:
        return str(self._tokenizer.name_or_path or "this model")

    @property
    def _another_template(self) -> str:
        if self._is_llava:
            return (
                "train with --template vicuna_v1 (or mistral), or set processor.chat_template to one of "
                "llavamed_trainer.TEMPLATES"
            )
        return (
            "train with --template FILE, a Jinja file that marks answers with {% generation %}, or set "
            "processor.chat_template to such a text"
        )


def learnt_end_ids(processor: ProcessorMixin) -> frozenset[int]:
    """The tokens with which a model learns to end answers; none if its chat template cannot be trained with."""
    try:
        return Renderer(processor).end_ids
    except UsageError:
        return frozenset()


def inside(starts: Ids, ends: Ids, spans: Sequence[Span]) -> npt.NDArray[np.bool_]:
    """Which tokens share a character with a span; the spans are in order and do not overlap."""
    if not spans:
        return np.zeros(len(starts), dtype=np.bool_)
    bounds = np.array(spans, dtype=np.int64)
    next_span = np.searchsorted(bounds[:, 1], starts, side="right")
    span_starts = np.append(bounds[:, 0], np.iinfo(np.int64).max)
    return np.asarray((span_starts[next_span] < ends) & (starts < ends))


def _with_signs(message: RowMessage) -> RowMessage:
    """The message with a sign before and after what it says, if it is the assistant's."""
    if message["role"] != "assistant" or not message["content"]:
        return message
    parts = [dict(part) for part in message["content"]]
    parts[0]["text"] = _SIGN + parts[0]["text"]
    parts[-1]["text"] += _SIGN
    return {**message, "content": parts}


def _says_anything(answer: str, ends: Collection[str | None]) -> bool:
    for end in ends:
        answer = answer.replace(end, "") if end else answer
    return bool(answer.strip())
