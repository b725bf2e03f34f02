"""Turns the messages of a row into token ids and labels: only answers are learnt, and only text is cut."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from jinja2 import TemplateError, TemplateSyntaxError
from transformers import LlavaProcessor, ProcessorMixin
from transformers.utils.chat_template_utils import render_jinja_template

from llavamed_data.errors import LlavaMedError, UsageError, one_line
from llavamed_trainer.collate.bad_rows import BadRowError, BadRowReason
from llavamed_trainer.collate.messages import RowMessage, count_images, read_messages, texts
from llavamed_trainer.models.chat_templates import marks_answers
from llavamed_trainer.models.llava import llava_processor, tokens_per_image

TextChoice: TypeAlias = Literal["all", "answers"]
Ids: TypeAlias = npt.NDArray[np.int64]
Span: TypeAlias = tuple[int, int]
"""The position of the first character and of the one after the last."""

IGNORED = -100
"""The label of a token that is not learnt; torch's cross-entropy skips it."""

_PROBE: list[RowMessage] = [
    {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "What is it?"}]},
    {"role": "assistant", "content": [{"type": "text", "text": "A cyst."}]},
    {"role": "user", "content": [{"type": "text", "text": "Sure?"}]},
    {"role": "assistant", "content": [{"type": "text", "text": "Yes"}]},
]
"""A conversation that is rendered to see whether the end of each answer is learnt; its first half is one too."""

_SYSTEM: RowMessage = {"role": "system", "content": [{"type": "text", "text": "Be brief."}]}
"""Put before the conversation where a template asks for it."""


@dataclass(frozen=True, slots=True)
class EncodedRow:
    """A row ready for a batch.

    Attributes:
        ids: token ids; an image's token is repeated once for each of its features.
        labels: the ids of the answers' tokens, `IGNORED` elsewhere; of the same length.
    """

    ids: Ids
    labels: Ids


