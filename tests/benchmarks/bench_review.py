"""The review page on a set of 60,000 rows: opening it, searching it, and 20 readers who go through it at once.

    python -m tests.benchmarks.bench_review [--rows N] [--readers N] [--before CHECKOUT]

The rows are made up: a caption, a mention and four rounds of random words, and an image of 13 KB, as much as a row of
the released 60K-IM set would have in 0.81 GB. The page runs in a process of its own; its memory is the peak that the
kernel counts. A reader asks for the next row as the page's own script does, and then for its picture where that has an
address of its own; the time of a page ends with the last byte of both. Readers share the cores with the server, which
readers elsewhere do not; the processor time is that of the server alone.
"""

import argparse
import http.client
import io
import json
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from rich.console import Console
from rich.table import Table

from llavamed_data.dataset.schema import arrow_schema
from llavamed_data.dataset.writer import tables_of, write_shards
from llavamed_data.recipes import DOMAINS
from tests.benchmarks.side_by_side import measured_in
from tests.llavamed_data.validation.sets import instruct_row, turn

PAGES = 25
"""Pages that each reader looks at."""

ACCEPTED = 10
"""Rows that one reader accepts."""

_SERVE = """
import json, resource, sys, time
from pathlib import Path
import pyarrow
from llavamed_data.review.filters import ReviewFilter
from llavamed_data.review.page import serve_review
from llavamed_data.review.review_set import ReviewSet
folder, decisions, out = sys.argv[1:]
def timed(call):
    start = time.perf_counter()
    call()
    return time.perf_counter() - start
opened = []
seconds = {"open": timed(lambda: opened.append(ReviewSet(folder, Path(decisions))))}
review = opened[0]
start = time.perf_counter()
server = serve_review(review)
seconds["serve"] = time.perf_counter() - start
Path(out).write_text(json.dumps({"address": server.address}))
for line in sys.stdin:
    if line.strip() == "search":
        words = (("first search", "word17 word23"), ("second search", "word5 word7 word11"))
        for name, each in words:
            seconds[name] = timed(lambda: review.find(ReviewFilter(words=each)))
        seconds["by domain"] = timed(lambda: review.find(ReviewFilter(domain="mri")))
        seconds["50 at random"] = timed(lambda: review.find(ReviewFilter(sample=50, seed=3)))
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(seconds | {"memory": memory, "processor": time.process_time()}), flush=True)
"""


def main() -> None:
    """Prints one table, or with `--json` one object."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=60_000)
    parser.add_argument("--readers", type=int, default=20)
    parser.add_argument("--folder", type=Path, help="where the set is kept; a temporary folder by default")
    parser.add_argument("--before", type=Path, help="another checkout, whose packages are measured too")
    parser.add_argument("--json", action="store_true", help="print values only")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = given.folder or Path(scratch) / "60k"
        if not folder.exists():
            write_rows(folder, given.rows)
        values = measure(folder, Path(scratch), given.readers)
        if given.json:
            print(json.dumps(values))
            return
        table = Table(title=f"review of {given.rows:,} rows")
        table.add_column("what")
        columns = {"here": values}
        if given.before:
            words = ("--rows", str(given.rows), "--readers", str(given.readers), "--folder", str(folder))
            before = measured_in(given.before, "tests.benchmarks.bench_review", *words)
            columns = {"before": before, **columns}
        for name in columns:
            table.add_column(name, justify="right")
        for what in values:
            unit, digits = ("MB", 0) if what.startswith("memory") else ("s", 3)
            table.add_row(what, *(f"{column[what]:,.{digits}f} {unit}" for column in columns.values()))
        Console().print(table)


def measure(folder: Path, scratch: Path, readers: int) -> dict[str, float]:
    """Seconds and MB by name."""
    address = scratch / "address.json"
    command = [sys.executable, "-c", _SERVE, str(folder), str(scratch / "decisions.jsonl"), str(address)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdin
        assert server.stdout
        try:
            while not address.exists() or not address.read_text():
                assert server.poll() is None
                time.sleep(0.05)
            where = json.loads(address.read_text())["address"]
            values = {"memory when opened": _ask(server, "")["memory"]}
            actions = Actions.of(where)
            _read(actions, "nobody", 3)  # the first pages load code
            _, alone = _read(actions, "alone", PAGES)
            values["page, one reader, median"] = statistics.median(alone)
            values["page, one reader, p95"] = _p95(alone)
            _, decided = _read(actions, "alone", ACCEPTED, deciding=True)
            values["accepting a row, median"] = statistics.median(decided)
            for pause in (0.0, 1.0):
                used = _ask(server, "")["processor"]
                with ThreadPoolExecutor(readers) as pool:
                    names = [f"reader {number} {pause}" for number in range(readers)]
                    read = partial(_read, actions, pages=PAGES, pause=pause)
                    done = list(pool.map(read, names))
                pages = [seconds for _, each in done for seconds in each]
                said = f"{readers} readers, {pause:.0f} s between pages"
                values[f"page, {said}, median"] = statistics.median(pages)
                values[f"page, {said}, p95"] = _p95(pages)
                values[f"opening, {said}, p95"] = _p95([opening for opening, _ in done])
                used = _ask(server, "")["processor"] - used
                values[f"processor time of a page, {said}"] = used / (readers * (PAGES + 1))
            values["memory after the readers"] = _ask(server, "")["memory"]
            values |= _ask(server, "search")
            values["memory after searches"] = values.pop("memory")
            del values["processor"]
        finally:
            server.kill()
    return values


class Actions:
    """The functions of the page, as its script knows them: each with the parts of the page that it is given."""

    def __init__(self, host: str, inputs: dict[int, list[str]], targets: dict[tuple[Any, str], int]) -> None:
        self.host, self._inputs = host, inputs
        self.opening = next(number for (_, event), number in targets.items() if event == "load")
        self.following, self.accepting = targets["next", "click"], targets["accept", "click"]

    @classmethod
    def of(cls, address: str) -> "Actions":
        host = address.removeprefix("http://").rstrip("/")
        connection = http.client.HTTPConnection(host)
        connection.request("GET", "/config")
        config = json.loads(connection.getresponse().read())
        names = {each["id"]: each["props"].get("elem_id") or each["type"] for each in config["components"]}
        targets = {
            (names.get(component), event): each["id"]
            for each in config["dependencies"]
            for component, event in each["targets"]
        }
        inputs = {each["id"]: [names[part] for part in each["inputs"]] for each in config["dependencies"]}
        return cls(host, inputs, targets)

    def data(self, function: int, reviewer: str, shown: str) -> list[str | None]:
        """What a function is given: who reviews, and the mark of the row that is shown; its states are the server's."""
        return [{"reviewer": reviewer, "textbox": shown}.get(name) for name in self._inputs[function]]


