"""Times peers in turn, in one process and one run, and prints medians and ratios."""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.conftest import SHARED_DATA


def article_arguments(description: str | None) -> argparse.Namespace:
    """The command line of a benchmark over JATS files: `folder`, `before` and `json`."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, nargs="?", default=SHARED_DATA / "jats")
    parser.add_argument("--before", type=Path, help="another checkout, whose packages are measured too")
    parser.add_argument("--json", action="store_true", help="print seconds only")
    return parser.parse_args()


def medians(
    peers: Mapping[str, Callable[[], object]],
    *,
    rounds: int = 5,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, float]:
    """Median seconds of each peer over `rounds`, the peers taking turns so that drift hits all alike.

    Args:
        peers: what to time, by name.
        rounds: how often each is run.
        clock: `time.process_time` counts the processor time of this process, which other programs disturb less.
    """
    seconds: dict[str, list[float]] = {name: [] for name in peers}
    for _ in range(rounds):
        for name, run in peers.items():
            start = clock()
            run()
            seconds[name].append(clock() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}


def show(title: str, seconds: Mapping[str, float], *, amount: float, unit: str, ours: str) -> None:
    """Prints one line a peer: seconds, `unit`/s and its time as a multiple of `ours`."""
    table = Table(title=title)
    for column in ("peer", "seconds", f"{unit}/s", f"time ÷ {ours}"):
        table.add_column(column, justify="left" if column == "peer" else "right")
    for name, value in seconds.items():
        table.add_row(name, f"{value:.3f}", f"{amount / value:,.0f}", f"{value / seconds[ours]:.2f}")
    Console().print(table)


def show_before_and_after(
    title: str, before: Mapping[str, float], after: Mapping[str, float], *, alone: str
) -> None:
    """Prints the time of each peer as a multiple of the peer `alone`, in another checkout and in this one."""
    table = Table("peer", "before", "after", title=f"{title}: processor time ÷ {alone}")
    for name in before:
        table.add_row(name, *(f"{seconds[name] / seconds[alone]:.2f}" for seconds in (before, after)))
    Console().print(table)


def measured_in(checkout: Path, module: str, *arguments: str) -> dict[str, float]:
    """Runs this benchmark on the packages of another checkout.

    Args:
        checkout: the folder that holds the other packages.
        module: the benchmark; with `--json` it prints seconds by peer.
        arguments: its other arguments.
    """
    with tempfile.TemporaryDirectory() as folder:
        for package in ("llavamed_data", "llavamed_trainer", "hub_cards"):
            (Path(folder) / package).symlink_to(checkout.resolve() / package)
        (Path(folder) / "tests").symlink_to(Path(__file__).resolve().parents[1])
        command = [sys.executable, "-m", module, *arguments, "--json"]
        environment = os.environ | {"PYTHONPATH": folder}
        printed = subprocess.run(
            command, cwd=folder, env=environment, check=True, capture_output=True, text=True
        )
    seconds: dict[str, float] = json.loads(printed.stdout)
    return seconds
