"""Peak memory of a build over the sample corpus and over ten times as many articles.

    python -m tests.benchmarks.bench_memory

The larger corpus holds each article ten times under other PMCIDs and PMIDs, images included. The peak is that of the
build's own process, as the kernel counts it; it runs with one worker, so that all work is in it.
"""

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

from llavamed_data.sources.sample import corpus_path

COPIES = 10


def multiplied(corpus: Path, out: Path, copies: int) -> Path:
    """The articles of `corpus`, each `copies` times under other numbers."""
    for folder in sorted(corpus.glob("PMC*.*")):
        for copy in range(copies):
            _renumbered(folder, out, f"{copy}")
    return out


def _renumbered(folder: Path, out: Path, digit: str) -> None:
    old, new = folder.name, folder.name.replace("PMC9", f"PMC9{digit}", 1)
    pmids = (b"99000", f"99{digit}000".encode())
    (out / new).mkdir(parents=True)
    for path in folder.iterdir():
        data = path.read_bytes()
        if path.suffix in (".xml", ".json"):
            data = data.replace(b"PMC9", f"PMC9{digit}".encode()).replace(*pmids)
            data = data.replace(b">9000", f">9{digit}000".encode())
        (out / new / path.name.replace(old, new)).write_bytes(data)
    _state_checksum(out / new / f"{new}.json", out / new / f"{new}.xml")


def _state_checksum(metadata: Path, xml: Path) -> None:
    stated = json.loads(metadata.read_text())
    address, _, _ = stated["xml_url"].partition("?")
    stated["xml_url"] = f"{address}?md5={hashlib.md5(xml.read_bytes()).hexdigest()}"
    metadata.write_text(json.dumps(stated))


def built(source: str, out: Path) -> tuple[int, float]:
    """Rows of a build in a process of its own, and the most memory that it held, in MB."""
    command = [sys.executable, "-m", "llavamed_data", "build", "--source", source, "--workers", "1", "--json"]
    folders = ["--out", str(out / "sets"), "--work", str(out / "work")]
    with tempfile.TemporaryFile() as output:
        running = subprocess.Popen([*command, *folders], stdout=output)
        _, status, usage = os.wait4(running.pid, 0)
        if status:
            raise SystemExit(f"the build of {source} failed")
        output.seek(0)
        rows = sum(built["rows"] for built in json.load(output)["datasets"])
    return rows, usage.ru_maxrss / 1024


def main() -> None:
    """Prints rows and peak memory of both builds."""
    table = Table(title="Peak memory of a build")
    for column in ("corpus", "rows", "peak MB", "of the smaller"):
        table.add_column(column, justify="right" if column != "corpus" else "left")
    peaks = []
    with tempfile.TemporaryDirectory() as scratch:
        larger = multiplied(corpus_path(), Path(scratch) / "corpus", COPIES)
        for name, source in (("sample", str(corpus_path())), (f"{COPIES} × sample", str(larger))):
            out = Path(scratch) / name.replace(" ", "")
            rows, peak = built(source, out)
            peaks.append(peak)
            table.add_row(name, f"{rows:,}", f"{peak:.0f}", f"{peak / peaks[0]:.2f}")
    Console().print(table)


if __name__ == "__main__":
    main()
