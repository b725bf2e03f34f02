"""From rows of messages and images to batches: what is learnt, cut, left out and packed."""

from llavamed_trainer.collate.bad_rows import BadRow, BadRowError, BadRowReason, BadRows, TooManyBadRowsError
from llavamed_trainer.collate.batches import grouped_batches, pack_plan
from llavamed_trainer.collate.collator import LlavaMedCollator
from llavamed_trainer.collate.encoding import token_lengths
from llavamed_trainer.collate.pixels import PixelReader

__all__ = [
    "BadRow",
    "BadRowError",
    "BadRowReason",
    "BadRows",
    "LlavaMedCollator",
    "PixelReader",
    "TooManyBadRowsError",
    "grouped_batches",
    "pack_plan",
    "token_lengths",
]
