"""Counts the tokens of rows before training, without decoding an image."""

from collections.abc import Mapping, Sequence
from typing import Any

from transformers import LlavaProcessor, ProcessorMixin

from llavamed_trainer.collate.bad_rows import BadRows
from llavamed_trainer.collate.encoding import LlavaEncoder
from llavamed_trainer.collate.messages import Row
from llavamed_trainer.collate.processor_batches import ProcessorBatches
from llavamed_trainer.collate.rendering import TextChoice
from llavamed_trainer.models.llava import llava_processor, tokens_per_image


class LengthCounter:
    """Counts the tokens of rows as the collator makes them, image tokens included.

    It can be sent to other processes.

    Args:
        processor: of the model.
        max_length: as for the collator.
        text: as for the collator.

    Attributes:
        columns: the columns of a row that its length depends on. For LLaVA image parts are counted, for other models
            the sizes of images are read.
        depends_on: a text that changes with everything but the rows and the tokenizer that lengths depend on.

    Raises:
        UsageError: the processor cannot be used, or `max_length` has no room for an image.
    """

    def __init__(
        self, processor: ProcessorMixin, max_length: int | None = None, text: TextChoice = "all"
    ) -> None:
        self._processor, self._max_length, self._text = processor, max_length, text
        self.columns: tuple[str, ...] = ("messages", "images")
        images = str(processor)
        if isinstance(processor, LlavaProcessor):
            self.columns = ("messages",)
            images = str(tokens_per_image(llava_processor(processor)))
        self.depends_on = f"{images} {processor.chat_template} {max_length} {text}"
        self._counter: LlavaEncoder | ProcessorBatches | None = None

    def __call__(self, rows: Sequence[Row]) -> list[int]:
        """One number for each row, 0 for a row that cannot be trained on as far as this is known without its pixels."""
        if self._counter is None:
            self._counter = self._make()
        if isinstance(self._counter, LlavaEncoder):
            return [self._counter.length(row["messages"]) for row in rows]
        return [self._counter.length(row) for row in rows]

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_counter": None}

    def _make(self) -> LlavaEncoder | ProcessorBatches:
        if isinstance(self._processor, LlavaProcessor):
            llava = llava_processor(self._processor)
            return LlavaEncoder(llava, max_length=self._max_length, text=self._text)
        return ProcessorBatches(
            self._processor,
            max_length=self._max_length,
            pad_to_multiple_of=1,
            bad_rows=BadRows(),
            text=self._text,
            left=False,
        )


def token_lengths(
    rows: Sequence[Mapping[str, Any]],
    processor: ProcessorMixin,
    max_length: int | None = None,
    *,
    text: TextChoice = "all",
) -> list[int]:
    """Counts the tokens of each row, image tokens included; no image is decoded.

    Args:
        rows: rows with `messages`, and with `images` for other models than LLaVA, whose images take tokens by their
            size.
        processor: of the model.
        max_length: as for the collator.
        text: as for the collator.

    Returns:
        One number for each row, 0 for a row whose messages cannot be trained on.

    Raises:
        UsageError: the processor cannot be used, or `max_length` has no room for an image.
    """
    return LengthCounter(processor, max_length, text)(rows)
