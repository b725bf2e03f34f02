"""Processor time of the whole of `extract` against XML parsing alone, and articles a second with one and two workers.

    python -m tests.benchmarks.bench_extract [FOLDER OF JATS FILES] [--before CHECKOUT]

Every file is read `COPIES` times under other names. The ceiling is what two bare processes, each over half of the
articles and with nothing in common, reach on this machine together. With `--before` the packages of another checkout
are measured by the same code, which needs `LocalEngine` in it.
"""

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from multiprocessing import get_context
from pathlib import Path

from lxml import etree

from llavamed_data.engine import LocalEngine
from llavamed_data.jats import parse_article
from llavamed_data.pipeline.steps.extract import extract
from llavamed_data.reasons import Drop
from llavamed_data.sources import JatsFiles
from tests.benchmarks.side_by_side import article_arguments, measured_in, medians, show, show_before_and_after

ALONE = "XML parsing alone"
COPIES = 10
_PARSER = etree.XMLParser(recover=True, huge_tree=True)
ROUNDS = 3


def repeated(folder: Path, out: Path) -> int:
    """Copies of the articles in `folder`, each `COPIES` times; how many there are."""
    articles = [path for path in sorted(folder.rglob("*")) if path.suffix in (".xml", ".nxml")]
    for path in articles:
        for copy in range(COPIES):
            (out / f"{path.stem}-{copy}{path.suffix}").write_bytes(path.read_bytes())
    return len(articles) * COPIES


def extracted(corpus: Path, workers: int) -> None:
    """One run of the step."""
    with tempfile.TemporaryDirectory() as scratch:
        extract(JatsFiles(corpus), Path(scratch) / "extract", engine=LocalEngine(workers=workers))


def parsed(paths: list[Path]) -> None:
    """The articles parsed, and nothing else."""
    for path in paths:
        try:
            parse_article(path.read_bytes())
        except Drop:
            continue


def parsed_apart(paths: list[Path], processes: int) -> None:
    """The same by bare processes that share nothing."""
    spawn = get_context("fork")
    running = [spawn.Process(target=parsed, args=(paths[part::processes],)) for part in range(processes)]
    for process in running:
        process.start()
    for process in running:
        process.join()


def peers_over(paths: list[Path]) -> dict[str, Callable[[], object]]:
    """What is compared in every checkout, each over all of `paths` in this process."""

    def alone() -> None:
        for path in paths:
            etree.fromstring(path.read_bytes(), _PARSER)

    return {
        ALONE: alone,
        "figures, captions, mentions": partial(parsed, paths),
        "extract, whole": partial(extracted, paths[0].parent, 1),
    }


def report_workers(corpus: Path, paths: list[Path]) -> None:
    """Prints articles a second of one and two workers, beside bare processes."""
    peers = {
        "extract, 1 worker": partial(extracted, corpus, 1),
        "extract, 2 workers": partial(extracted, corpus, 2),
        "parse only, 1 process": partial(parsed_apart, paths, 1),
        "parse only, 2 processes": partial(parsed_apart, paths, 2),
    }
    print(f"load before the run: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    seconds = medians(peers, rounds=ROUNDS)
    show("Extract", seconds, amount=len(paths), unit="articles", ours="extract, 2 workers")
    print(f"2 workers: {seconds['extract, 1 worker'] / seconds['extract, 2 workers']:.2f} times 1 worker")
    alone, both = seconds["parse only, 1 process"], seconds["parse only, 2 processes"]
    print(f"ceiling of this machine: {alone / both:.2f} times")


def main() -> None:
    """Prints processor times, and without `--json` the throughput too."""
    arguments = article_arguments(__doc__)
    with tempfile.TemporaryDirectory() as scratch:
        corpus = Path(scratch)
        articles = repeated(arguments.folder, corpus)
        paths = sorted(corpus.iterdir())
        seconds = medians(peers_over(paths), rounds=ROUNDS, clock=time.process_time)
        if arguments.json:
            json.dump(seconds, sys.stdout)
            return
        show(f"{articles} articles, processor time", seconds, amount=articles, unit="articles", ours=ALONE)
        if arguments.before:
            folder = str(arguments.folder.resolve())
            before = measured_in(arguments.before, "tests.benchmarks.bench_extract", folder)
            show_before_and_after(f"{articles} articles", before, seconds, alone=ALONE)
        report_workers(corpus, paths)


if __name__ == "__main__":
    main()
