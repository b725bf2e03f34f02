"""Chooses which rows share a batch: rows of like length, so that little is padded, or rows that fill a pack together.

Every order follows from a seed and an epoch, so that a resumed run meets the rows that are left.
"""

import random
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from datasets import Dataset
from torch.utils.data import Sampler

from llavamed_data.errors import UsageError

LENGTH = "length"
"""The column with the number of tokens in a row."""

_WINDOW = 8192
"""The number of rows that are packed among each other: enough to fill nearly all packs, few enough to stay a random
sample."""

_ALMOST_FULL = 12
"""The number of tokens that may stay free when two rows are sought that fill a pack."""

_FULL_SHARE = 0.985
"""Packs that are less full are taken apart, and their rows are packed again, those of all windows together."""

_BATCHES_PER_WINDOW = 256
"""The number of batches whose rows are sorted by length together."""

_Counts: TypeAlias = npt.NDArray[np.int64]


def grouped_batches(lengths: Sequence[int], batch_size: int, seed: int) -> list[list[int]]:
    """Batches of rows of nearly one length, each row once. The longest batch comes first, the others in random order.

    The longest comes first so that a run that does not fit the memory fails at once; the last batch of all may be
    smaller than the others.

    Args:
        lengths: tokens of each row.
        batch_size: rows of a batch.
        seed: the same lengths, size and seed give the same batches.

    Returns:
        Batches of row numbers.

    Raises:
        UsageError: `batch_size` is less than 1.
    """
    if batch_size < 1:
        raise UsageError(f"a batch takes at least one row, not {batch_size}")
    generator = random.Random(seed)  # noqa: S311  (an order, no secret)
    order = list(range(len(lengths)))
    generator.shuffle(order)
    batches: list[list[int]] = []
    window = batch_size * _BATCHES_PER_WINDOW
    for start in range(0, len(order), window):
        rows = sorted(order[start : start + window], key=lengths.__getitem__, reverse=True)
        batches += [rows[at : at + batch_size] for at in range(0, len(rows), batch_size)]
    whole = [batch for batch in batches if len(batch) == batch_size]
    smaller = [batch for batch in batches if len(batch) < batch_size]
    generator.shuffle(whole)
    if whole:
        longest = max(range(len(whole)), key=lambda at: lengths[whole[at][0]])
        whole[0], whole[longest] = whole[longest], whole[0]
    return whole + smaller


