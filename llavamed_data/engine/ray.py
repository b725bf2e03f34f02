"""Runs the stations' tasks on a Ray cluster; a node may die in mid-run, its tasks then run on another."""

import importlib.util
import logging
import os
import socket
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from datatrove.executor.ray import RayPipelineExecutor
from datatrove.pipeline.base import PipelineStep

from llavamed_data.engine.local import Engine, QuietTasks
from llavamed_data.errors import LlavaMedError, UsageError

_RETRIES = 5
"""How often one task may lose its node or process."""

_KNOCK_SECONDS = 10.0

_OBJECT_STORE_BYTES = 256 * 2**20
"""Of a Ray started here: only the blocks pass through it, never articles or images."""


@dataclass(frozen=True, slots=True)
class RayEngine(Engine):
    """A Ray cluster whose nodes all see the work folder and the source under the same paths.

    Attributes:
        workers: tasks at a time; None for as many as the cluster has CPUs.
        address: of the cluster (`HOST:6379`, `ray://HOST:10001`); None joins what RAY_ADDRESS names or what runs
            on this machine, and else starts Ray here.

    Raises:
        UsageError: Ray is not installed.
    """

    address: str | None = None

    def __post_init__(self) -> None:
        if importlib.util.find_spec("ray") is None:
            raise UsageError("--engine ray needs Ray: pip install 'llavamed-data[ray]'")

    def _execute(self, blocks: list[PipelineStep], logs: Path, tasks: int) -> None:
        _connect(self.address, self.workers)
        workers = min(tasks, self.workers or tasks)
        _RayExecutor(pipeline=blocks, tasks=tasks, workers=workers, logging_dir=str(logs)).run()


def _connect(address: str | None, workers: int | None) -> None:
    import ray

    if ray.is_initialized():
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    join = partial(ray.init, logging_level=logging.ERROR, log_to_driver=False)
    if address := address or os.environ.get("RAY_ADDRESS"):
        _knock(address)
        join(address)
        return
    try:
        join("auto")
    except ConnectionError:
        join(num_cpus=workers, include_dashboard=False, object_store_memory=_OBJECT_STORE_BYTES)


def _knock(address: str) -> None:
    """Sees whether anyone answers there: Ray itself would try for minutes and then end the process."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not (host and port.isdigit() and int(port) < 2**16):
        raise UsageError(f"the address {address} of the Ray cluster must be HOST:PORT, such as head:6379")
    try:
        socket.create_connection((host, int(port)), timeout=_KNOCK_SECONDS).close()
    except OSError as error:
        raise LlavaMedError(f"no Ray cluster answers at {address}: {error.strerror or error}") from error


class _RayExecutor(QuietTasks, RayPipelineExecutor):  # type: ignore[misc]
    """datatrove's Ray executor with one plain Ray task a rank.

    datatrove's own run gives each rank a placement group and an actor. It waits without end for a rank whose node
    dies while its actor starts, and ends as if all were well when a rank has failed.
    """

    def run(self) -> None:
        import ray

        task = ray.remote(num_cpus=1, max_retries=_RETRIES, scheduling_strategy="SPREAD")(_run_task)
        executor, directory = ray.put(self), str(Path.cwd())
        waiting = self.get_incomplete_ranks()[::-1]
        running: list[Any] = []
        try:
            while waiting or running:
                while waiting and len(running) < self.workers:
                    running.append(task.remote(executor, waiting.pop(), directory))
                ended, running = ray.wait(running)
                ray.get(ended)
        except ray.exceptions.RayTaskError as error:
            raise error.cause from error
        except ray.exceptions.RayError as error:
            raise LlavaMedError(
                f"Ray lost a task {_RETRIES + 1} times ({_line(error)}): run the same command again, "
                "finished work is kept"
            ) from error
        finally:
            for left in running:
                ray.cancel(left)


def _run_task(executor: _RayExecutor, rank: int, directory: str) -> None:
    for folder in (directory, executor.logging_dir.path):
        if not Path(folder).is_dir():
            raise LlavaMedError(
                f"the Ray node {socket.gethostname()} has no folder {folder}: --work and the working directory "
                "must lie where all nodes see them"
            )
    os.chdir(directory)
    executor._run_for_rank(rank)


def _line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