def _read(
    actions: Actions, name: str, pages: int, pause: float = 0.0, *, deciding: bool = False
) -> tuple[float, list[float]]:
    """Seconds of opening the page, and of each page after it, which is asked for or comes after a decision."""
    connection = http.client.HTTPConnection(actions.host, timeout=120)
    shown = ""

    def call(function: int) -> float:
        nonlocal shown
        start = time.perf_counter()
        data = actions.data(function, name, shown)
        body = {"data": data, "fn_index": function, "session_hash": name, "event_data": None, "trigger_id": 1}
        row = answer("POST", "/gradio_api/run/predict", json.dumps(body))
        address = re.search(r'<img src=\\"([^"\\]+)', row)
        assert address, row[:500]
        if not address[1].startswith("data:"):
            answer("GET", "/" + address[1].lstrip("./"), None)
        took = time.perf_counter() - start
        mark = re.search(r'data-shown=\\"([^"\\]+)', row)
        shown = mark[1] if mark else ""
        return took

    def answer(method: str, path: str, body: str | None) -> str:
        headers = {"Content-Type": "application/json"}
        connection.request(method, path, body, headers)
        given = connection.getresponse()
        data = given.read()
        assert given.status == 200, (path, given.status, data[:300])
        return data.decode() if method == "POST" else ""

    opening = call(actions.opening)
    seconds = []
    for _ in range(pages):
        time.sleep(pause * random.uniform(0.5, 1.5))
        seconds.append(call(actions.accepting if deciding else actions.following))
    connection.close()
    return opening, seconds


def _ask(server: "subprocess.Popen[str]", word: str) -> dict[str, float]:
    assert server.stdin
    assert server.stdout
    server.stdin.write(f"{word}\n")
    server.stdin.flush()
    values: dict[str, float] = json.loads(server.stdout.readline())
    return values


def _p95(values: list[float]) -> float:
    return sorted(values)[int(0.95 * len(values))]


def write_rows(folder: Path, count: int) -> None:
    """Writes a set of made-up rows as `build` writes its shards."""
    choose = random.Random(0)
    noise = np.random.default_rng(0)
    images = []
    for _ in range(64):
        small = Image.fromarray(noise.integers(0, 256, (36, 36), np.uint8)).resize((360, 360))
        file = io.BytesIO()
        small.save(file, "JPEG", quality=75)
        images.append(file.getvalue())
    vocabulary = [f"word{number}" for number in range(3_000)]

    base = instruct_row(0)

    def words(number: int) -> str:
        return " ".join(choose.choices(vocabulary, k=number))

    def rows() -> Iterator[dict[str, Any]]:
        for number in range(count):
            yield base | {
                "id": f"{number}_F1",
                "images": [{"bytes": images[number % 64], "path": f"{number}.jpg"}],
                "domain": list(DOMAINS)[number % len(DOMAINS)],
                "caption": words(50),
                "inline_mentions": [words(60)],
                "pmcid": f"PMC{number}",
                "messages": [
                    turn(("user", "assistant")[place % 2], words((10, 30)[place % 2]), image=place == 0)
                    for place in range(8)
                ],
            }

    schema = arrow_schema("instruct")
    write_shards(tables_of(rows(), schema), folder / "data", "train", schema)


if __name__ == "__main__":
    main()
