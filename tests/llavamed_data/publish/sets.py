"""Small sound datasets, written as `build` writes them, in versions that differ in known rows."""

import io
from collections.abc import Collection
from pathlib import Path

import numpy as np
from PIL import Image

from hub_cards import BUILT_BY
from llavamed_data.pipeline.steps.assemble import Record, write_split
from llavamed_data.pipeline.steps.image_store import digest_of
from tests.llavamed_data.validation.sets import instruct_row

_CARD = """---
license: cc-by-nc-4.0
task_categories:
- visual-question-answering
configs:
- config_name: default
  data_files:
  - split: train
    path: data/train-*
dataset_info:
  splits:
  - name: train
    num_examples: {rows}
---
{built_by}

# A set for tests

    dataset = load_dataset("llava-med/{name}", split="train")
"""


def make_set(
    folder: Path, *, rows: int = 12, shard_rows: int = 6, first: int = 0, changed: Collection[int] = ()
) -> Path:
    """A set of `rows` rows of about 20 KB, of which those numbered in `changed` have another image and caption."""
    images = folder.parent / f".{folder.name}-images"
    images.mkdir(parents=True, exist_ok=True)
    records = [
        _record(images, number, edition=1 if number in changed else 0)
        for number in range(first, first + rows)
    ]
    bytes_a_row = sum(record.image_bytes for record in records) // rows
    write_split(
        lambda: records,
        folder / "data",
        schema="instruct",
        split="train",
        shard_bytes=bytes_a_row * shard_rows + bytes_a_row // 2,
    )
    card = _CARD.format(rows=rows, name=folder.name, built_by=BUILT_BY)
    (folder / "README.md").write_text(card, encoding="utf-8")
    return folder


def _record(images: Path, number: int, edition: int) -> Record:
    row = {name: value for name, value in instruct_row(number).items() if name != "images"}
    data = _image(number, edition)
    path = images / f"{number}-{edition}.jpg"
    path.write_bytes(data)
    row["caption"] = f"A phantom made of noise, edition {edition}."
    return Record(row, path, f"{number}_F1.jpg", len(data), digest_of(data))


def _image(number: int, edition: int) -> bytes:
    noise = np.random.default_rng([number, edition]).integers(0, 256, (160, 240), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).save(file, "JPEG", quality=70)
    return file.getvalue()


def files_in(folder: Path) -> dict[str, bytes]:
    """The files of a dataset's folder: path → bytes."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }
