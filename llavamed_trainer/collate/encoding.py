"""Token ids and labels of a row: answers are learnt, images take their places, only text is cut."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, cast

import numpy as np
import numpy.typing as npt
from transformers import LlavaProcessor, ProcessorMixin

from llavamed_data.errors import LlavaMedError, UsageError
from llavamed_trainer.collate.messages import count_images, read_messages
from llavamed_trainer.collate.pixels import pixel_shape
from llavamed_trainer.collate.refusals import Fault, Refusal
from llavamed_trainer.collate.templates import AnswersOnly, ChatTemplate, Span

TextChoice: TypeAlias = Literal["all", "answers"]
Ids: TypeAlias = npt.NDArray[np.int64]

IGNORED = -100
"""Label of a token that is not learnt (torch's cross-entropy skips it)."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A row ready for a batch.

    Attributes:
        ids: token ids, each image's token as often as the model has features of it.
        labels: the ids of the answers' tokens, `IGNORED` elsewhere; same length.
    """

    ids: Ids
    labels: Ids


class Encoder:
    """Messages → token ids and labels.

    The text is rendered once and tokenized once, with one image token an image; the answers' tokens are those whose
    characters lie in the template's generation marks; then the image tokens are repeated among the ids. Whether the
    tokenizer adds its first token follows `ProcessorMixin.apply_chat_template`: unless the template has it already.

    Args:
        processor: see `llava_processor`.
        max_length: tokens of a row at most, those of images included; None: any number.
        text: `answers` leaves questions and template out.

    Raises:
        UsageError: `max_length` has no room for an image, or the chat template no generation marks.
    """

    def __init__(
        self, processor: LlavaProcessor, *, max_length: int | None = None, text: TextChoice = "all"
    ) -> None:
        if text not in ("all", "answers"):
            raise UsageError(f"text is {text!r}: it can be all or answers")
        self.image_tokens = tokens_per_image(processor)
        self.max_length = max_length
        if max_length is not None and max_length < self.image_tokens + 2:
            raise UsageError(
                f"max_length {max_length} has no room for an image of {self.image_tokens} tokens and a word: "
                f"give {self.image_tokens + 128} or more"
            )
        self.image_id: int = processor.image_token_id
        self._image_token: str = processor.image_token
        self._tokenizer = processor.tokenizer
        self._template = ChatTemplate(processor) if text == "all" else AnswersOnly(processor)

    def encode(self, messages: Any, images: int | None = None) -> Sample:
        """Ids and labels of a row.

        Args:
            messages: the row's.
            images: how many images it has; None where nobody knows.

        Raises:
            Refusal: see the table of `refusals`.
            LlavaMedError: the chat template leaves images out, or adds some.
        """
        read = read_messages(messages, self._image_token, images)
        ids, starts, ends, spans = self._tokenize(read)
        labels = np.where(_inside(starts, ends, spans), ids, IGNORED)
        at = ids == self.image_id
        if at.sum() != count_images(read):
            raise LlavaMedError(
                f"the chat template makes {at.sum()} image tokens of {count_images(read)} image parts: "
                f"it must write {self._image_token} once for each"
            )
        labels[at] = IGNORED
        times = np.where(at, self.image_tokens, 1)
        return self._cut(Sample(np.repeat(ids, times), np.repeat(labels, times)))

    def length(self, messages: Any) -> int:
        """Tokens that a row takes; 0 if its messages are refused."""
        try:
            return len(self.encode(messages).ids)
        except Refusal:
            return 0

    def _tokenize(self, messages: list[dict[str, Any]]) -> tuple[Ids, Ids, Ids, list[Span]]:
        text, spans = self._template.render(messages)
        first = self._tokenizer.bos_token
        encoding = self._tokenizer(
            text,
            add_special_tokens=not (first and text.startswith(first)),
            return_offsets_mapping=True,
            return_attention_mask=False,
            verbose=False,
        )
        offsets = np.array(encoding["offset_mapping"], dtype=np.int64).reshape(-1, 2)
        return np.array(encoding["input_ids"], dtype=np.int64), offsets[:, 0], offsets[:, 1], spans

    def _cut(self, sample: Sample) -> Sample:
        ids, labels = sample.ids[: self.max_length], sample.labels[: self.max_length]
        if len(ids) < len(sample.ids) and (sample.ids[len(ids) :] == self.image_id).any():
            raise Refusal(
                Fault.IMAGE_CUT_OFF, f"the text before an image fills the {self.max_length} tokens of a row"
            )
        if (labels[1:] == IGNORED).all():
            raise Refusal(
                Fault.ANSWER_CUT_OFF,
                f"{len(sample.ids):,} tokens, and no answer is in the first {self.max_length:,}"
                if len(ids) < len(sample.ids)
                else "the chat template marks nothing to learn in it",
            )
        return Sample(ids, labels)


def llava_processor(processor: ProcessorMixin) -> LlavaProcessor:
    """The same processor, once it is sure that batches can be made with it.

    Raises:
        UsageError: it is no `LlavaProcessor`, lacks what the number of image tokens follows from, or has a tokenizer
            that does not say where its tokens stand.
    """
    missing = [
        name
        for name in ("image_processor", "image_token_id", "patch_size", "vision_feature_select_strategy")
        if getattr(processor, name, None) is None
    ]
    if missing:
        raise UsageError(
            f"a {type(processor).__name__} without {' and '.join(missing)} cannot make batches for LLaVA: it takes a "
            "LlavaProcessor (python -m llavamed_trainer assemble writes one)"
        )
    if not getattr(processor.tokenizer, "is_fast", False):
        raise UsageError(
            "the tokenizer is a slow one, which does not say where its tokens stand: load it with use_fast=True"
        )
    return cast(LlavaProcessor, processor)


def tokens_per_image(processor: LlavaProcessor) -> int:
    """Tokens that an image takes: its patches, and what the vision tower adds and the model leaves out.

    CLIP and ViT add one token (the class token) which the strategy `default` leaves out, SigLIP adds none and leaves
    none out (`full`). The same rule as `LlavaProcessor.replace_image_token`.
    """
    _, height, width = pixel_shape(processor.image_processor)
    patches = (height // processor.patch_size) * (width // processor.patch_size)
    dropped = processor.vision_feature_select_strategy == "default"
    return int(patches + processor.num_additional_image_tokens - dropped)


def token_lengths(
    rows: Sequence[Mapping[str, Any]],
    processor: ProcessorMixin,
    max_length: int | None = None,
    *,
    text: TextChoice = "all",
) -> list[int]:
    """Tokens of each row in a batch, those of its images included; no image is read.

    Args:
        rows: with `messages`; image parts are counted, `images` is not needed.
        processor: a `LlavaProcessor`.
        max_length: as the collator's.
        text: as the collator's.

    Returns:
        One number a row, 0 for one whose messages the collator will refuse.

    Raises:
        UsageError: the processor cannot be used, or `max_length` has no room for an image.
    """
    encoder = Encoder(llava_processor(processor), max_length=max_length, text=text)
    return [encoder.length(row["messages"]) for row in rows]


def _inside(starts: Ids, ends: Ids, spans: Sequence[Span]) -> npt.NDArray[np.bool_]:
    """Which tokens share a character with a span; the spans are in order and apart."""
    if not spans:
        return np.zeros(len(starts), dtype=np.bool_)
    bounds = np.array(spans, dtype=np.int64)
    following = np.searchsorted(bounds[:, 1], starts, side="right")
    begins = np.append(bounds[:, 0], np.iinfo(np.int64).max)
    return np.asarray((begins[following] < ends) & (starts < ends))
