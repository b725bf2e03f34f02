"""Runs tasks on this machine, each in a process of its own."""

import multiprocessing
import signal
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import connection
from pathlib import Path
from typing import Any

from llavamed_data.engine.engine import Backend, Engine, Outcome, T, attempt, cores
from llavamed_data.errors import LlavaMedError

_PRELOADED = ("__main__", "pandas")
"""Imported once by the fork server beside the tasks' own module: Arrow imports pandas with its first table, which
would take half a second in every process."""


@dataclass(frozen=True, slots=True)
class LocalEngine(Engine):
    """Processes on this machine; by default one a core.

    A process ends with its task, so memory does not grow with the number of tasks. With one worker, or one task, the
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


class _Processes(Backend[T, connection.Connection]):
    """Starts one process a task through a fork server; the handle of a task is the pipe that it answers through.

    `multiprocessing.Pool` and `ProcessPoolExecutor` would not do: the one waits for ever for a worker that was
    killed, the workers of the other live on when this process is.
    """

    def __init__(self, function: Callable[[T], None], workers: int) -> None:
        self._function = function
        self._workers = workers
        self._processes: dict[connection.Connection, Any] = {}
        self._context = multiprocessing.get_context("forkserver")
        inner = getattr(function, "func", function)  # of a functools.partial
        self._context.set_forkserver_preload([*_PRELOADED, inner.__module__])

    def room(self, running: int) -> int:
        return self._workers - running

    def start(self, tasks: Sequence[T]) -> Sequence[connection.Connection]:
        return [self._start(task) for task in tasks]

    def _start(self, task: T) -> connection.Connection:
        here, there = self._context.Pipe(duplex=False)
        process = self._context.Process(target=_answer, args=(there, self._function, task), daemon=True)
        process.start()
        there.close()  # the end of the process is now the end of the pipe
        self._processes[here] = process
        return here

    def wait(
        self, running: Mapping[connection.Connection, T]
    ) -> Iterable[tuple[connection.Connection, Outcome]]:
        for ready in connection.wait(list(running)):
            assert isinstance(ready, connection.Connection)
            try:
                outcome = ready.recv()
            except EOFError:
                outcome = _killed(self._processes[ready])
            self._processes.pop(ready).join()
            yield ready, outcome

    def cancel(self, running: Collection[connection.Connection]) -> None:
        for handle in running:
            self._processes[handle].terminate()
        for handle in running:
            self._processes.pop(handle).join()


def _answer(pipe: connection.Connection, function: Callable[[T], None], task: T) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes; the engine ends its own
    pipe.send(attempt(function, task))


def _killed(process: Any) -> LlavaMedError:
    process.join()
    how = f"was killed by signal {-process.exitcode}" if process.exitcode < 0 else "ended without an answer"
    return LlavaMedError(
        f"a worker process {how}, as happens when memory runs out: rerun the same command with fewer --workers; "
        "finished work is kept"
    )
