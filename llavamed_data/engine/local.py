"""Runs tasks on this machine, in processes that end after some tasks."""

import multiprocessing
import os
import signal
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import connection
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from llavamed_data.engine.engine import Backend, Engine, Outcome, T, attempt, cores
from llavamed_data.errors import LlavaMedError

_PRELOADED = ("__main__", "pandas")
"""Imported once by the fork server beside the tasks' own module: Arrow imports pandas with its first table, which
would take half a second in every process."""

_TASKS = 16
"""How many tasks a process runs before another takes its place: starting one takes as long as a small task."""


@dataclass(frozen=True, slots=True)
class LocalEngine(Engine):
    """Processes on this machine; by default one a core.

    A process ends after some tasks, so memory does not grow with their number. With one worker, or one task, the
    function runs in this very process.
    """

    @contextmanager
    def _open(
        self,
        function: Callable[[T], None],
        tasks: int,
        folder: Path,  # noqa: ARG002  (this engine keeps no files)
    ) -> Iterator[Backend[T, Any]]:
        workers = min(self.workers or cores(), tasks)
        yield _InThisProcess(function) if workers == 1 else _Processes(function, workers)


class _InThisProcess(Backend[T, T]):
    """Runs one task after another without starting a process; the handle of a task is its outcome."""

    def __init__(self, function: Callable[[T], None]) -> None:
        self._function = function

    def room(self, running: int) -> int:
        return 1 - running

    def start(self, tasks: Sequence[T]) -> Sequence[T]:
        return tasks

    def wait(self, running: Mapping[T, T]) -> Iterable[tuple[T, Outcome]]:
        return [(task, attempt(self._function, task)) for task in running]

    def cancel(self, running: Collection[T]) -> None:
        """Does nothing: when this is called, nothing is running."""


class _Processes(Backend[T, Connection]):
    """Hands tasks to processes that a fork server starts; the handle of a task is the pipe to its process.

    `multiprocessing.Pool` and `ProcessPoolExecutor` would not do: the one waits for ever for a worker that was
    killed, the workers of the other live on when this process is.
    """

    def __init__(self, function: Callable[[T], None], workers: int) -> None:
        self._function = function
        self._workers = workers
        self._processes: dict[Connection, Any] = {}
        self._tasks: Counter[Connection] = Counter()
        self._idle: list[Connection] = []
        self._context = multiprocessing.get_context("forkserver")
        inner = getattr(function, "func", function)  # of a functools.partial
        self._context.set_forkserver_preload([*_PRELOADED, inner.__module__])

    def room(self, running: int) -> int:
        return self._workers - running

    def start(self, tasks: Sequence[T]) -> Sequence[Connection]:
        return [self._start(task) for task in tasks]

    def _start(self, task: T) -> Connection:
        while self._idle:
            pipe = self._idle.pop()
            try:
                pipe.send(task)
            except OSError:  # it was killed while it had nothing to do
                self._end(pipe)
            else:
                return pipe
        pipe = self._new_process()
        pipe.send(task)
        return pipe

    def _new_process(self) -> Connection:
        here, there = self._context.Pipe()
        process = self._context.Process(
            target=_work, args=(there, self._function, dict(os.environ)), daemon=True
        )
        with _without_interrupts():
            process.start()
        there.close()  # the end of the process is now the end of the pipe
        self._processes[here] = process
        return here

    def wait(self, running: Mapping[Connection, T]) -> Iterable[tuple[Connection, Outcome]]:
        for pipe in connection.wait(list(running)):
            assert isinstance(pipe, Connection)
            self._tasks[pipe] += 1
            try:
                outcome = pipe.recv()
            except (EOFError, OSError):
                outcome = _killed(self._end(pipe))
            else:
                if self._tasks[pipe] < _TASKS:
                    self._idle.append(pipe)
                else:
                    self._end(pipe)
            yield pipe, outcome

    def cancel(self, running: Collection[Connection]) -> None:
        for pipe in running:
            self._processes[pipe].terminate()
        for pipe in list(self._processes):
            self._end(pipe)

    def _end(self, pipe: Connection) -> Any:
        """Lets a process end that has no task, and returns it."""
        pipe.close()
        self._tasks.pop(pipe, None)
        process = self._processes.pop(pipe)
        process.join()
        return process


def _work(pipe: Connection, function: Callable[[T], None], environment: Mapping[str, str]) -> None:
    """Runs one task after another in a process of its own, until the engine closes the pipe or is killed."""
    os.environ.clear()  # it is that of the fork server, which may have started long ago
    os.environ.update(environment)
    with suppress(EOFError, OSError):
        while True:
            pipe.send(attempt(function, pipe.recv()))


@contextmanager
def _without_interrupts() -> Iterator[None]:
    """Keeps Ctrl-C from a process that starts in this block and from its children: the engine ends its own."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _killed(process: Any) -> LlavaMedError:
    how = f"was killed by signal {-process.exitcode}" if process.exitcode < 0 else "ended without an answer"
    return LlavaMedError(
        f"a worker process {how}, as happens when memory runs out: rerun the same command with fewer --workers; "
        "finished work is kept"
    )
