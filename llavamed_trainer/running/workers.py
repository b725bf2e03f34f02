"""How fast one core makes the batches of a run, and how many worker processes make them ahead of training."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from math import ceil
from typing import Any

import torch
from datasets import Dataset

from llavamed_data.engine.engine import cores
from llavamed_trainer.collate import BadRow, BadRows, ConversationCollator

_WANTED = 100
"""Rows per second for each training process: more than one accelerator trains on of a model of 2 billion parameters."""

_SHORT_RUN = 10.0
"""A run whose batches one core makes in fewer seconds than this starts no worker processes."""

_MEASURED_ROWS, _MEASURED_SECONDS, _AT_ONCE = 32, 2.0, 4
"""Rows that are measured, after how many seconds no more are, and how many are collated together."""

_FOR_STREAMS = 2
"""Worker processes of a stream of several files. They divide its files, so the order of rows depends on their number,
which is fixed."""


@dataclass(frozen=True, slots=True)
class BatchMaking:
    """How the batches of a run are made.

    Attributes:
        rate: rows per second that one core makes into batches; None if it was not measured.
        workers: worker processes that make them ahead; with 0 the training process makes them itself.
    """

    rate: float | None
    workers: int

    def __str__(self) -> str:
        rate = f"{self.rate:,.0f} rows/s on one core; " if self.rate else ""
        if not self.workers:
            return f"{rate}made by the training process itself"
        who = "1 worker process makes" if self.workers == 1 else f"{self.workers} worker processes make"
        return f"{rate}{who} them ahead"


def plan_batch_making(
    rows: Any, make_collator: Callable[[BadRows], ConversationCollator], *, total: int, stated: int | None
) -> BatchMaking:
    """Measures how fast batches are made of some rows of a run, and chooses the number of worker processes.

    Rows that cannot be trained on are not counted here; the run meets and counts them itself.

    Args:
        rows: of the run. Those of a stream are not measured: reading them may take long.
        make_collator: makes the collator of the run with another count of bad rows.
        total: rows that this process trains on in the whole run.
        stated: the number that the user or a file of settings gave; it is kept.

    Raises:
        LlavaMedError: the chat template leaves images out, or adds some; the row is named.
    """
    if not isinstance(rows, Dataset):
        return BatchMaking(None, min(_FOR_STREAMS, rows.num_shards) if stated is None else stated)
    rate = _rate(rows, make_collator(_NotCounted()))
    if stated is not None:
        return BatchMaking(rate, stated)
    return BatchMaking(rate, number_of_workers(rate, total, cores() // _processes_here()))


def number_of_workers(rate: float, total: int, available: int) -> int:
    """The number of worker processes that is chosen.

    Args:
        rate: rows per second that one core makes into batches.
        total: rows that the process trains on in the whole run.
        available: cores for this process and its workers; one of them is left to training.
    """
    if total / rate < _SHORT_RUN:
        return 0
    return min(ceil(_WANTED / rate), max(0, available - 1))


def _rate(rows: Dataset, collator: ConversationCollator) -> float:
    """Rows per second of processor time, of rows from all parts of the dataset."""
    chosen = list(islice(range(0, len(rows), max(1, len(rows) // _MEASURED_ROWS)), _MEASURED_ROWS))
    with _one_core():
        collator([rows[0]])  # the first call fills caches
        made, start, seconds = 0, time.process_time(), 0.0
        for at in range(0, len(chosen), _AT_ONCE):
            numbers = chosen[at : at + _AT_ONCE]
            collator([rows[number] for number in numbers])
            made += len(numbers)
            seconds = time.process_time() - start
            if seconds > _MEASURED_SECONDS:
                break
    return made / max(seconds, 1e-6)


@contextmanager
def _one_core() -> Iterator[None]:
    """Computes on one thread. A tokenizer that has run on several cannot do so in worker processes, and says so."""
    name, threads = "TOKENIZERS_PARALLELISM", torch.get_num_threads()
    before = os.environ.get(name)
    os.environ[name] = "false"
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def _processes_here() -> int:
    """The number of training processes on this machine."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1"))


class _NotCounted(BadRows):
    """Forgets bad rows."""

    def add(self, row: BadRow) -> None:
        """Does nothing."""
