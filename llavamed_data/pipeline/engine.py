"""Runs datatrove blocks over fixed tasks, so that the output is the same whatever runs them.

The number of tasks follows from the amount of work alone; workers only decide how many run at a time. A task that
ended well is not run again (datatrove's completion marks lie in the station's partial folder).
"""

import copy
import math
import os
import shutil
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import multiprocess
from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.base import PipelineStep
from datatrove.utils.stats import PipelineStats
from loguru import logger

_LOGS = ".datatrove"
_POLL_SECONDS = 0.5


def tasks_for(items: int, *, least: int, most: int, tasks: int = 64) -> int:
    """How many tasks `items` make: about `tasks`, of at least `least` and at most `most` items each."""
    size = min(max(math.ceil(items / tasks), least), most)
    return max(1, math.ceil(items / size))


def share(items: int, rank: int, world_size: int) -> range:
    """The contiguous part of `items` that falls to task `rank`."""
    return range(items * rank // world_size, items * (rank + 1) // world_size)


@dataclass(frozen=True, slots=True)
class Engine:
    """All cores of this machine.

    Attributes:
        workers: processes at a time; None for one a core.
        watch: told now and then what runs, and how many of its tasks are done.
    """

    workers: int | None = None
    watch: Callable[[str, int, int], None] | None = None

    def run(self, name: str, blocks: Sequence[PipelineStep], *, folder: Path, tasks: int) -> None:
        """Runs `blocks` for every task that has not ended yet.

        Args:
            name: what the work is, for who watches.
            blocks: reader, transformations, writer; each writes whole files only.
            folder: the station's partial folder; marks of finished tasks are kept in it while it is partial.
            tasks: how many parts the work is cut into; must not depend on the machine.
        """
        logger.disable("datatrove")
        with self._watched(name, folder / _LOGS / "completions", tasks):
            _QuietExecutor(
                pipeline=list(blocks),
                tasks=tasks,
                workers=min(tasks, self.workers or os.cpu_count() or 1),
                logging_dir=str(folder / _LOGS),
            ).run()

    @contextmanager
    def _watched(self, name: str, marks: Path, tasks: int) -> Iterator[None]:
        if self.watch is None:
            yield
            return
        ended, watch = threading.Event(), self.watch

        def look() -> None:
            while not ended.wait(_POLL_SECONDS):
                watch(name, sum(1 for _ in marks.iterdir()) if marks.is_dir() else 0, tasks)

        thread = threading.Thread(target=look, daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
            watch(name, tasks, tasks)


class _QuietExecutor(LocalPipelineExecutor):  # type: ignore[misc]
    """datatrove's local executor without its console log, and without its manager process, which outlives a kill."""

    def run(self) -> None:
        ranks = self.get_incomplete_ranks()
        if self.workers == 1 or len(ranks) == 1:
            for rank in ranks:
                copy.deepcopy(self)._run_for_rank(rank)
            return
        with multiprocess.get_context(self.start_method).Pool(min(self.workers, len(ranks))) as pool:
            deque(pool.imap_unordered(self._run_for_rank, ranks), maxlen=0)

    def _run_for_rank(self, rank: int, local_rank: int = 0, node_rank: int = -1) -> PipelineStats:  # noqa: ARG002
        logger.disable("datatrove")
        return super()._run_for_rank(rank, local_rank=1, node_rank=node_rank)


def forget_tasks(folder: Path) -> None:
    """Removes the marks of finished tasks: called when all their output is gathered."""
    shutil.rmtree(folder / _LOGS, ignore_errors=True)
