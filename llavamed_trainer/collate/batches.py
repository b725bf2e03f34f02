"""Which rows go together: packed until a length is full, or grouped by length so that little is padded."""

import random
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from llavamed_data.errors import UsageError

_WINDOW = 8192
"""Rows that are packed among one another: enough to fill nearly all, few enough to stay a random sample."""

_NEARLY = 12
"""Tokens that a pack may lack when two rows are looked for that fill it."""

_FULL = 0.985
"""Packs that are less full are taken apart and packed again, those of all windows together."""

_BATCHES_A_WINDOW = 256
"""Batches whose rows are sorted by length together."""

Counts = npt.NDArray[np.int64]


def pack_plan(lengths: Sequence[int], max_length: int, seed: int) -> list[list[int]]:
    """Rows to pack together, each row once, with as little room left as can be.

        pack_plan([3, 5, 4, 2], max_length=7, seed=0)   # [[2, 0], [1, 3]], in some order

    The longest row first into the tightest room (best fit) leaves 5 % empty where a few rows fill a pack: the long
    ones use the short ones up, and those of the middle are left among themselves. So a pack is begun with rows drawn
    at random, and ended by two that together fill it, of the lengths that are left most often: what is left keeps
    the mixture of the whole. What does not come out full is packed again, by best fit.

    Args:
        lengths: tokens of each row.
        max_length: tokens of a pack at most. Where rows are nearly half as long, or a third, packs cannot be full:
            give twice as much.
        seed: of the plan; the same arguments give the same one.

    Returns:
        Packs of row numbers, in random order.

    Raises:
        UsageError: a row is longer than `max_length`.
    """
    if lengths and max(lengths) > max_length:
        raise UsageError(
            f"a row of {max(lengths):,} tokens does not fit a pack of {max_length:,}: cut rows to that length first"
        )
    chance = np.random.default_rng(seed)
    order = chance.permutation(len(lengths)).tolist()
    packs: list[list[int]] = []
    again: list[int] = []
    for start in range(0, len(order), _WINDOW):
        for pack in _fill(order[start : start + _WINDOW], lengths, max_length, chance):
            if sum(lengths[row] for row in pack) >= _FULL * max_length:
                packs.append(pack)
            else:
                again += pack
    packs += _best_fit(again, lengths, max_length)
    return [packs[place] for place in chance.permutation(len(packs))]


def grouped_batches(lengths: Sequence[int], batch_size: int, seed: int) -> list[list[int]]:
    """Batches of rows of nearly one length, each row once, in random order after the longest batch.

    The longest goes first, so that a run that does not fit the memory fails at once; the last batch of all may be
    smaller than the others.

    Args:
        lengths: tokens of each row.
        batch_size: rows of a batch.
        seed: of rows into windows, and of the order of the batches; the same numbers give the same batches.

    Raises:
        UsageError: `batch_size` is less than 1.
    """
    if batch_size < 1:
        raise UsageError(f"a batch takes at least one row, not {batch_size}")
    chance = random.Random(seed)  # noqa: S311 - an order, no secret
    order = list(range(len(lengths)))
    chance.shuffle(order)
    batches: list[list[int]] = []
    window = batch_size * _BATCHES_A_WINDOW
    for start in range(0, len(order), window):
        rows = sorted(order[start : start + window], key=lengths.__getitem__, reverse=True)
        batches += [rows[at : at + batch_size] for at in range(0, len(rows), batch_size)]
    if not batches:
        return []
    ragged = [batch for batch in batches if len(batch) < batch_size]
    whole = [batch for batch in batches if len(batch) == batch_size]
    chance.shuffle(whole)
    if whole:
        longest = max(range(len(whole)), key=lambda at: lengths[whole[at][0]])
        whole[0], whole[longest] = whole[longest], whole[0]
    return whole + ragged


def _fill(
    rows: Sequence[int], lengths: Sequence[int], max_length: int, chance: np.random.Generator
) -> list[list[int]]:
    """Packs that each look like a sample of the rows and end as full as what is left allows."""
    shelves: defaultdict[int, list[int]] = defaultdict(list)
    left: Counts = np.zeros(max_length + 1, dtype=np.int64)
    for row in rows:
        size = max(lengths[row], 1)
        shelves[size].append(row)
        left[size] += 1
    packs: list[list[int]] = []
    rows_left, tokens_left = len(rows), int(left @ np.arange(len(left)))
    while rows_left:
        pack: list[int] = []
        room = max_length
        while rows_left and (sizes := _next_sizes(left, room, tokens_left / rows_left, chance)):
            for size in sizes:
                pack.append(shelves[size].pop())
                left[size] -= 1
            room -= sum(sizes)
            rows_left -= len(sizes)
            tokens_left -= sum(sizes)
        packs.append(pack)
    return packs


def _next_sizes(left: Counts, room: int, mean: float, chance: np.random.Generator) -> list[int]:
    """Lengths to take next, given how many rows of each are left: one at random, or what fills the room."""
    wanted = round(room / mean)
    if wanted == 2 and (pair := _pair(left, room)):
        return pair
    until = np.cumsum(left[: room + 1])
    if not until[-1]:
        return []
    drawn = chance.integers(until[-1]) if wanted > 2 else until[-1] - 1
    return [int(np.searchsorted(until, drawn, side="right"))]


def _pair(left: Counts, room: int) -> list[int]:
    """Two lengths that fill the room, or nearly, and are left most often; none if there are no such."""
    for total in range(room, max(room - _NEARLY, 0), -1):
        both = np.minimum(left[: total + 1], left[total::-1])
        if total % 2 == 0 and left[total // 2] < 2:
            both[total // 2] = 0
        if both.any():
            size = int(np.argmax(both))
            return [size, total - size]
    return []


def _best_fit(rows: Sequence[int], lengths: Sequence[int], max_length: int) -> list[list[int]]:
    """Each row, the longest first, into the pack that it fills most.

    `open_` holds packs by the tokens that are left in them, and `sizes` has the bit of each number of tokens that
    some pack has left, so that the tightest fit is the lowest bit from a row's length on.
    """
    packs: list[list[int]] = []
    open_: dict[int, list[list[int]]] = {}
    sizes = 0
    for row in sorted(rows, key=lengths.__getitem__, reverse=True):
        length = lengths[row]
        fitting = sizes >> length
        if fitting:
            left = length + (fitting & -fitting).bit_length() - 1
            pack = open_[left].pop()
            if not open_[left]:
                sizes &= ~(1 << left)
        else:
            left, pack = max_length, []
            packs.append(pack)
        pack.append(row)
        left -= length
        open_.setdefault(left, []).append(pack)
        sizes |= 1 << left
    return packs
