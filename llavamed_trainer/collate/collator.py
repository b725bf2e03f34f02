"""Turns rows of messages and images into one batch of tensors."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import torch
from torch import Tensor
from transformers import LlavaProcessor, ProcessorMixin

from llavamed_data.errors import LlavaMedError, UsageError
from llavamed_trainer.collate.bad_rows import BadRow, BadRowError, BadRows
from llavamed_trainer.collate.encoding import IGNORED, EncodedRow, Encoder, Ids, TextChoice
from llavamed_trainer.collate.pixels import PixelReader
from llavamed_trainer.models.llava import Pixels, llava_processor

Row: TypeAlias = Mapping[str, Any]
PaddingSide: TypeAlias = Literal["right", "left"]


class LlavaMedCollator:
    """The data collator of a LLaVA model, for `LlavaMedTrainer` and for TRL's own `SFTTrainer`.

    A row
        {"id": "18063892_F3",
         "images": [{"bytes": b"…", "path": "18063892_F3.jpg"}],
         "messages": [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "What is it?"}]},
                      {"role": "assistant", "content": [{"type": "text", "text": "A chest X-ray."}]}]}
    becomes, with images of 3 × 224 × 224 pixels in patches of 14 × 14,
        input_ids       USER: <image> × 256 What is it? ASSISTANT: A chest X-ray.</s> <pad>…
        labels          -100 …                                     A chest X-ray.</s> -100…
        attention_mask  1 …                                                           0…
        pixel_values    [1, 3, 224, 224]

    Only the assistant's answers and their end tokens have labels; an image token never has one. A row that is too long
    loses text at its end, never a part of an image. Rows that cannot be trained on are left out and counted; the module
    `bad_rows` has the table of reasons. If no row of a batch is left, the batch is one blank row with a blank image and
    no labels, from which nothing is learnt. (`LlavaMedTrainer` and TRL's trainer take its loss as zero; a training loop
    of your own that divides by the number of labels must guard against zero.)

    With `packing` all rows become one: segments follow one another, `position_ids` begin at 0 in each, there is no
    `attention_mask`, and no segment predicts the first token of the next. Attention keeps the segments apart as long as
    the model keeps no cache (`use_cache=False`, which TRL passes). `pack_plan` chooses the rows of a batch.

        trainer = SFTTrainer(model, args=SFTConfig(…, remove_unused_columns=False), train_dataset=rows,
                             processing_class=processor, data_collator=LlavaMedCollator(processor))

    (`remove_unused_columns=False` keeps `id`, by which bad rows are named; without it they are named by a digest.)

    Args:
        processor: a `LlavaProcessor` with a fast tokenizer and a chat template with `{% generation %}` marks.
        max_length: the greatest number of tokens in a row, image tokens included; None for any.
        pad_to_multiple_of: the padded length is rounded up to a multiple of this.
        packing: put all rows of a batch into one, without padding between them.
        exact_images: make pixel values with the image processor itself, equal to the bit, at half the speed.
        bad_rows: counts the rows that are left out; without it a new count without a limit is kept.
        text: `answers` leaves out questions and template (Stage 1 with the image as the only input).
        padding_side: `left` for generation.

    Attributes:
        bad_rows: the rows that were left out.
        packing: whether batches are packed.
        end_ids: the tokens that end an answer and are learnt with it; `generate` must stop at them.

    Raises:
        UsageError: the processor or its chat template cannot be used, or arguments contradict each other.
    """

    def __init__(
        self,
        processor: ProcessorMixin,
        *,
        max_length: int | None = 2048,
        pad_to_multiple_of: int | None = None,
        packing: bool = False,
        exact_images: bool = False,
        bad_rows: BadRows | None = None,
        text: TextChoice = "all",
        padding_side: PaddingSide = "right",
    ) -> None:
        if packing and padding_side == "left":
            raise UsageError("a packed batch has no padding on the left: leave out packing or padding_side")
        llava = llava_processor(processor)
        self.bad_rows = BadRows() if bad_rows is None else bad_rows
        self.packing = packing
        self._encoder = Encoder(llava, max_length=max_length, text=text)
        self.end_ids = self._encoder.end_ids
        self._reader = PixelReader(llava.image_processor, exact=exact_images)
        self._pad_id = _pad_id(llava)
        self._multiple = pad_to_multiple_of or 1
        self._left = padding_side == "left"

    def __call__(self, rows: Sequence[Row]) -> dict[str, Tensor]:
        """Makes one batch.

        Args:
            rows: rows with `messages`, `images` (a list; or `image`, a single one) and `id`, by which they are named.

        Returns:
            `input_ids`, `labels` [rows, length] and `attention_mask`, or when packed [1, length] and `position_ids`
            (all int64); `pixel_values` [images, 3, height, width] float32, left out if the batch has no image.

        Raises:
            TooManyBadRowsError: more rows were left out than allowed.
            LlavaMedError: the chat template leaves images out, or adds some; the row is named.
        """
        usable = self._encode(rows)
        batch = self._pack(usable.rows) if self.packing else self._pad(usable.rows)
        if len(usable.pixels):
            batch["pixel_values"] = torch.from_numpy(usable.pixels)
        return batch

    def _encode(self, rows: Sequence[Row]) -> "_UsableRows":
        images = [_images(row) for row in rows]
        pixels = np.empty((sum(map(len, images)), *self._reader.shape), dtype=np.float32)
        encoded: list[EncodedRow] = []
        filled = 0
        for row, sources in zip(rows, images, strict=True):
            try:
                made = self._encoder.encode(row.get("messages"), len(sources))
                for place, source in enumerate(sources, start=filled):
                    self._reader.read(source, pixels[place])
            except BadRowError as error:
                self.bad_rows.add(BadRow(_name(row), error.reason, error.detail))
                continue
            except LlavaMedError as error:
                raise LlavaMedError(f"row {_name(row)}: {error}") from error
            encoded.append(made)
            filled += len(sources)
        return _UsableRows(encoded, pixels[:filled]) if encoded else self._blank()

    def _blank(self) -> "_UsableRows":
        ids = np.array([self._encoder.image_id] * self._encoder.image_tokens + [self._pad_id], dtype=np.int64)
        pixels = np.zeros((1, *self._reader.shape), dtype=np.float32)
        return _UsableRows([EncodedRow(ids, np.full_like(ids, IGNORED))], pixels)

    def _pad(self, rows: Sequence[EncodedRow]) -> dict[str, Tensor]:
        length = self._rounded(max(len(row.ids) for row in rows))
        shape = len(rows), length
        ids = np.full(shape, self._pad_id, dtype=np.int64)
        labels = np.full(shape, IGNORED, dtype=np.int64)
        mask = np.zeros(shape, dtype=np.int64)
        for number, row in enumerate(rows):
            size = len(row.ids)
            place = slice(length - size, length) if self._left else slice(size)
            ids[number, place] = row.ids
            labels[number, place] = row.labels
            mask[number, place] = 1
        return _tensors(input_ids=ids, attention_mask=mask, labels=labels)

    def _pack(self, rows: Sequence[EncodedRow]) -> dict[str, Tensor]:
        total = sum(len(row.ids) for row in rows)
        padding = self._rounded(total) - total
        segments = [row.ids for row in rows] + [np.full(padding, self._pad_id, dtype=np.int64)]
        labels = np.concatenate([row.labels for row in rows] + [np.full(padding, IGNORED)])
        starts = np.cumsum([0] + [len(row.ids) for row in rows[:-1]])
        labels[starts] = IGNORED
        positions = np.concatenate([np.arange(len(segment)) for segment in segments])
        return _tensors(
            input_ids=np.concatenate(segments)[None], labels=labels[None], position_ids=positions[None]
        )

    def _rounded(self, length: int) -> int:
        return -(-length // self._multiple) * self._multiple


@dataclass(frozen=True, slots=True)
class _UsableRows:
    """The rows of a batch that are trained on, and the pixel values of their images in order."""

    rows: list[EncodedRow]
    pixels: Pixels


def _tensors(**arrays: Ids) -> dict[str, Tensor]:
    return {name: torch.from_numpy(array) for name, array in arrays.items()}


def _images(row: Row) -> list[Any]:
    if row.get("image") is not None:
        return [row["image"]]
    return list(row.get("images") or [])


def _pad_id(processor: LlavaProcessor) -> int:
    tokenizer = processor.tokenizer
    for candidate in (tokenizer.pad_token_id, tokenizer.unk_token_id, tokenizer.eos_token_id):
        if candidate is not None and candidate != processor.image_token_id:
            return int(candidate)
    raise UsageError("the tokenizer has no token to pad with: set its pad_token")


def _name(row: Row) -> str:
    """The row's id, or a digest of its content, which is the same whenever the row is met."""
    if row.get("id") is not None:
        return str(row["id"])
    digest = hashlib.sha256(repr(row.get("messages")).encode("utf-8", "replace"))
    for image in _images(row):
        content = image.get("bytes") or image.get("path") if isinstance(image, Mapping) else image
        digest.update(content if isinstance(content, bytes) else repr(content).encode())
    return f"unnamed-{digest.hexdigest()[:12]}"
