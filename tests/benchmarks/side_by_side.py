"""Times peers in turn, in one process and one run, and prints medians and ratios."""

import statistics
import time
from collections.abc import Callable, Mapping

from rich.console import Console
from rich.table import Table


def medians(peers: Mapping[str, Callable[[], object]], *, rounds: int = 5) -> dict[str, float]:
    """Median seconds of each peer over `rounds`, the peers taking turns so that drift hits all alike."""
    seconds: dict[str, list[float]] = {name: [] for name in peers}
    for _ in range(rounds):
        for name, run in peers.items():
            start = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}


def show(title: str, seconds: Mapping[str, float], *, amount: float, unit: str, ours: str) -> None:
    """Prints one line a peer: seconds, `unit`/s and its time as a multiple of `ours`."""
    table = Table(title=title)
    for column in ("peer", "seconds", f"{unit}/s", f"time ÷ {ours}"):
        table.add_column(column, justify="left" if column == "peer" else "right")
    for name, value in seconds.items():
        table.add_row(name, f"{value:.3f}", f"{amount / value:,.0f}", f"{value / seconds[ours]:.2f}")
    Console().print(table)
