"""Loading 60,000 rows for training, and counting their tokens.

    python -m tests.benchmarks.bench_rows [--rows N] [--processor MODEL]

The set is the first rows of the VQA-RAD training split as `build` makes it, over and over under ids of their own, with
images of 13 KB in the mean, as much as a row of the released 60K-IM set would have in 0.81 GB. Each way loads it in a
process and a cache of its own: `load_rows` of `train`, and stock `load_dataset` with `cast_column` to images that are
not decoded. Disk is what the cache of `datasets` holds afterwards. Tokens are counted for a tiny LLaVA and for the
model whose processor is named, by one process and by all cores.
"""

import argparse
import io
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image
from rich.console import Console
from rich.table import Table

from llavamed_data import BuildOptions, build
from tests.conftest import CHECKOUT, SHARED_DATA

_WAYS = {
    "load_rows": "from llavamed_trainer.running.data import load_rows\nrows = load_rows(name, 'train')",
    "load_dataset and cast_column": (
        "from datasets import Image, List, load_dataset\n"
        "rows = load_dataset(name, split='train').cast_column('images', List(Image(decode=False)))"
    ),
}

_LOAD = """
import json, random, sys, time
name = sys.argv[1]
import datasets, llavamed_trainer.running.data
datasets.disable_progress_bars()
start = time.perf_counter()
{way}
loaded = time.perf_counter() - start
order = random.Random(0).choices(range(len(rows)), k=2000)
start = time.perf_counter()
for number in order:
    rows[number]
print(json.dumps([loaded, 2000 / (time.perf_counter() - start)]))
"""

_COUNT = """
import json, sys, time
name, model, processes = sys.argv[1:]
import datasets
from llavamed_trainer.collate import LengthCounter
from llavamed_trainer.models.loading import load_processor
from llavamed_trainer.running.data import load_rows, with_lengths
datasets.disable_progress_bars()
rows = load_rows(name, "train")
count = LengthCounter(load_processor(model), 2048)
start = time.perf_counter()
with_lengths(rows, count, f"{model} {processes}", int(processes), count.columns)
counted = time.perf_counter() - start
start = time.perf_counter()
with_lengths(rows, count, f"{model} {processes}", int(processes), count.columns)
print(json.dumps([counted, time.perf_counter() - start]))
"""


def main() -> None:
    """Prints one table for loading and one for lengths."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=60_000)
    parser.add_argument("--processor", help="a folder or a name on the Hub of a model of another family")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        name = _enlarged(folder, given.rows)
        size = sum(path.stat().st_size for path in name.rglob("*.parquet"))
        table = Table(title=f"loading {given.rows:,} rows, {size / 1e9:.2f} GB of Parquet")
        for column in ("way", "seconds", "disk, GB", "random rows/s"):
            table.add_column(column, justify="left" if column == "way" else "right")
        for way, code in _WAYS.items():
            cache = folder / way
            seconds, rate = _run(_LOAD.format(way=code), cache, name)
            disk = sum(path.stat().st_size for path in cache.rglob("*") if path.is_file())
            table.add_row(way, f"{seconds:.1f}", f"{disk / 1e9:.2f}", f"{rate:,.0f}")
        Console().print(table)
        _show_lengths(folder, name, given)


def _show_lengths(folder: Path, name: Path, given: argparse.Namespace) -> None:
    from llavamed_trainer.assembly import assemble_tiny

    models = {"LLaVA": str(assemble_tiny(folder / "tiny", ["What is it? It is a lung."]))}
    if given.processor:
        models[Path(given.processor).name] = given.processor
    table = Table(title=f"tokens of {given.rows:,} rows")
    for column in ("model", "processes", "seconds", "again, seconds"):
        table.add_column(column, justify="left" if column == "model" else "right")
    cores = len(os.sched_getaffinity(0))
    for model, path in models.items():
        for processes in (1, cores):
            counted, again = _run(_COUNT, folder / "load_rows", name, path, str(processes))
            table.add_row(model, str(processes), f"{counted:.1f}", f"{again:.2f}")
    Console().print(table)


def _run(code: str, cache: Path, *words: str | Path) -> list[float]:
    environment = os.environ | {"HF_DATASETS_CACHE": str(cache), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, words)],
        cwd=CHECKOUT,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    values: list[float] = json.loads(done.stdout.splitlines()[-1])
    return values


def _enlarged(folder: Path, count: int) -> Path:
    """Writes a set of so many rows, those of a built one over and over."""
    options = BuildOptions(source=str(SHARED_DATA / "vqa_rad"), out=folder / "built", work=folder / "work")
    build(["vqa-rad"], options)
    table = pq.read_table(folder / "built" / "vqa-rad" / "data")
    rows: list[dict[str, Any]] = table.to_pylist()
    for row in rows:
        for image in row["images"]:
            image["bytes"] = _smaller(image["bytes"])
    name = folder / "many"
    name.mkdir()
    # without dictionaries, which would hold an image that is there many times once
    with pq.ParquetWriter(name / "train.parquet", table.schema, use_dictionary=False) as file:
        for start in range(0, count, 1000):
            chosen = [
                rows[number % len(rows)] | {"id": str(number)}
                for number in range(start, min(start + 1000, count))
            ]
            file.write_table(pa.Table.from_pylist(chosen, table.schema))
    return name


def _smaller(data: bytes) -> bytes:
    """An image in the size that takes about 13 KB as JPEG."""
    image = Image.open(io.BytesIO(data)).convert("RGB")
    image.thumbnail((360, 360))
    file = io.BytesIO()
    image.save(file, "JPEG", quality=75)
    return file.getvalue()


if __name__ == "__main__":
    main()
