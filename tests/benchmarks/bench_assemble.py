"""Images into Parquet: beside `cp` of the same files, and beside `datasets` writing the same rows.

    python -m tests.benchmarks.bench_assemble

2,000 files of 100 KB lie in the page cache. `cp -r` is the limit: it moves the bytes and nothing else.
`Dataset.from_generator(...).to_parquet(...)` gets the files' bytes with `path=None`, for it embeds none otherwise.
"""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset, disable_progress_bars

from llavamed_data.dataset.messages import messages, provenance
from llavamed_data.dataset.schema import features
from llavamed_data.pipeline.steps.assemble import Record, write_split
from llavamed_data.pipeline.steps.image_store import digest_of
from tests.benchmarks.side_by_side import medians, show

FILES, FILE_BYTES = 2_000, 100_000


def records(folder: Path) -> list[Record]:
    """Rows of an instruct set over random files."""
    noise = np.random.default_rng(0)
    folder.mkdir()
    made = []
    for number in range(FILES):
        data = noise.bytes(FILE_BYTES)
        path = folder / f"{number:05d}.jpg"
        path.write_bytes(data)
        row = {
            "id": f"{number}_F1",
            "domain": "ct_scan",
            "caption": "Axial contrast-enhanced CT of the chest. " * 4,
            "inline_mentions": ["CT of the chest was obtained (Figure 1)."],
            "figure_label": "Figure 1",
            "pmcid": f"PMC{number}",
            "pmid": str(number),
            "license": "CC BY",
            "provenance": provenance("60k-im", "pmc-cloud", "2026-11-01", "offline"),
            "messages": messages([("What does the image show?", "A cavity in the right upper lobe.")] * 3),
        }
        made.append(Record(row, path, path.name, FILE_BYTES, digest_of(data)))
    return made


def main() -> None:
    """Prints the table."""
    disable_progress_bars()
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        rows = records(root / "images")

        def fresh(name: str) -> Path:
            shutil.rmtree(root / name, ignore_errors=True)
            return root / name

        def ours() -> None:
            write_split(lambda: rows, fresh("ours"), schema="instruct", split="train")

        def copy() -> None:
            subprocess.run(["cp", "-r", str(root / "images"), str(fresh("copy"))], check=True)

        def generate() -> Iterator[dict[str, Any]]:
            for record in rows:
                image = {"bytes": Path(str(record.image)).read_bytes(), "path": None}
                yield {"images": [image], **record.row}

        def stock() -> None:
            cache = fresh("cache")
            made = Dataset.from_generator(generate, features=features("instruct"), cache_dir=str(cache))
            made.to_parquet(root / "stock.parquet")

        peers = {"cp -r": copy, "assemble": ours, "datasets": stock}
        seconds = medians(peers, rounds=7)
        show("Images into Parquet", seconds, amount=FILES * FILE_BYTES / 1e6, unit="MB", ours="assemble")


if __name__ == "__main__":
    main()
