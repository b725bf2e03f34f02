"""Turns rows of messages and images into one batch of tensors."""

from collections.abc import Sequence
from typing import Literal, TypeAlias

from torch import Tensor
from transformers import LlavaProcessor, ProcessorMixin

from llavamed_data.errors import UsageError
from llavamed_trainer.collate.bad_rows import BadRows
from llavamed_trainer.collate.llava_batches import LlavaBatches
from llavamed_trainer.collate.messages import Row
from llavamed_trainer.collate.packs import PackedBatches, check_packing
from llavamed_trainer.collate.processor_batches import ProcessorBatches, check_processor
from llavamed_trainer.collate.rendering import TextChoice

PaddingSide: TypeAlias = Literal["right", "left"]


class ConversationCollator:
    """The data collator of a vision–language model, for `LlavaMedTrainer` and for TRL's own `SFTTrainer`.

    A row
        {"id": "18063892_F3",
         "images": [{"bytes": b"…", "path": "18063892_F3.jpg"}],
         "messages": [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "What is it?"}]},
                      {"role": "assistant", "content": [{"type": "text", "text": "A chest X-ray."}]}]}
    becomes, for a LLaVA with images of 3 × 224 × 224 pixels in patches of 14 × 14,
        input_ids       USER: <image> × 256 What is it? ASSISTANT: A chest X-ray.</s> <pad>…
        labels          -100 …                                     A chest X-ray.</s> -100…
        attention_mask  1 …                                                           0…
        pixel_values    [1, 3, 224, 224]

    Only the assistant's answers and their end tokens have labels; an image token never has one. A row that is too long
    loses text at its end, never a part of an image. Rows that cannot be trained on are left out and counted; the module
    `bad_rows` has the table of reasons. If no row of a batch is left, the batch is one blank row with a blank image and
    no labels, from which nothing is learnt. (`LlavaMedTrainer` and TRL's trainer take its loss as zero; a training loop
    of your own that divides by the number of labels must guard against zero.)

    For a `LlavaProcessor` the collator computes pixel values and image tokens itself, which is faster. Any other
    processor makes them itself, and all keys that it returns are in the batch; rows without images come last in it.

    With `packing` all rows become one: segments follow one another, `position_ids` begin at 0 in each, there is no
    `attention_mask`, and no segment predicts the first token of the next. Attention keeps the segments apart as long as
    the model keeps no cache (`use_cache=False`, which TRL passes). `pack_plan` chooses the rows of a batch. Models for
    which this is not right, such as Gemma 3, are refused by name.

        trainer = SFTTrainer(model, args=SFTConfig(…, remove_unused_columns=False), train_dataset=rows,
                             processing_class=processor, data_collator=ConversationCollator(processor))

    (`remove_unused_columns=False` keeps `id`, by which bad rows are named; without it they are named by a digest.)

    Args:
        processor: of the model, with a fast tokenizer. Its chat template need not mark answers (`{% generation %}`) if
            TRL has a version that does, or if they can be found by rendering the conversation turn by turn.
        max_length: the greatest number of tokens in a row, image tokens included; None for any.
        pad_to_multiple_of: the padded length is rounded up to a multiple of this.
        packing: put all rows of a batch into one, without padding between them.
        exact_images: make LLaVA's pixel values with the image processor itself, equal to the bit, at half the speed;
            those of other models always are.
        bad_rows: counts the rows that are left out; without it a new count without a limit is kept.
        text: `answers` leaves out questions and template (Stage 1 with the image as the only input).
        padding_side: `left` for generation.

    Attributes:
        bad_rows: the rows that were left out.
        packing: whether batches are packed.
        end_ids: the tokens that end an answer and are learnt with it; `generate` must stop at them.

    Raises:
        UsageError: the processor or its chat template cannot be used, its models are not packed, or arguments
            contradict each other.
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
        self.bad_rows = BadRows() if bad_rows is None else bad_rows
        self.packing = packing
        multiple, left = pad_to_multiple_of or 1, padding_side == "left"
        self._batches: LlavaBatches | ProcessorBatches | PackedBatches
        if isinstance(processor, LlavaProcessor):
            self._batches = LlavaBatches(
                processor,
                max_length=max_length,
                pad_to_multiple_of=multiple,
                packing=packing,
                exact_images=exact_images,
                bad_rows=self.bad_rows,
                text=text,
                left=left,
            )
        else:
            check_processor(processor)
            if packing:
                check_packing(processor)
            made = ProcessorBatches(
                processor,
                max_length=max_length,
                pad_to_multiple_of=1 if packing else multiple,
                bad_rows=self.bad_rows,
                text=text,
                left=left,
            )
            self._batches = PackedBatches(made, processor, pad_to_multiple_of=multiple) if packing else made
        self.end_ids = self._batches.end_ids

    def __call__(self, rows: Sequence[Row]) -> dict[str, Tensor]:
        """Makes one batch.

        Args:
            rows: rows with `messages`, `images` (a list; or `image`, a single one) and `id`, by which they are named.

        Returns:
            `input_ids`, `labels` [rows, length] and `attention_mask`, or when packed [1, length] and `position_ids`
            (all int64; the positions of Qwen's models are [4, 1, length]: in the segment, and in time, height and
            width); `pixel_values` [images, 3, height, width] float32, left out if the batch has no image. The
            processors of other models than LLaVA give pixel values another shape, and further keys.

        Raises:
            TooManyBadRowsError: more rows were left out than allowed.
            LlavaMedError: the chat template leaves images out, or adds some; the row is named.
        """
        return self._batches.make(rows)


LlavaMedCollator = ConversationCollator
"""The name that `ConversationCollator` had when it was for LLaVA alone."""
