"""Articles a second that `extract` reads with one and two workers, and the share of its time that is XML parsing.

    python -m tests.benchmarks.bench_extract [FOLDER OF JATS FILES]

Every file is read `COPIES` times under other names. The ceiling is what two bare processes, each over half of the
articles and with nothing in common, reach on this machine together.
"""

import os
import sys
import tempfile
import time
from collections import deque
from functools import partial
from multiprocessing import get_context
from pathlib import Path

from lxml import etree

from llavamed_data.engine import LocalEngine
from llavamed_data.jats import parse_article
from llavamed_data.pipeline.steps.extract import extract
from llavamed_data.reasons import Drop
from llavamed_data.sources import JatsFiles
from tests.benchmarks.side_by_side import medians, show
from tests.conftest import SHARED_DATA

COPIES = 10
_TREE = etree.XMLParser(recover=True, huge_tree=True)
ROUNDS = 3


def repeated(folder: Path, out: Path) -> int:
    """Copies of the articles in `folder`, each `COPIES` times; how many there are."""
    articles = [path for path in sorted(folder.rglob("*")) if path.suffix in (".xml", ".nxml")]
    for path in articles:
        for copy in range(COPIES):
            (out / f"{path.stem}-{copy}{path.suffix}").write_bytes(path.read_bytes())
    return len(articles) * COPIES


def extracted(corpus: Path, workers: int) -> None:
    """One run of the station."""
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


def shares(paths: list[Path]) -> tuple[float, float]:
    """What part of the processor's time of `extract` reads XML into a tree, and what part parses articles in all."""
    spent = []
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch) / "extract"
        for work in (
            partial(extract, JatsFiles(paths[0].parent), out, engine=LocalEngine(workers=1)),
            partial(deque, (etree.fromstring(path.read_bytes(), _TREE) for path in paths), 0),
            partial(parsed, paths),
        ):
            start = time.process_time()
            work()
            spent.append(time.process_time() - start)
    return spent[1] / spent[0], spent[2] / spent[0]


def main() -> None:
    """Prints articles a second of one and two workers, beside bare processes."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else SHARED_DATA / "jats"
    with tempfile.TemporaryDirectory() as scratch:
        corpus = Path(scratch)
        articles = repeated(folder, corpus)
        paths = sorted(corpus.iterdir())
        peers = {
            "extract, 1 worker": partial(extracted, corpus, 1),
            "extract, 2 workers": partial(extracted, corpus, 2),
            "parse only, 1 process": partial(parsed_apart, paths, 1),
            "parse only, 2 processes": partial(parsed_apart, paths, 2),
        }
        print(f"load before the run: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
        seconds = medians(peers, rounds=ROUNDS)
        show("Extract", seconds, amount=articles, unit="articles", ours="extract, 2 workers")
        print(f"2 workers: {seconds['extract, 1 worker'] / seconds['extract, 2 workers']:.2f} times 1 worker")
        alone, both = seconds["parse only, 1 process"], seconds["parse only, 2 processes"]
        print(f"ceiling of this machine: {alone / both:.2f} times")
        tree, parsing = shares(paths)
        print(
            f"XML into a tree: {tree:.0%} of the processor's time; with figures, captions, mentions: {parsing:.0%}"
        )


if __name__ == "__main__":
    main()