class LengthGroupedSampler(Sampler[int]):
    """Draws rows so that those of about the same length follow each other, in another order each epoch.

    Args:
        lengths: tokens of each row.
        batch_size: the number of rows of a training step, over all processes and accumulated batches.
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
        """Chooses the order of an epoch; the trainer calls this at its start."""
        self._epoch = epoch


def read_lengths(rows: Any) -> list[int]:
    """Reads the column `length`.

    Raises:
        UsageError: there is none: the rows are a stream, or were not counted.
    """
    if not isinstance(rows, Dataset) or LENGTH not in rows.column_names:
        raise UsageError(
            f"grouping and packing need a column {LENGTH!r} (llavamed_trainer.token_lengths counts it), which a stream "
            "cannot have: leave out --streaming, or --packing and group_by_length"
        )
    lengths: list[int] = rows.with_format("numpy")[LENGTH][:].tolist()
    return lengths


def packed_dataset(rows: Dataset, max_length: int | None, seed: int) -> Dataset:
    """A dataset of packs with the columns `rows` (row numbers) and `length` (tokens of the pack).

    Raises:
        UsageError: the rows have no lengths, or `max_length` is not given.
    """
    lengths = read_lengths(rows)
    if max_length is None:
        raise UsageError("packing needs --max_length, the length of a pack")
    packs = pack_plan(lengths, max_length, seed)
    return Dataset.from_dict({"rows": packs, LENGTH: [sum(lengths[row] for row in pack) for pack in packs]})


class PackCollator:
    """Makes a batch from packs, by giving the rows that they name to another collator.

    Args:
        rows: the dataset whose row numbers the packs hold.
        collator: a collator of rows.
    """

    def __init__(self, rows: Dataset, collator: Callable[[list[Any]], Any]) -> None:
        self._rows, self._collator = rows, collator

    def __call__(self, packs: Sequence[Mapping[str, Any]]) -> Any:
        """Makes a batch of all rows of the packs."""
        return self._collator([self._rows[number] for pack in packs for number in pack["rows"]])


def pack_plan(lengths: Sequence[int], max_length: int, seed: int) -> list[list[int]]:
    """Chooses the rows that are packed together, each row once, so that little room is left.

        pack_plan([3, 5, 4, 2], max_length=7, seed=0)   # [[2, 0], [1, 3]], in some order

    Best fit (the longest row first, into the pack that it fills most) leaves 5 % of the room empty where a few rows
    fill a pack: the long rows use up the short ones, and those of middle length are left among themselves. So here a
    pack is begun with rows drawn at random, and ended by two that fill it together, of the lengths that are left most
    often: the rows that are left keep the mixture of the whole. Packs that do not come out full are packed again by
    best fit.

    Args:
        lengths: tokens of each row.
        max_length: the greatest number of tokens in a pack. Rows that are nearly half or a third as long cannot fill
            a pack: give twice as much for them.
        seed: the same lengths, length and seed give the same plan.

    Returns:
        Packs of row numbers, in random order.

    Raises:
        UsageError: a row is longer than `max_length`.
    """
    if lengths and max(lengths) > max_length:
        raise UsageError(
            f"a row of {max(lengths):,} tokens does not fit a pack of {max_length:,}: cut rows to that length first"
        )
    generator = np.random.default_rng(seed)
    order = generator.permutation(len(lengths)).tolist()
    packs: list[list[int]] = []
    again: list[int] = []
    for start in range(0, len(order), _WINDOW):
        for pack in _fill_packs(order[start : start + _WINDOW], lengths, max_length, generator):
            if sum(lengths[row] for row in pack) >= _FULL_SHARE * max_length:
                packs.append(pack)
            else:
                again += pack
    packs += _best_fit(again, lengths, max_length)
    return [packs[place] for place in generator.permutation(len(packs))]


def _fill_packs(
    rows: Sequence[int], lengths: Sequence[int], max_length: int, generator: np.random.Generator
) -> list[list[int]]:
    """Packs that each look like a sample of the rows and end as full as the rows that are left allow."""
    by_length: defaultdict[int, list[int]] = defaultdict(list)
    left: _Counts = np.zeros(max_length + 1, dtype=np.int64)
    for row in rows:
        length = max(lengths[row], 1)
        by_length[length].append(row)
        left[length] += 1
    packs: list[list[int]] = []
    rows_left, tokens_left = len(rows), int(left @ np.arange(len(left)))
    while rows_left:
        pack: list[int] = []
        room = max_length
        while rows_left and (chosen := _next_lengths(left, room, tokens_left / rows_left, generator)):
            for length in chosen:
                pack.append(by_length[length].pop())
                left[length] -= 1
            room -= sum(chosen)
            rows_left -= len(chosen)
            tokens_left -= sum(chosen)
        packs.append(pack)
    return packs


def _next_lengths(left: _Counts, room: int, mean: float, generator: np.random.Generator) -> list[int]:
    """The lengths to take next, given how many rows of each are left: one at random, or those that fill the room."""
    rows_that_fit = round(room / mean)
    if rows_that_fit == 2 and (pair := _filling_pair(left, room)):
        return pair
    until = np.cumsum(left[: room + 1])
    if not until[-1]:
        return []
    drawn = generator.integers(until[-1]) if rows_that_fit > 2 else until[-1] - 1
    return [int(np.searchsorted(until, drawn, side="right"))]


def _filling_pair(left: _Counts, room: int) -> list[int]:
    """Two lengths that fill the room, or nearly, and are left most often; none if there are no such."""
    for total in range(room, max(room - _ALMOST_FULL, 0), -1):
        both = np.minimum(left[: total + 1], left[total::-1])
        if total % 2 == 0 and left[total // 2] < 2:
            both[total // 2] = 0
        if both.any():
            length = int(np.argmax(both))
            return [length, total - length]
    return []


def _best_fit(rows: Sequence[int], lengths: Sequence[int], max_length: int) -> list[list[int]]:
    """Puts each row, the longest first, into the pack that it fills most.

    `packs_by_room` holds packs by the tokens that are free in them, and `rooms` has the bit of each number of tokens
    that is free in some pack, so that the tightest fit is the lowest bit from a row's length on.
    """
    packs: list[list[int]] = []
    packs_by_room: dict[int, list[list[int]]] = {}
    rooms = 0
    for row in sorted(rows, key=lengths.__getitem__, reverse=True):
        length = lengths[row]
        fitting = rooms >> length
        if fitting:
            room = length + (fitting & -fitting).bit_length() - 1
            pack = packs_by_room[room].pop()
            if not packs_by_room[room]:
                rooms &= ~(1 << room)
        else:
            room, pack = max_length, []
            packs.append(pack)
        pack.append(row)
        room -= length
        packs_by_room.setdefault(room, []).append(pack)
        rooms |= 1 << room
    return packs