class Encoder:
    """Turns messages into token ids and labels.

    The text is rendered once and tokenized once, with one token for each image. The answers' tokens are those whose
    characters lie within the generation marks of the template. Then the image tokens are repeated among the ids. As in
    `ProcessorMixin.apply_chat_template`, the tokenizer adds its first token unless the template has written it.

    Args:
        processor: checked by `llava_processor`.
        max_length: the greatest number of tokens in a row, image tokens included; None for any.
        text: `answers` leaves out questions and the template.

    Attributes:
        end_ids: the tokens that end an answer and are learnt with it; `generate` must stop at them.

    Raises:
        UsageError: `max_length` has no room for an image, the chat template is missing, has no generation marks or
            marks questions too, or the end of an answer would not be learnt.
    """

    def __init__(
        self, processor: LlavaProcessor, *, max_length: int | None = None, text: TextChoice = "all"
    ) -> None:
        if text not in ("all", "answers"):
            raise UsageError(f"text is {text!r}: it can be all or answers")
        self.image_tokens = tokens_per_image(processor)
        if max_length is not None and max_length < self.image_tokens + 2:
            raise UsageError(
                f"max_length {max_length} has no room for an image of {self.image_tokens} tokens and a word: "
                f"give {self.image_tokens + 128} or more"
            )
        self.max_length = max_length
        self.image_id: int = processor.image_token_id
        self._image_token: str = processor.image_token
        self._tokenizer = processor.tokenizer
        self._special_tokens: dict[str, Any] = processor.tokenizer.special_tokens_map
        self._template = _chat_template(processor) if text == "all" else None
        self.end_ids: frozenset[int] = frozenset()
        self.end_ids = self._find_end_ids()

    def encode(self, messages: Any, images: int | None = None) -> EncodedRow:
        """Encodes a row.

        Args:
            messages: the `messages` of the row.
            images: the number of its images; None if it is not known.

        Raises:
            BadRowError: the row cannot be trained on; `bad_rows` has the table of reasons.
            LlavaMedError: the chat template leaves images out, or adds some, or leaves out the end of an answer that
                it writes elsewhere.
        """
        read = read_messages(messages, self._image_token, images)
        text, answers = self._text_and_answers(read)
        ids, labels, starts = self._tokenize(text, answers)
        if np.isin(labels, list(self.end_ids)).sum() < len(answers):
            self._ends_of(text, answers, labels, starts)
        is_image = ids == self.image_id
        if is_image.sum() != count_images(read):
            raise LlavaMedError(
                f"the chat template makes {is_image.sum()} image tokens of {count_images(read)} image parts: "
                f"it must write {self._image_token} once for each"
            )
        labels[is_image] = IGNORED
        times = np.where(is_image, self.image_tokens, 1)
        return self._cut(EncodedRow(np.repeat(ids, times), np.repeat(labels, times)))

    def length(self, messages: Any) -> int:
        """The number of tokens that a row takes; 0 if its messages cannot be trained on."""
        try:
            return len(self.encode(messages).ids)
        except BadRowError:
            return 0

    def _find_end_ids(self) -> frozenset[int]:
        """The tokens that end the answers of a conversation of one round and of one of two.

        A template that takes neither conversation is left to the rows, of which it may take some.

        Raises:
            UsageError: an answer's labels do not end with a token of its own: a model would not learn to stop; or
                questions are marked as answers; or the template cannot be used at all.
        """
        found = set[int]()
        for messages in (_PROBE[:2], _PROBE):
            try:
                text, answers = self._text_and_answers(messages)
            except BadRowError:
                try:
                    text, answers = self._text_and_answers([_SYSTEM, *messages])
                except BadRowError as error:
                    if type(error.__cause__) is not TemplateError:  # it did not refuse, it went wrong
                        raise UsageError(
                            f"the chat template cannot be used ({one_line(error.detail)}): the content of a message "
                            "is a list of parts of text and images; train with --template vicuna_v1 (or mistral)"
                        ) from error
                    continue
            if any(
                question in text[start:stop]
                for question in texts(messages, "user")
                for start, stop in answers
            ):
                raise UsageError(
                    "the chat template marks questions as answers, so they would be learnt too: put "
                    "{% generation %} marks around what the assistant says alone, or train with --template vicuna_v1"
                )
            _, labels, starts = self._tokenize(text, answers)
            found |= self._ends_of(text, answers, labels, starts)
        return frozenset(found)

    def _ends_of(self, text: str, answers: Sequence[Span], labels: Ids, starts: Ids) -> set[int]:
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
        if last is None or last == self.image_id or last not in self._tokenizer.added_tokens_decoder:
            end = self._tokenizer.eos_token
            if self._template is None or not end:
                raise UsageError(
                    "the tokenizer has no end-of-text token to end answers with: set its eos_token"
                )
            raise UsageError(
                f"the chat template ends what is learnt of an answer with {answer[-12:]!r} and no end token, so a "
                f"model trained with it would never stop: train with --template vicuna_v1 (or mistral, or a file), or "
                f"write {end} before each {{% endgeneration %}} of the template"
            )
        return last

    def _text_and_answers(self, messages: list[RowMessage]) -> tuple[str, list[Span]]:
        return self._render(messages) if self._template else self._answers_alone(messages)

    def _tokenize(self, text: str, answers: Sequence[Span]) -> tuple[Ids, Ids, Ids]:
        """Token ids, labels, and the position in the text at which each token starts."""
        first = self._tokenizer.bos_token
        encoding = self._tokenizer(
            text,
            add_special_tokens=not (first and text.startswith(first)),
            return_offsets_mapping=True,
            return_attention_mask=False,
            verbose=False,
        )
        ids = np.array(encoding["input_ids"], dtype=np.int64)
        offsets = np.array(encoding["offset_mapping"], dtype=np.int64).reshape(-1, 2)
        labels = np.where(_inside(offsets[:, 0], offsets[:, 1], answers), ids, IGNORED)
        return ids, labels, offsets[:, 0]

    def _render(self, messages: list[RowMessage]) -> tuple[str, list[Span]]:
        """The text that the template makes, and the spans of the answers and their end tokens; empty ones have none."""
        try:
            rendered: Any = render_jinja_template(
                [messages],
                chat_template=self._template,
                return_assistant_tokens_mask=True,
                **self._special_tokens,
            )
        except TemplateSyntaxError as error:
            raise UsageError(
                f"the chat template is no valid Jinja ({one_line(error)}): correct it"
            ) from error
        except Exception as error:  # a template may raise anything
            told = str(error) if isinstance(error, TemplateError) else f"{type(error).__name__}: {error}"
            raise BadRowError(
                BadRowReason.MALFORMED, f"the chat template does not take it: {told}"
            ) from error
        (text,), (spans,) = rendered
        ends = [self._special_tokens.get("eos_token", ""), *map(self._tokenizer.decode, self.end_ids)]
        return text, [(start, stop) for start, stop in spans if _without(ends, text[start:stop]).strip()]

    def _answers_alone(self, messages: list[RowMessage]) -> tuple[str, list[Span]]:
        r"""The image as the only input (section C.2): `<s><image>\nanswer</s>`, more answers on lines of their own."""
        images = count_images(messages)
        if not images:
            raise BadRowError(BadRowReason.NO_IMAGE, "the image is the only input, and there is none")
        start = (self._tokenizer.bos_token or "") + self._image_token * images + "\n"
        answers = "\n".join(text for text in texts(messages, "assistant") if text.strip())
        text = start + answers + (self._tokenizer.eos_token or "")
        return text, [(len(start), len(text))]

    def _cut(self, row: EncodedRow) -> EncodedRow:
        ids, labels = row.ids[: self.max_length], row.labels[: self.max_length]
        is_cut = len(ids) < len(row.ids)
        if is_cut and (row.ids[len(ids) :] == self.image_id).any():
            raise BadRowError(
                BadRowReason.IMAGE_CUT_OFF,
                f"the text before an image fills the {self.max_length} tokens of a row",
            )
        if (labels[1:] == IGNORED).all():
            raise BadRowError(
                BadRowReason.ANSWER_CUT_OFF,
                f"it has {len(row.ids):,} tokens, and no answer is in the first {self.max_length:,}"
                if is_cut
                else "the chat template marks nothing in it as an answer",
            )
        return EncodedRow(ids, labels)


