"""Runs tasks on a Ray cluster; a node may die while it works, its tasks then run on another."""

import importlib.util
import logging
import os
import socket
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from llavamed_data.engine.engine import Backend, Engine, Outcome, T, attempt
from llavamed_data.errors import LlavaMedError, UsageError, one_line

_RETRIES = 5
"""How often one task may lose its node or process."""

_CONNECT_SECONDS = 10.0

_OBJECT_STORE_BYTES = 256 * 2**20
"""Memory for objects of a Ray that is started here: descriptions of tasks pass through it, never articles or images."""


@dataclass(frozen=True, slots=True)
class RayEngine(Engine):
    """A Ray cluster whose nodes all see the work folder, the source and the working directory under the same paths.

    Attributes:
        workers: the most tasks that run at a time; None for as many as the cluster has processors.
        address: of the cluster (`HOST:6379`, `ray://HOST:10001`); None joins the one that RAY_ADDRESS names or that
            runs on this machine, and else starts Ray here.
        gpus: how many GPUs each task takes.
        retries: how often a task is run again if its node or process dies.

    Raises:
        UsageError: Ray is not installed.
    """

    address: str | None = None
    gpus: int = 0
    retries: int = _RETRIES

    def __post_init__(self) -> None:
        if importlib.util.find_spec("ray") is None:
            raise UsageError("--engine ray needs Ray: pip install 'llavamed-data[ray]'")

    @contextmanager
    def _open(self, function: Callable[[T], None], tasks: int, folder: Path) -> Iterator[Backend[T, Any]]:
        _connect(self.address, self.workers)
        yield _RayTasks(self, function, self.workers or tasks, folder)


class _RayTasks(Backend[T, Any]):
    """Starts plain Ray tasks; the handle of a task is the reference to its outcome."""

    def __init__(self, engine: RayEngine, function: Callable[[T], None], workers: int, folder: Path) -> None:
        import ray

        self._workers = workers
        self._retries = engine.retries
        self._where = (str(Path.cwd()), str(folder.parent.absolute()))
        self._function = ray.put(function)
        self._run: Any = ray.remote(
            num_cpus=1, num_gpus=engine.gpus, max_retries=engine.retries, scheduling_strategy="SPREAD"
        )(_attempt_there)

    def room(self, running: int) -> int:
        return self._workers - running

    def start(self, tasks: Sequence[T]) -> Sequence[Any]:
        return [self._run.remote(self._function, task, *self._where) for task in tasks]

    def wait(self, running: Mapping[Any, T]) -> Iterable[tuple[Any, Outcome]]:
        import ray

        ended, _ = ray.wait(list(running))
        for handle in ended:
            try:
                yield handle, ray.get(handle)
            except ray.exceptions.RayError as error:
                lost = f"Ray lost a task {self._retries + 1} times ({one_line(error)})"
                yield handle, LlavaMedError(f"{lost}: rerun the same command, finished work is kept")

    def cancel(self, running: Collection[Any]) -> None:
        import ray

        for handle in running:
            ray.cancel(handle)


def _attempt_there(function: Callable[[T], None], task: T, directory: str, folder: str) -> Outcome:
    """Runs a task on a node of the cluster, in the working directory of the engine."""
    for needed in (directory, folder):
        if not Path(needed).is_dir():
            return LlavaMedError(
                f"the Ray node {socket.gethostname()} has no folder {needed}: the work folder and the working "
                "directory must lie where all nodes see them"
            )
    os.chdir(directory)
    return attempt(function, task)


def _connect(address: str | None, workers: int | None) -> None:
    """Joins a cluster, or starts Ray on this machine."""
    import ray

    if ray.is_initialized():
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    join = partial(ray.init, logging_level=logging.ERROR, log_to_driver=False)
    if address := address or os.environ.get("RAY_ADDRESS"):
        _require_answer(address)
        join(address)
        return
    try:
        join("auto")
    except ConnectionError:
        join(num_cpus=workers, include_dashboard=False, object_store_memory=_OBJECT_STORE_BYTES)


def _require_answer(address: str) -> None:
    """Tells at once if nothing answers there: Ray itself would try for minutes and then end the process."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not (host and port.isdigit() and int(port) < 2**16):
        raise UsageError(f"the address {address} of the Ray cluster must be HOST:PORT, such as head:6379")
    try:
        socket.create_connection((host, int(port)), timeout=_CONNECT_SECONDS).close()
    except OSError as error:
        raise LlavaMedError(f"no Ray cluster answers at {address}: {error.strerror or error}") from error
