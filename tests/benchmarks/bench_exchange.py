"""Exporting beside copying the same image files, importing beside `datasets` writing the same rows as Parquet."""

import io
import json
import shutil
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import datasets
import numpy as np
from PIL import Image

from llavamed_data.dataset.schema import features
from llavamed_data.exchange import FORMATS, export_dataset, import_dataset
from tests.benchmarks.side_by_side import medians, show
from tests.llavamed_data.validation.sets import instruct_row, write_set

ROWS = 1_000


def main() -> None:
    """Prints the tables."""
    datasets.disable_progress_bars()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        random = np.random.default_rng(0)
        rows = [instruct_row(number) | {"images": [_image(random, number)]} for number in range(ROWS)]
        megabytes = sum(len(row["images"][0]["bytes"]) for row in rows) / 1e6
        write_set(folder / "set", rows, shards=1)
        export_dataset(str(folder / "set"), "llava", folder / "llava")

        def fresh(name: str) -> Path:
            shutil.rmtree(folder / name, ignore_errors=True)
            return folder / name

        def copy() -> None:
            shutil.copytree(folder / "llava", fresh("copy"))

        peers = {form: partial(_export, folder, form) for form in FORMATS}
        seconds = medians({**peers, "copying the files": copy}, rounds=5)
        show(f"export, {megabytes:,.0f} MB of images", seconds, amount=megabytes, unit="MB", ours="llava")

        def with_datasets() -> None:
            made = datasets.Dataset.from_generator(
                lambda: _rows(folder / "llava"), features=features("instruct"), cache_dir=str(fresh("cache"))
            )
            made.to_parquet(folder / "peer.parquet")

        seconds = medians(
            {
                "import": lambda: import_dataset(folder / "llava", "llava", fresh("back")),
                "datasets.from_generator": with_datasets,
            },
            rounds=5,
        )
        show(
            f"import of llava, {megabytes:,.0f} MB of images",
            seconds,
            amount=megabytes,
            unit="MB",
            ours="import",
        )


def _export(folder: Path, form: str) -> None:
    out = folder / f"{form}-out"
    shutil.rmtree(out, ignore_errors=True)
    export_dataset(str(folder / "set"), form, out)


def _rows(folder: Path) -> Iterator[dict[str, Any]]:
    """The rows of an export, put together by hand."""
    for record in json.loads((folder / "train.json").read_text(encoding="utf-8")):
        side = json.loads(record["llavamed"])
        turns = [
            {
                "role": {"human": "user", "gpt": "assistant"}[turn["from"]],
                "content": [{"type": "text", "text": turn["value"].replace("<image>\n", "")}],
            }
            for turn in record["conversations"]
        ]
        turns[0]["content"].insert(0, {"type": "image", "text": None})
        domain = next(name for name, flag in record["domain"].items() if flag)
        image = {"bytes": (folder / "images" / record["image"]).read_bytes(), "path": None}
        yield {"id": record["id"], "domain": domain, "messages": turns, "images": [image], **side["columns"]}


def _image(random: np.random.Generator, number: int) -> dict[str, Any]:
    file = io.BytesIO()
    Image.fromarray(random.integers(0, 255, (260, 260), dtype=np.uint8)).save(file, "JPEG", quality=95)
    return {"bytes": file.getvalue(), "path": f"{number}.jpg"}


if __name__ == "__main__":
    main()
