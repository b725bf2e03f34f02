"""The order of rows: the same for the same seed and epoch, so that a resumed run sees what is left."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from datasets import Dataset
from torch.utils.data import Sampler

from llavamed_data.errors import UsageError
from llavamed_trainer.collate import grouped_batches, pack_plan

LENGTH = "length"


class GroupedByLength(Sampler[int]):
    """Rows of about the same length next to each other; another order each epoch.

    Args:
        lengths: of the rows, in tokens.
        batch_size: rows that are trained on together, over all processes and accumulated steps.
        seed: of the order.
    """

    def __init__(self, lengths: Sequence[int], batch_size: int, seed: int) -> None:
        self._lengths, self._batch_size, self._seed, self._epoch = lengths, batch_size, seed, 0

    def __len__(self) -> int:
        return len(self._lengths)

    def __iter__(self) -> Iterator[int]:
        for batch in grouped_batches(self._lengths, self._batch_size, self._seed + self._epoch):
            yield from batch

    def set_epoch(self, epoch: int) -> None:
        """Another order; called at the start of each epoch."""
        self._epoch = epoch


def packs(collator: Any) -> bool:
    """Whether a collator makes one row of all that it is given."""
    return bool(getattr(collator, "packing", getattr(collator, "_packing", False)))


class Packs:
    """Collates packs: each item is the row numbers of one pack."""

    def __init__(self, rows: Dataset, collator: Any) -> None:
        self._rows, self._collator = rows, collator

    def __call__(self, packs: Sequence[Mapping[str, Any]]) -> Any:
        """A batch of all rows of the packs."""
        return self._collator([self._rows[number] for pack in packs for number in pack["rows"]])


def packed(rows: Dataset, max_length: int | None, seed: int) -> Dataset:
    """A dataset of packs: `rows` (row numbers) and `length` (tokens of the pack).

    Raises:
        UsageError: the rows have no lengths, or no greatest length is set.
    """
    lengths = lengths_of(rows)
    if max_length is None:
        raise UsageError("packing takes a --max_length: that of a pack")
    plan = pack_plan(lengths, max_length, seed)
    return Dataset.from_dict({"rows": plan, LENGTH: [sum(lengths[row] for row in pack) for pack in plan]})


def lengths_of(rows: Any) -> list[int]:
    """The column of lengths.

    Raises:
        UsageError: there is none: a stream, or rows that were not counted.
    """
    if not isinstance(rows, Dataset) or LENGTH not in rows.column_names:
        raise UsageError(
            f"grouping and packing take a column {LENGTH!r} (llavamed_trainer.collate.token_lengths counts it), "
            "which a stream cannot have"
        )
    found: list[int] = rows.with_format("numpy")[LENGTH][:].tolist()
    return found
