"""A bar for what takes long; none where nobody would see it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeRemainingColumn,
)


@contextmanager
def watched(*, quiet: bool) -> Iterator[Callable[[str, int, int], None] | None]:
    """A function that is told a station's name and how many of its parts are done; None where no bar is shown."""
    console = Console(stderr=True)
    if quiet or not console.is_terminal:
        yield None
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeRemainingColumn(), console=console, transient=True) as progress:
        tasks: dict[str, int] = {}

        def watch(station: str, done: int, total: int) -> None:
            if station not in tasks:
                tasks[station] = progress.add_task(station)
            progress.update(tasks[station], completed=done, total=total)  # type: ignore[arg-type]

        yield watch
