"""Batches for LLaVA: own pixel values, own arithmetic of image tokens, and packing."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from transformers import LlavaProcessor

from llavamed_data.errors import LlavaMedError, UsageError
from llavamed_trainer.collate.bad_rows import BadRow, BadRowError, BadRows
from llavamed_trainer.collate.encoding import EncodedRow, LlavaEncoder
from llavamed_trainer.collate.messages import Row, row_images, row_name
from llavamed_trainer.collate.pixels import PixelReader
from llavamed_trainer.collate.rendering import IGNORED, Ids, TextChoice
from llavamed_trainer.models.llava import Pixels, llava_processor


class LlavaBatches:
    """Makes the batches of `ConversationCollator` for a `LlavaProcessor` whose images all have one size.

    Args:
        processor: a `LlavaProcessor` with a fast tokenizer.
        max_length: as for the collator.
        pad_to_multiple_of: as for the collator.
        packing: as for the collator.
        exact_images: as for the collator.
        bad_rows: counts the rows that are left out.
        text: as for the collator.
        left: whether rows are padded on the left.

    Attributes:
        end_ids: the tokens that end an answer and are learnt with it.
    """

    def __init__(
        self,
        processor: LlavaProcessor,
        *,
        max_length: int | None,
        pad_to_multiple_of: int,
        packing: bool,
        exact_images: bool,
        bad_rows: BadRows,
        text: TextChoice,
        left: bool,
    ) -> None:
        llava = llava_processor(processor)
        self._encoder = LlavaEncoder(llava, max_length=max_length, text=text)
        self.end_ids = self._encoder.end_ids
        self._reader = PixelReader(llava.image_processor, exact=exact_images)
        self._pad_id = _pad_id(llava)
        self._bad_rows, self._packing = bad_rows, packing
        self._multiple, self._left = pad_to_multiple_of, left

    def make(self, rows: Sequence[Row]) -> dict[str, Tensor]:
        """Makes one batch; see `ConversationCollator.__call__`."""
        usable = self._encode(rows)
        batch = self._pack(usable.rows) if self._packing else self._pad(usable.rows)
        if len(usable.pixels):
            batch["pixel_values"] = torch.from_numpy(usable.pixels)
        return batch

    def _encode(self, rows: Sequence[Row]) -> "_UsableRows":
        images = [row_images(row) for row in rows]
        pixels = np.empty((sum(map(len, images)), *self._reader.shape), dtype=np.float32)
        encoded: list[EncodedRow] = []
        filled = 0
        for row, sources in zip(rows, images, strict=True):
            try:
                made = self._encoder.encode(row.get("messages"), len(sources))
                for place, source in enumerate(sources, start=filled):
                    self._reader.read(source, pixels[place])
            except BadRowError as error:
                self._bad_rows.add(BadRow(row_name(row), error.reason, error.detail))
                continue
            except LlavaMedError as error:
                raise LlavaMedError(f"row {row_name(row)}: {error}") from error
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


def _pad_id(processor: LlavaProcessor) -> int:
    tokenizer = processor.tokenizer
    for candidate in (tokenizer.pad_token_id, tokenizer.unk_token_id, tokenizer.eos_token_id):
        if candidate is not None and candidate != processor.image_token_id:
            return int(candidate)
    raise UsageError("the tokenizer has no token to pad with: set its pad_token")
