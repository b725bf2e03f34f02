"""From rows of messages and images to batches: what is learnt, cut, left out and packed."""

from llavamed_trainer.collate.bad_rows import BadRow, BadRowError, BadRowReason, BadRows, TooManyBadRowsError
from llavamed_trainer.collate.batches import grouped_batches, pack_plan
from llavamed_trainer.collate.collator import ConversationCollator, LlavaMedCollator
from llavamed_trainer.collate.lengths import LengthCounter, token_lengths
from llavamed_trainer.collate.pixels import PixelReader
from llavamed_trainer.collate.rendering import IGNORED, learnt_end_ids

__all__ = [
    "IGNORED",
    "BadRow",
    "BadRowError",
    "BadRowReason",
    "BadRows",
    "ConversationCollator",
    "LengthCounter",
    "LlavaMedCollator",
    "PixelReader",
    "TooManyBadRowsError",
    "grouped_batches",
    "learnt_end_ids",
    "pack_plan",
    "token_lengths",
]
