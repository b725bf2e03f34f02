"""Rows of messages and images → one batch of tensors."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import torch
from torch import Tensor
from transformers import LlavaProcessor, ProcessorMixin

from llavamed_data.errors import LlavaMedError, UsageError
from llavamed_trainer.collate.bad_rows import BadRow, BadRows
from llavamed_trainer.collate.encoding import IGNORED, Encoder, Ids, Sample, TextChoice, llava_processor
from llavamed_trainer.collate.pixels import PixelReader, Pixels
from llavamed_trainer.collate.refusals import Refusal

Row: TypeAlias = Mapping[str, Any]
Side: TypeAlias = Literal["right", "left"]


class LlavaMedCollator:
    """The data collator of a LLaVA model, for `LlavaMedTrainer` and for TRL's own `SFTTrainer`.

    A row
        {"id": "18063892_F3",
         "images": [{"bytes": b"…", "path": "18063892_F3.jpg"}],
         "messages": [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "What is it?"}]},
                      {"role": "assistant", "content": [{"type": "text", "text": "A chest X-ray."}]}]}
    becomes, on 3 × 224 × 224 pixels of 14 × 14 patches,
        input_ids       USER: <image> × 256 What is it? ASSISTANT: A chest X-ray.</s> <pad>…
        labels          -100 …                                     A chest X-ray.</s> -100…
        attention_mask  1 …                                                           0…
        pixel_values    [1, 3, 224, 224]

    Only what assistants say is learnt, with its end mark; an image token never is. What is too long loses text at its
    end, never of its image. Rows that cannot be trained on are left out and counted (`refusals` has the table). When
    no row of a batch is left, the batch is one blank row with a blank image and no labels, from which nothing is learnt
    (a bare loop that divides a loss by its labels must guard against zero; `LlavaMedTrainer` and TRL's trainer do).

    Packed, all rows are one: segments follow one another, `position_ids` begin at 0 in each, there is no
    `attention_mask`, and no segment predicts the first token of the next. Attention then keeps segments apart as long
    as the model keeps no cache (`use_cache=False`, which TRL passes). `pack_plan` chooses the rows of a batch.

        trainer = SFTTrainer(model, args=SFTConfig(…, remove_unused_columns=False), train_dataset=rows,
                             processing_class=processor, data_collator=LlavaMedCollator(processor))

    (`remove_unused_columns=False` keeps `id`, by which bad rows are named; without it they get a digest.)

    Args:
        processor: a `LlavaProcessor` with a fast tokenizer and a chat template with `{% generation %}` marks.
        max_length: tokens of a row at most, those of images included; None: any number.
        pad_to_multiple_of: rounds the padded length up.
        packing: all rows of a batch in one, without padding between.
        exact_images: pixel values to the bit as the image processor makes them, at half the speed.
        bad_rows: where rows that are left out are counted; a count of its own without limit if not given.
        text: `answers` leaves out questions and template (Stage 1 with the image as the only input).
        padding_side: `left` for generation.

    Attributes:
        bad_rows: the rows that were left out.
        packing: whether batches are packed.

    Raises:
        UsageError: the processor or the chat template cannot be used, or the arguments contradict.
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
        padding_side: Side = "right",
    ) -> None:
        if packing and padding_side == "left":
            raise UsageError(
                "packing has no padding on the left: padding_side is for batches that are not packed"
            )
        llava = llava_processor(processor)
        self.bad_rows = BadRows() if bad_rows is None else bad_rows
        self._encoder = Encoder(llava, max_length=max_length, text=text)
        self._reader = PixelReader(llava.image_processor, exact=exact_images)
        self._pad_id = _pad_id(llava)
        self._multiple = pad_to_multiple_of or 1
        self.packing = packing
        self._left = padding_side == "left"

    def __call__(self, rows: Sequence[Row]) -> dict[str, Tensor]:
        """One batch.

        Args:
            rows: with `messages`, `images` (a list; or `image`, a single one) and, to be named by, `id`.

        Returns:
            `input_ids`, `labels` [rows, length] and `attention_mask`, or when packed [1, length] and `position_ids`
            (all int64); `pixel_values` [images, 3, height, width] float32, left out if the batch has no image.

        Raises:
            BadRowsError: more rows were left out than allowed.
            LlavaMedError: the chat template leaves images out, or adds some; the row is named.
        """
        taken = self._take(rows)
        batch = self._pack(taken.samples) if self.packing else self._pad(taken.samples)
        if len(taken.pixels):
            batch["pixel_values"] = torch.from_numpy(taken.pixels)
        return batch

    def _take(self, rows: Sequence[Row]) -> "_Taken":
        images = [_images(row) for row in rows]
        pixels = np.empty((sum(map(len, images)), *self._reader.shape), dtype=np.float32)
        samples: list[Sample] = []
        filled = 0
        for row, sources in zip(rows, images, strict=True):
            try:
                sample = self._encoder.encode(row.get("messages"), len(sources))
                for place, source in enumerate(sources, start=filled):
                    self._reader.read(source, pixels[place])
            except Refusal as refusal:
                self.bad_rows.add(BadRow(_name(row), refusal.fault, refusal.detail))
                continue
            except LlavaMedError as error:
                raise LlavaMedError(f"row {_name(row)}: {error}") from error
            samples.append(sample)
            filled += len(sources)
        return _Taken(samples, pixels[:filled]) if samples else self._blank()

    def _blank(self) -> "_Taken":
        ids = np.array([self._encoder.image_id] * self._encoder.image_tokens + [self._pad_id], dtype=np.int64)
        pixels = np.zeros((1, *self._reader.shape), dtype=np.float32)
        return _Taken([Sample(ids, np.full_like(ids, IGNORED))], pixels)

    def _pad(self, samples: Sequence[Sample]) -> dict[str, Tensor]:
        length = self._rounded(max(len(sample.ids) for sample in samples))
        shape = len(samples), length
        ids = np.full(shape, self._pad_id, dtype=np.int64)
        labels = np.full(shape, IGNORED, dtype=np.int64)
        mask = np.zeros(shape, dtype=np.int64)
        for row, sample in enumerate(samples):
            size = len(sample.ids)
            place = slice(length - size, length) if self._left else slice(size)
            ids[row, place] = sample.ids
            labels[row, place] = sample.labels
            mask[row, place] = 1
        return _tensors(input_ids=ids, attention_mask=mask, labels=labels)

    def _pack(self, samples: Sequence[Sample]) -> dict[str, Tensor]:
        total = sum(len(sample.ids) for sample in samples)
        padding = self._rounded(total) - total
        ids = [sample.ids for sample in samples] + [np.full(padding, self._pad_id, dtype=np.int64)]
        labels = np.concatenate([sample.labels for sample in samples] + [np.full(padding, IGNORED)])
        starts = np.cumsum([0] + [len(sample.ids) for sample in samples[:-1]])
        labels[starts] = IGNORED
        positions = np.concatenate([np.arange(len(segment)) for segment in ids])
        return _tensors(
            input_ids=np.concatenate(ids)[None], labels=labels[None], position_ids=positions[None]
        )

    def _rounded(self, length: int) -> int:
        return -(-length // self._multiple) * self._multiple


@dataclass(frozen=True, slots=True)
class _Taken:
    """Rows that are trained on, and the pixel values of their images in order."""

    samples: list[Sample]
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
    """The row's id, or what stays the same when the row is met again."""
    if row.get("id") is not None:
        return str(row["id"])
    digest = hashlib.sha256(repr(row.get("messages")).encode("utf-8", "replace"))
    for image in _images(row):
        held = image.get("bytes") or image.get("path") if isinstance(image, Mapping) else image
        digest.update(held if isinstance(held, bytes) else repr(held).encode())
    return f"unnamed-{digest.hexdigest()[:12]}"
