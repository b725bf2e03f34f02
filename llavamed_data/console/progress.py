"""Progress of long work: the callback that it reports to, and bars on a terminal."""

import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

_LOOKS = 20
"""Over how many looks, half a second apart, the speed is taken."""


@dataclass(frozen=True, slots=True)
class FetchCounts:
    """What has been fetched so far: objects that have ended, bytes received, requests that were repeated."""

    objects: int = 0
    bytes: int = 0
    retries: int = 0


@runtime_checkable
class ProgressCallback(Protocol):
    """What long work calls now and then to report how far it is."""

    def __call__(self, name: str, done: int, total: int, fetched: FetchCounts | None = None) -> None:
        """Takes the name of the work, how many of its `total` parts are done, and what it has fetched."""


@contextmanager
def progress_bars(*, quiet: bool) -> Iterator[ProgressCallback | None]:
    """Yields a callback that shows one bar for each name; None if `quiet`, or if standard error is no terminal."""
    console = Console(stderr=True)
    if quiet or not console.is_terminal:
        yield None
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    speed = TextColumn("{task.fields[speed]}")
    with Progress(*columns, speed, TimeRemainingColumn(), console=console, transient=True) as progress:
        yield _Bars(progress)


class _Bars:
    """One bar for each name of work; if the work fetches, with MB/s and the number of repeated requests."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[str, TaskID] = {}
        self._seen: dict[str, deque[tuple[float, int]]] = {}

    def __call__(self, name: str, done: int, total: int, fetched: FetchCounts | None = None) -> None:
        if name not in self._tasks:
            self._tasks[name] = self._progress.add_task(name, speed="")
        told = {"speed": self._speed(name, fetched)} if fetched else {}
        self._progress.update(self._tasks[name], completed=done, total=total, **told)  # type: ignore[arg-type]

    def _speed(self, name: str, fetched: FetchCounts) -> str:
        seen = self._seen.setdefault(name, deque(maxlen=_LOOKS))
        seen.append((time.monotonic(), fetched.bytes))
        (start, before), (now, after) = seen[0], seen[-1]
        rate = max(0.0, (after - before) / (now - start)) if now > start else 0.0
        return f"{rate / 1e6:.2f} MB/s, {fetched.retries:,} retries"
