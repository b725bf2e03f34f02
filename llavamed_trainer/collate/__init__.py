"""From rows of messages and images to batches: what is learnt, what is cut, what is refused, what is packed."""

from llavamed_trainer.collate.bad_rows import BadRow, BadRows, BadRowsError
from llavamed_trainer.collate.batches import grouped_batches, pack_plan
from llavamed_trainer.collate.collator import LlavaMedCollator
from llavamed_trainer.collate.encoding import token_lengths
from llavamed_trainer.collate.pixels import PixelReader
from llavamed_trainer.collate.refusals import Fault, Refusal

__all__ = [
    "BadRow",
    "BadRows",
    "BadRowsError",
    "Fault",
    "LlavaMedCollator",
    "PixelReader",
    "Refusal",
    "grouped_batches",
    "pack_plan",
    "token_lengths",
]
