"""Runs a function on tasks until the output file of each is there, on whatever machines an engine has.

The number of tasks follows from the amount of work alone and workers only decide how many run at a time, so the output
is the same whatever runs them. A task counts as finished when its output file exists: a run that was killed goes on
with the tasks that have none.
"""

import itertools
import math
import os
import shutil
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from llavamed_data.console.progress import ProgressCallback
from llavamed_data.engine.fetch_counter import FOLDER as COUNTS
from llavamed_data.engine.fetch_counter import read_counts
from llavamed_data.errors import LlavaMedError
from llavamed_data.io.atomic import remove_temporary_files
from llavamed_data.reasons import Drop

FILES = ".engine"
"""Folder of an engine's own files (job scripts, logs) in the folder of a step; `map` removes it when all is done."""

_REPORT_SECONDS = 0.5


class Task(Protocol):
    """One part of the work: a picklable description from which a function makes one file."""

    @property
    def output(self) -> Path:
        """The file that the function writes last, atomically: where it exists, the task is finished."""


T = TypeVar("T", bound=Task)
H = TypeVar("H")

Outcome = Exception | None
"""What a task ended with: the error that it raised, or None."""


class Backend(ABC, Generic[T, H]):
    """Where tasks run, while an engine is at work; `H` is its handle of a running task."""

    @abstractmethod
    def room(self, running: int) -> int:
        """Returns how many tasks may be started while `running` are."""

    @abstractmethod
    def start(self, tasks: Sequence[T]) -> Sequence[H]:
        """Starts tasks and returns a handle of each."""

    @abstractmethod
    def wait(self, running: Mapping[H, T]) -> Iterable[tuple[H, Outcome]]:
        """Waits until at least one task has ended and returns those that have, each with its outcome."""

    @abstractmethod
    def cancel(self, running: Collection[H]) -> None:
        """Ends running tasks without waiting for their outcome."""


@dataclass(frozen=True, slots=True)
class Engine(ABC):
    """What runs tasks; see `LocalEngine`, `RayEngine` and `SlurmEngine`.

    Attributes:
        workers: the most tasks that run at a time; None for as many as there is room for.
        on_progress: called with the name of the work, how much of it is done, and of how much.
    """

    workers: int | None = None
    on_progress: ProgressCallback | None = None

    @abstractmethod
    def _open(
        self, function: Callable[[T], None], tasks: int, folder: Path
    ) -> AbstractContextManager[Backend[T, Any]]:
        """Opens the backend that runs `function` on `tasks` tasks and keeps its own files in `folder`."""

    def map(
        self, function: Callable[[T], None], tasks: Sequence[T], *, name: str, folder: Path, objects: int = 0
    ) -> None:
        """Runs `function` on every task that has no output file yet.

        Args:
            function: makes the output file of a task; it must be picklable.
            tasks: the parts of the work; how many there are must not depend on the machine.
            name: what the work is, for progress and errors.
            folder: where the tasks' outputs are; the engine keeps its own files in it until all tasks are finished.
            objects: how many objects the tasks fetch, if they count them with `FetchCounter`.

        Raises:
            LlavaMedError: a task cannot be done; finished tasks are kept.
            OSError: the disk is full or cannot be written.
        """
        with (
            self._reporting(name, tasks, folder, objects),
            closing(self.run(function, tasks, folder)) as outcomes,
        ):
            for _, error in outcomes:
                if isinstance(error, Drop):
                    raise LlavaMedError(f"{name}: {error}") from error
                if error is not None:
                    raise error
        for own in (FILES, COUNTS):
            shutil.rmtree(folder / own, ignore_errors=True)
        remove_temporary_files(folder)

    def run(
        self,
        function: Callable[[T], None],
        tasks: Sequence[T],
        folder: Path,
        *,
        needs: Mapping[Path, Path] | None = None,
        on_start: Callable[[T], None] | None = None,
    ) -> Generator[tuple[T, Outcome]]:
        """Runs `function` on every task that has no output file yet, and yields each task when it has ended.

        A task that fails does not end the others. Closing the iterator ends what is running.

        Args:
            function: makes the output file of a task; it must be picklable.
            tasks: in the order in which they are started.
            folder: the engine keeps its own files in it.
            needs: output of a task → output of the task that must be finished before it. A task whose prerequisite
                fails is not run and not yielded.
            on_start: called with each task that is started.

        Yields:
            A task that has ended, and the error that it raised, or None.
        """
        needs, on_start = needs or {}, on_start or (lambda _: None)
        waiting = {task.output: task for task in tasks if not task.output.exists()}
        if not waiting:
            return
        running: dict[Any, T] = {}
        with self._open(function, len(waiting), folder / FILES) as backend:
            try:
                while waiting or running:
                    ready = (task for output, task in waiting.items() if _is_finished(needs.get(output)))
                    started = list(itertools.islice(ready, backend.room(len(running))))
                    if started:
                        running |= zip(backend.start(started), started, strict=True)
                        for task in started:
                            del waiting[task.output]
                            on_start(task)
                    if not running:
                        return  # what is left needs a task that failed
                    for handle, outcome in backend.wait(running):
                        yield running.pop(handle), outcome
            finally:
                backend.cancel(running)

    @contextmanager
    def _reporting(self, name: str, tasks: Sequence[Task], folder: Path, objects: int) -> Iterator[None]:
        """Reports progress now and then during the block, and once after it."""
        report = self.on_progress
        if report is None:
            yield
            return
        ended = threading.Event()

        def look() -> None:
            while not ended.wait(_REPORT_SECONDS):
                if objects:
                    counts = read_counts(folder)
                    report(name, counts.objects, objects, counts)
                else:
                    report(name, sum(task.output.exists() for task in tasks), len(tasks))

        thread = threading.Thread(target=look, daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
            report(name, objects or len(tasks), objects or len(tasks))


def _is_finished(needed: Path | None) -> bool:
    return needed is None or needed.exists()


def attempt(function: Callable[[T], None], task: T) -> Outcome:
    """Runs `function` on `task` in a worker and returns its error in a form that another process can read."""
    try:
        function(task)
    except Exception as error:  # whatever it is, it is raised again where the engine is
        return portable(error)
    return None


def portable(error: Exception) -> Exception:
    """The error itself if it survives pickling, else a LlavaMedError that tells of it."""
    import pickle

    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301  (our own bytes)
    except Exception:  # whatever an exception's own class does wrong
        return LlavaMedError(f"{type(error).__name__}: {error}")
    return error


def number_of_tasks(items: int, *, least: int, most: int, tasks: int = 64) -> int:
    """Into how many tasks `items` are cut: about `tasks`, of at least `least` and at most `most` items each."""
    size = min(max(math.ceil(items / tasks), least), most)
    return max(1, math.ceil(items / size))


def share(items: int, number: int, tasks: int) -> range:
    """The contiguous part of `items` that falls to task `number` of `tasks`."""
    return range(items * number // tasks, items * (number + 1) // tasks)


def cores() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
