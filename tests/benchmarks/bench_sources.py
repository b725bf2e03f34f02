"""How the time to look at a source grows: a folder mirror that has not changed, and images that tasks find by name.

    python -m tests.benchmarks.bench_sources [--most ARTICLES]

The mirror has seven files an article, as PMC has them. Its fingerprint decides whether a rerun of `build` reads
articles again, so it is computed at every run; the whole rerun of `extract` is timed beside it. Images lie in a
hundred sub-folders, and a task reads ten of its 240, as tasks do that find the others on disk.
"""

import argparse
import pickle
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.table import Table

from llavamed_data.sources import open_source
from llavamed_data.sources.images import ImageFolder
from tests.llavamed_data.sources.corpus import article, lay_out

ARTICLES = (1_000, 10_000, 100_000)
IMAGES = (1_000, 10_000, 60_000)
IMAGES_A_TASK, READ_A_TASK = 240, 10
ROUNDS = 3


def write_mirror(folder: Path, articles: int) -> None:
    """Adds made-up articles, up to so many."""
    for number in range(articles):
        handle = f"PMC{5_000_000 + number}.1"
        if not (folder / handle).exists():
            images = {f"journal-{number}-g{figure:03d}.jpg": b"image" for figure in range(3)}
            lay_out(article(handle, images) | {f"{handle}/{handle}.txt": b"text"}, folder)


def write_images(folder: Path, images: int) -> None:
    """Adds made-up images, up to so many."""
    for number in range(images):
        path = folder / f"{number % 100:02d}" / f"{number}_F1.jpg"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"image")


def rerun_seconds(mirror: Path, work: Path) -> float:
    """Seconds of `extract` when nothing has changed since the run before."""
    command = [sys.executable, "-m", "llavamed_data", "extract", "--source", str(mirror)]
    command += ["--work", str(work), "--out", str(work / "pairs.parquet"), "--quiet"]
    work.mkdir(exist_ok=True)
    subprocess.run(command, check=True)
    return seconds_of(lambda: subprocess.run(command, check=True))[0]


def read_in_tasks(folder: Path, images: int, index: Path) -> None:
    """Reads images as tasks do, each of which is sent the folder with the index that all share."""
    sent = pickle.dumps(ImageFolder(folder).indexed(index))
    for start in range(0, images, IMAGES_A_TASK):
        opened = pickle.loads(sent)
        for number in range(start, min(start + IMAGES_A_TASK, images), IMAGES_A_TASK // READ_A_TASK):
            assert opened.read(f"{number}_F1.jpg") == b"image"


def seconds_of(work: Callable[[], object]) -> tuple[float, float]:
    """The least seconds, by the clock and of this process, in a few rounds."""
    clock, processor = [], []
    for _ in range(ROUNDS):
        start, used = time.perf_counter(), time.process_time()
        work()
        clock.append(time.perf_counter() - start)
        processor.append(time.process_time() - used)
    return min(clock), min(processor)


def main() -> None:
    """Prints one table of the mirror and one of the images."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--most", type=int, default=ARTICLES[-1], help="articles of the largest mirror")
    most = parser.parse_args().most
    with tempfile.TemporaryDirectory() as scratch:
        mirrors = Table(title="A folder mirror that has not changed")
        for column in ("articles", "fingerprint, s", "processor, s", "µs an article", "rerun of extract, s"):
            mirrors.add_column(column, justify="right")
        mirror = Path(scratch) / "mirror"
        for articles in (count for count in ARTICLES if count <= most):
            write_mirror(mirror, articles)
            clock, processor = seconds_of(lambda: open_source(str(mirror)).fingerprint())
            each = f"{processor / articles * 1e6:.0f}"
            rerun = f"{rerun_seconds(mirror, Path(scratch) / 'work'):.2f}"
            mirrors.add_row(f"{articles:,}", f"{clock:.2f}", f"{processor:.2f}", each, rerun)
        Console().print(mirrors)
        images = Table(title="Images by name in tasks")
        for column in ("images", "tasks", "index, s", "all tasks, processor s", "ms a task"):
            images.add_column(column, justify="right")
        folder = Path(scratch) / "images"
        for count in IMAGES:
            write_images(folder, count)
            index = Path(scratch) / f"{count}.index"
            start = time.process_time()
            ImageFolder(folder).indexed(index)
            made, tasks = time.process_time() - start, -(-count // IMAGES_A_TASK)
            _, processor = seconds_of(partial(read_in_tasks, folder, count, index))
            each = f"{processor / tasks * 1e3:.1f}"
            images.add_row(f"{count:,}", f"{tasks:,}", f"{made:.2f}", f"{processor:.2f}", each)
        Console().print(images)


if __name__ == "__main__":
    main()
