"""Runs datatrove blocks over fixed tasks, so that the output is the same whatever runs them.

`Engine` uses this machine; `ray_engine.RayEngine` and `slurm_engine.SlurmEngine` use many.

The number of tasks follows from the amount of work alone; workers only decide how many run at a time. A task that
ended well is not run again (datatrove's completion marks lie in the station's partial folder).
"""

import copy
import math
import os
import shutil
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import multiprocess
from datatrove.executor import LocalPipelineExecutor
from datatrove.executor.base import PipelineExecutor
from datatrove.pipeline.base import PipelineStep
from datatrove.utils.stats import PipelineStats
from loguru import logger

from llavamed_data.console.progress import ProgressCallback
from llavamed_data.engine import counters
from llavamed_data.errors import LlavaMedError
from llavamed_data.reasons import Drop

_LOGS = ".datatrove"
_POLL_SECONDS = 0.5
_LAZY = ("pandas",)
"""What Arrow imports on its first table: half a second a worker, unless the fork server has done it."""


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
        on_progress: told now and then what runs, and how much of it is done.
    """

    workers: int | None = None
    on_progress: ProgressCallback | None = None

    def run(
        self, name: str, blocks: Sequence[PipelineStep], *, folder: Path, tasks: int, objects: int = 0
    ) -> None:
        """Runs `blocks` for every task that has not ended yet.

        Args:
            name: what the work is, for who watches.
            blocks: reader, transformations, writer; each writes whole files only.
            folder: the station's partial folder; marks of finished tasks are kept in it while it is partial.
            tasks: how many parts the work is cut into; must not depend on the machine.
            objects: how many the blocks fetch, where they count them (`counters.Counter`).

        Raises:
            LlavaMedError: the work cannot be done; what has ended is kept.
            OSError: the disk is full or cannot be written.
        """
        logger.disable("datatrove")
        logs = folder.absolute() / _LOGS
        logs.mkdir(parents=True, exist_ok=True)
        with self._watched(name, folder, logs / "completions", tasks, objects):
            try:
                self._execute(list(blocks), logs, tasks)
            except Drop as drop:
                raise LlavaMedError(f"{name}: {drop}") from drop
        shutil.rmtree(folder / counters.FOLDER, ignore_errors=True)

    def _execute(self, blocks: list[PipelineStep], logs: Path, tasks: int) -> None:
        workers = min(tasks, self.workers or os.cpu_count() or 1)
        _LocalExecutor(pipeline=blocks, tasks=tasks, workers=workers, logging_dir=str(logs)).run()

    @contextmanager
    def _watched(self, name: str, folder: Path, marks: Path, tasks: int, objects: int) -> Iterator[None]:
        if self.on_progress is None:
            yield
            return
        ended, on_progress = threading.Event(), self.on_progress

        def look() -> None:
            while not ended.wait(_POLL_SECONDS):
                if objects:
                    fetched = counters.counted(folder)
                    on_progress(name, fetched.objects, objects, fetched)
                else:
                    on_progress(name, sum(1 for _ in marks.iterdir()) if marks.is_dir() else 0, tasks)

        thread = threading.Thread(target=look, daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
            on_progress(name, objects or tasks, objects or tasks)


class QuietTasks(PipelineExecutor):  # type: ignore[misc]
    """Runs a task and marks its end, without datatrove's logs and statistics.

    Small tasks feel the cost of setting up its three log sinks, and the stations count for themselves.
    """

    def _run_for_rank(self, rank: int, local_rank: int = 0, node_rank: int = -1) -> PipelineStats:  # noqa: ARG002
        if self.is_rank_completed(rank):
            return PipelineStats()
        logger.disable("datatrove")
        data = None
        for block in self.pipeline:
            data = block(data, rank, self.world_size)
        deque(data or (), maxlen=0)
        self.mark_rank_as_completed(rank)
        return PipelineStats()


class _LocalExecutor(QuietTasks, LocalPipelineExecutor):  # type: ignore[misc]
    """datatrove's local executor without its manager process, which outlives a kill."""

    def run(self) -> None:
        ranks = self.get_incomplete_ranks()
        if self.workers == 1 or len(ranks) == 1:
            for rank in ranks:
                copy.deepcopy(self)._run_for_rank(rank)
            return
        context = multiprocess.get_context(self.start_method)
        context.set_forkserver_preload(
            ["__main__", *{type(block).__module__ for block in self.pipeline}, *_LAZY]
        )
        with context.Pool(min(self.workers, len(ranks))) as pool:
            deque(pool.imap_unordered(self._run_for_rank, ranks), maxlen=0)


def forget_tasks(folder: Path) -> None:
    """Removes the marks of finished tasks, and what killed ones left: called when all output is gathered."""
    shutil.rmtree(folder / _LOGS, ignore_errors=True)
    for path in folder.glob(".*.part"):
        path.unlink(missing_ok=True)
