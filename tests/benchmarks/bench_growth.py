"""How the time for one article, or one pair, grows with their number: `python -m tests.benchmarks.bench_growth`.

Builds: articles of the sample corpus, copied under other numbers, built anew, again without a change, and after 1 % of
them have changed. Select: made-up pairs, for the alignment set and the instruct sets in one pass. Printed are seconds a
1,000 articles or pairs and, behind each larger size, the growth against the smallest; 1.0 is linear.
"""

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from rich.console import Console
from rich.table import Table

from llavamed_data.pipeline.steps.extract import PAIRS, ROW_GROUP, Extracted
from llavamed_data.pipeline.steps.select import ExcludedArticles, select
from llavamed_data.pipeline.steps.step import StepManifest
from llavamed_data.recipes import DOMAINS, load_recipe
from llavamed_data.sources.sample import corpus_path
from tests.benchmarks.bench_memory import multiplied

ARTICLES = 28
"""Articles of the sample corpus."""


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--articles", type=int, nargs="*", default=[1_000, 10_000])
    parser.add_argument("--pairs", type=int, nargs="*", default=[1_000_000, 5_000_000])
    arguments = parser.parse_args()
    console = Console()
    with tempfile.TemporaryDirectory() as folder:
        table = _table("articles", "build", "build again", "update of 1 %")
        _fill(table, arguments.articles, lambda size: build(Path(folder) / str(size), size))
        console.print(table)
    with tempfile.TemporaryDirectory() as folder:
        table = _table("pairs", "select", "peak memory, MB")
        _fill(table, arguments.pairs, lambda size: selected(Path(folder) / str(size), size))
        console.print(table)


def build(folder: Path, articles: int) -> list[float]:
    """Seconds of a build, of one that finds nothing to do, and of an update after one article in 100 has changed."""
    folder.mkdir(parents=True)
    corpus = multiplied(corpus_path(), folder / "corpus", -(-articles // ARTICLES))
    command = [sys.executable, "-m", "llavamed_data"]
    first = [*command, "build", "60k-im", "--source", str(corpus), "--quiet"]
    times = [_seconds(first, folder), _seconds(first, folder)]
    for path in sorted(corpus.glob("PMC*/PMC*.json"))[::100]:
        path.write_text(json.dumps(json.loads(path.read_text()), indent=2))
    times.append(_seconds([*command, "update", "--quiet"], folder))
    shutil.rmtree(folder)
    return times


def _seconds(command: Sequence[str], folder: Path) -> float:
    start = time.perf_counter()
    subprocess.run(command, cwd=folder, check=True)
    return time.perf_counter() - start


def selected(folder: Path, pairs: int) -> list[float]:
    """Seconds of selecting four recipes, in a process of its own, and its peak memory in MB."""
    folder.mkdir(parents=True)
    made_up_pairs(folder / "extract", pairs)
    command = [sys.executable, "-c", f"from {__spec__.name} import _select; _select({str(folder)!r})"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    shutil.rmtree(folder)
    return [float(value) for value in done.stdout.split()]


def _select(folder: str) -> None:
    extracted = Extracted(Path(folder) / "extract", StepManifest("extract", "made up", {}, {}))
    recipes = [load_recipe(name) for name in ("alignment-600k", "10k", "60k", "60k-im")]
    excluded = ExcludedArticles(frozenset({"PMC7"}), frozenset({"11"}))
    start = time.perf_counter()
    select({Path(folder) / recipe.name: recipe for recipe in recipes}, extracted, seed=0, excluded=excluded)
    seconds = time.perf_counter() - start
    print(seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3)


def made_up_pairs(folder: Path, count: int) -> None:
    """Writes pairs as `extract` does: one in fourteen of a domain, half mentioned, two in three single plots."""
    folder.mkdir(parents=True)
    random = np.random.default_rng(0)
    for number, start in enumerate(range(0, count, 250_000)):
        size = min(250_000, count - start)
        rows = np.arange(start, start + size)
        articles = pa.array(rows // 4).cast(pa.string())
        domain = random.integers(0, 70, size)
        texts: dict[str, Any] = {
            "pair_id": [f"{row // 4}_F{row % 4}" for row in rows],
            "pmcid": pc.binary_join_element_wise("PMC", articles, ""),
            "pmid": articles,
            "figure_id": ["F1"] * size,
            "figure_label": ["Figure 1"] * size,
            "caption": [
                "A caption of a hundred characters or so, which no step before the last has any reason to read."
            ]
            * size,
            "inline_mentions": [["As Figure 1 shows."] if row % 2 else [] for row in rows],
            "image": [
                f"PMC{row // 4}.1/figure-{row % 4}.jpg?md5=0123456789abcdef0123456789abcdef" for row in rows
            ],
            "license": ["CC BY"] * size,
            "single_plot": random.random(size) < 0.66,
            "domain": [DOMAINS[value] if value < 5 else None for value in domain],
        }
        table = pa.table(
            [pa.array(texts[name], field.type) for name, field in zip(PAIRS.names, PAIRS, strict=True)],
            schema=PAIRS,
        )
        pq.write_table(
            table, folder / f"pairs-{number:05d}.parquet", row_group_size=ROW_GROUP, compression="zstd"
        )


def _fill(table: Table, sizes: Sequence[int], measure: Callable[[int], list[float]]) -> None:
    smallest: list[float] = []
    for size in sizes:
        values = measure(size)
        a_thousand = [value / size * 1_000 for value in values]
        smallest = smallest or a_thousand
        cells = [
            f"{value:.3g} ({now:.3g} a 1,000, growth {now / before:.2f})"
            for value, now, before in zip(values, a_thousand, smallest, strict=True)
        ]
        table.add_row(f"{size:,}", *cells)


def _table(*columns: str) -> Table:
    table = Table(title=f"growth, {os.cpu_count()} cores")
    for column in columns:
        table.add_column(column, justify="right")
    return table


if __name__ == "__main__":
    main()
