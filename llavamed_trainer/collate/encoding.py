"""Turns the messages of a row of LLaVA's into token ids and labels: only answers are learnt, and only text is cut."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from transformers import LlavaProcessor

from llavamed_data.errors import LlavaMedError, UsageError
from llavamed_trainer.collate.bad_rows import BadRowError, BadRowReason
from llavamed_trainer.collate.messages import count_images, read_messages
from llavamed_trainer.collate.rendering import IGNORED, Ids, Renderer, TextChoice
from llavamed_trainer.models.llava import tokens_per_image


@dataclass(frozen=True, slots=True)
class EncodedRow:
    """A row ready for a batch.

    Attributes:
        ids: token ids; an image's token is repeated once for each of its features.
        labels: the ids of the answers' tokens, `IGNORED` elsewhere; of the same length.
    """

    ids: Ids
    labels: Ids


class LlavaEncoder:
    """Turns messages into token ids and labels, for models whose images all take the same number of tokens.

    The text is rendered once and tokenized once, with one token for each image. The answers' tokens are those whose
    characters lie within the spans that `Renderer` finds. Then the image tokens are repeated among the ids.

    Args:
        processor: checked by `llava_processor`.
        max_length: the greatest number of tokens in a row, image tokens included; None for any.
        text: `answers` leaves out questions and the template.

    Attributes:
        end_ids: the tokens that end an answer and are learnt with it; `generate` must stop at them.

    Raises:
        UsageError: `max_length` has no room for an image, or as `Renderer`.
    """

    def __init__(
        self, processor: LlavaProcessor, *, max_length: int | None = None, text: TextChoice = "all"
    ) -> None:
        self.image_tokens = tokens_per_image(processor)
        if max_length is not None and max_length < self.image_tokens + 2:
            raise UsageError(
                f"max_length {max_length} has no room for an image of {self.image_tokens} tokens and a word: "
                f"give {self.image_tokens + 128} or more"
            )
        self.max_length = max_length
        self.image_id: int = processor.image_token_id
        self._image_token: str = processor.image_token
        self._renderer = Renderer(processor, text)
        self.end_ids = self._renderer.end_ids

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
        read = read_messages(messages, (self._image_token,), images)
        text, answers = self._renderer.render(read)
        ids, labels, _ = self._renderer.tokenize(text, answers)
        self._renderer.check_ends(labels, text, answers)
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
