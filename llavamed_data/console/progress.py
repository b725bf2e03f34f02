"""A bar for what takes long; none where nobody would see it."""

import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

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

if TYPE_CHECKING:
    from llavamed_data.engine.local import Watch
    from llavamed_data.sources.fetch import Progress as Fetched

_LOOKS = 20
"""Over how many looks, half a second apart, the speed is taken."""


@contextmanager
def watched(*, quiet: bool) -> Iterator["Watch | None"]:
    """A function that is told a station's name and how much of it is done; None where no bar is shown."""
    console = Console(stderr=True)
    if quiet or not console.is_terminal:
        yield None
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    speed = TextColumn("{task.fields[speed]}")
    with Progress(*columns, speed, TimeRemainingColumn(), console=console, transient=True) as progress:
        yield _Bars(progress)


class _Bars:
    """One bar a station; where it fetches, with MB/s and requests repeated."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[str, TaskID] = {}
        self._seen: dict[str, deque[tuple[float, int]]] = {}

    def __call__(self, name: str, done: int, total: int, fetched: "Fetched | None" = None) -> None:
        if name not in self._tasks:
            self._tasks[name] = self._progress.add_task(name, speed="")
        told = {"speed": self._speed(name, fetched)} if fetched else {}
        self._progress.update(self._tasks[name], completed=done, total=total, **told)  # type: ignore[arg-type]

    def _speed(self, name: str, fetched: "Fetched") -> str:
        seen = self._seen.setdefault(name, deque(maxlen=_LOOKS))
        seen.append((time.monotonic(), fetched.bytes))
        (start, before), (now, after) = seen[0], seen[-1]
        rate = max(0.0, (after - before) / (now - start)) if now > start else 0.0
        return f"{rate / 1e6:.2f} MB/s, {fetched.retries:,} retries"
