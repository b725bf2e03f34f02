"""Which rows go together: packed until a length is full, or grouped by length so that little is padded."""

import random
from collections.abc import Sequence

from llavamed_data.errors import UsageError

_WINDOW = 8192
"""Rows that are packed among one another: enough for the best fit, few enough to stay a random sample."""

_BATCHES_A_WINDOW = 256
"""Batches whose rows are sorted by length together."""


def pack_plan(lengths: Sequence[int], max_length: int, seed: int) -> list[list[int]]:
    """Rows to pack together, each row once: best fit, the longest first, among windows of shuffled rows.

        pack_plan([3, 5, 4, 2], max_length=7, seed=0)   # [[1, 3], [2, 0]], in some order

    Args:
        lengths: tokens of each row.
        max_length: tokens of a pack at most.
        seed: of rows into windows, and of the order of the packs; the same numbers give the same plan.

    Returns:
        Packs of row numbers, in random order.

    Raises:
        UsageError: a row is longer than `max_length`.
    """
    if lengths and max(lengths) > max_length:
        raise UsageError(
            f"a row of {max(lengths):,} tokens does not fit a pack of {max_length:,}: cut rows to that length first"
        )
    chance = random.Random(seed)  # noqa: S311 - an order, no secret
    order = list(range(len(lengths)))
    chance.shuffle(order)
    packs: list[list[int]] = []
    for start in range(0, len(order), _WINDOW):
        packs += _best_fit(order[start : start + _WINDOW], lengths, max_length)
    chance.shuffle(packs)
    return packs


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