def token_lengths(
    rows: Sequence[Mapping[str, Any]],
    processor: ProcessorMixin,
    max_length: int | None = None,
    *,
    text: TextChoice = "all",
) -> list[int]:
    """Counts the tokens of each row, image tokens included; no image is read.

    Args:
        rows: rows with `messages`; image parts are counted, the column `images` is not needed.
        processor: a `LlavaProcessor`.
        max_length: as for the collator.
        text: as for the collator.

    Returns:
        One number for each row, 0 for a row whose messages cannot be trained on.

    Raises:
        UsageError: the processor cannot be used, or `max_length` has no room for an image.
    """
    encoder = Encoder(llava_processor(processor), max_length=max_length, text=text)
    return [encoder.length(row["messages"]) for row in rows]


def learnt_end_ids(processor: ProcessorMixin) -> frozenset[int]:
    """The tokens with which a model learns to end answers; none if its chat template cannot be trained with."""
    try:
        return Encoder(llava_processor(processor)).end_ids
    except UsageError:
        return frozenset()


def _chat_template(processor: LlavaProcessor) -> str:
    template = processor.chat_template or processor.tokenizer.chat_template
    template = template.get("default") if isinstance(template, dict) else template
    if not template or not marks_answers(template):
        raise UsageError(
            f"the chat template of {processor.tokenizer.name_or_path or 'this model'} "
            f"{'has no {% generation %} marks' if template else 'is missing'}, so answers cannot be told from "
            "questions: train with --template vicuna_v1 (or mistral), or set processor.chat_template to one of "
            "llavamed_trainer.TEMPLATES"
        )
    return str(template)


def _without(parts: Sequence[str], text: str) -> str:
    for part in parts:
        text = text.replace(part, "")
    return text


def _inside(starts: Ids, ends: Ids, spans: Sequence[Span]) -> npt.NDArray[np.bool_]:
    """Which tokens share a character with a span; the spans are in order and do not overlap."""
    if not spans:
        return np.zeros(len(starts), dtype=np.bool_)
    bounds = np.array(spans, dtype=np.int64)
    next_span = np.searchsorted(bounds[:, 1], starts, side="right")
    span_starts = np.append(bounds[:, 0], np.iinfo(np.int64).max)
    return np.asarray((span_starts[next_span] < ends) & (starts < ends))
