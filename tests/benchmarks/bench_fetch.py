"""Fetching 2,000 objects of 20–200 KB, each answered after 50 ms: ours, one after another, img2dataset, the ceiling.

    python -m tests.benchmarks.bench_fetch [--img2dataset PYTHON]

One after another is what the released `download_images.py` does; a sample of it is timed and taken times the rest.
img2dataset runs in a process of its own, with the interpreter given (it may live in another environment), with as
many threads as we have requests in flight, writing files without decoding them. The ceiling is the lower of
concurrency ÷ latency and what a loopback connection carries without any HTTP client (measured in the same run).
"""

import argparse
import asyncio
import json
import shutil
import socket
import statistics
import subprocess
import tempfile
import threading
import time
import urllib.request
from pathlib import Path

from rich.console import Console
from rich.table import Table

from llavamed_data.sources.fetch import Fetcher, FetchPolicy, FetchRequest
from llavamed_data.sources.locations import BucketLocation
from tests.servers.files import keys, serving, size_of

OBJECTS, SMALLEST, LARGEST, LATENCY = 2_000, 20_000, 200_000, 0.050
ROUNDS, SAMPLE = 5, 100
CONCURRENCIES = (64, 128)

_IMG2DATASET = """
import json, sys, time
from img2dataset import download
urls, out, threads = sys.argv[1], sys.argv[2], int(sys.argv[3])
start = time.perf_counter()
download(url_list=urls, output_folder=out, output_format="files", input_format="txt", processes_count=1,
         thread_count=threads, resize_mode="no", disable_all_reencoding=True, number_sample_per_shard=10_000,
         compute_hash=None, enable_wandb=False, timeout=30)
print("seconds", time.perf_counter() - start)
"""


def ours(address: str, names: list[str], concurrency: int, folder: Path | None = None) -> float:
    """Seconds to hold every object's bytes in turn, and to write them to a folder where one is given."""

    async def run() -> int:
        store = BucketLocation.of(address).store()
        fetcher = Fetcher(store, policy=FetchPolicy(concurrency=concurrency), address=address)
        total = 0
        async for fetched in fetcher.get_all(map(FetchRequest, names)):
            assert fetched.problem is None, fetched
            total += len(fetched.data)
            if folder:
                (folder / fetched.request.key).write_bytes(fetched.data)
        return total

    start = time.perf_counter()
    total = asyncio.run(run())
    seconds = time.perf_counter() - start
    assert total == sum(map(size_of, names))
    return seconds


def one_after_another(address: str, names: list[str]) -> float:
    """Seconds for all, from a sample: urllib without keep-alive, as the released script."""
    start = time.perf_counter()
    for name in names[:SAMPLE]:
        with urllib.request.urlopen(f"{address}/{name}") as answer:
            answer.read()
    return (time.perf_counter() - start) * len(names) / SAMPLE


def img2dataset(python: str, address: str, names: list[str], concurrency: int) -> float:
    """Seconds that img2dataset itself measures around its `download`, start of its process left out."""
    folder = Path(tempfile.mkdtemp())
    try:
        urls = folder / "urls.txt"
        urls.write_text("".join(f"{address}/{name}\n" for name in names))
        run = subprocess.run(
            [python, "-c", _IMG2DATASET, str(urls), str(folder / "out"), str(concurrency)],
            capture_output=True,
            text=True,
            check=True,
        )
        stats = json.loads(next((folder / "out").glob("*_stats.json")).read_text())
        assert stats["successes"] == len(names), stats
        return float(run.stdout.rpartition("seconds ")[2])
    finally:
        shutil.rmtree(folder)


def loopback(total: int) -> float:
    """Seconds that `total` bytes take over one loopback connection between two threads."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        block = bytes(LARGEST)

        def send() -> None:
            connection, _ = server.accept()
            with connection:
                for _ in range(total // len(block)):
                    connection.sendall(block)

        thread = threading.Thread(target=send)
        start = time.perf_counter()
        thread.start()
        into = bytearray(1 << 20)
        with socket.create_connection(server.getsockname()) as connection:
            while connection.recv_into(into):
                pass
        thread.join()
        return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--img2dataset", metavar="PYTHON", help="interpreter that has img2dataset")
    python = parser.parse_args().img2dataset
    names = keys(OBJECTS, SMALLEST, LARGEST)
    total = sum(map(size_of, names))
    seconds: dict[str, list[float]] = {}
    with serving(LATENCY) as address:
        for _ in range(ROUNDS):
            for concurrency in CONCURRENCIES:
                ceiling = max(LATENCY * OBJECTS / concurrency, loopback(total))
                seconds.setdefault(f"ceiling, {concurrency} at once", []).append(ceiling)
                seconds.setdefault(f"ours, {concurrency} at once", []).append(
                    ours(address, names, concurrency)
                )
            seconds.setdefault(f"one after another (from {SAMPLE})", []).append(
                one_after_another(address, names)
            )
            with tempfile.TemporaryDirectory() as folder:
                took = ours(address, names, CONCURRENCIES[0], Path(folder))
                seconds.setdefault(f"ours, {CONCURRENCIES[0]} at once, written to files", []).append(took)
            if python:
                took = img2dataset(python, address, names, CONCURRENCIES[0])
                seconds.setdefault(f"img2dataset, {CONCURRENCIES[0]} threads", []).append(took)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    mine = medians[f"ours, {CONCURRENCIES[0]} at once"]
    table = Table(
        title=f"{OBJECTS:,} objects, {total / 1e6:.0f} MB, {LATENCY * 1000:.0f} ms latency, medians of {ROUNDS}"
    )
    for column in ("", "seconds", "objects/s", "MB/s", f"time ÷ ours ({CONCURRENCIES[0]})"):
        table.add_column(column, justify="right" if column else "left")
    for name, value in medians.items():
        table.add_row(
            name,
            f"{value:.2f}",
            f"{OBJECTS / value:,.0f}",
            f"{total / value / 1e6:.0f}",
            f"{value / mine:.2f}",
        )
    Console(width=110).print(table)


if __name__ == "__main__":
    main()
