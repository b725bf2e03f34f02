"""Exporting a dataset in the form that another trainer reads."""

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow.types as pt

from llavamed_data.console.printable import counted
from llavamed_data.console.progress import ProgressCallback
from llavamed_data.dataset.reader import Dataset, Row
from llavamed_data.errors import LlavaMedError, UsageError
from llavamed_data.exchange.files import AXOLOTL_SUFFIX, DATASET_INFO, JsonFile, TarFiles
from llavamed_data.exchange.formats import (
    IMAGE_FOLDER,
    SHAREGPT,
    ExchangeFormat,
    ImageReference,
    ImageReferences,
    axolotl_record,
    format_named,
)
from llavamed_data.exchange.manifest import ExportManifest
from llavamed_data.exchange.values import check_types, to_json
from llavamed_data.io.atomic import atomic_folder
from llavamed_data.show.image_files import ImageFileNames, image_type
from llavamed_data.version import __version__

BATCH_ROWS = 16
"""Rows with their images in memory at a time."""

TRAINING = "train"
"""The one split that the README of an export gives trainers."""

_NOT_FOR_TRAINING = "They are for evaluation: do not train on them."

_LLAMA_FACTORY = {
    "formatting": "sharegpt",
    "columns": {"messages": "messages", "images": "images"},
    "tags": {"role_tag": "role", "content_tag": "content", "user_tag": "user", "assistant_tag": "assistant"},
}


@dataclass(frozen=True, slots=True)
class ExportSummary:
    """What an export wrote.

    Attributes:
        folder: the folder of the export.
        form: name of the format.
        rows: split → number of rows.
        images: number of image files, or of images in tar files.
    """

    folder: Path
    form: str
    rows: dict[str, int]
    images: int

    def to_dict(self) -> dict[str, Any]:
        """The summary as plain values for `--json`."""
        return {**asdict(self), "folder": str(self.folder)}


def export_dataset(
    dataset: str, form: str, out: Path, *, on_progress: ProgressCallback | None = None
) -> ExportSummary:
    """Writes all rows of a dataset into a new folder, with the bytes of the images as they are.

    The names of the image files are made here: whatever the dataset calls them, nothing is written outside `out`.

    Args:
        dataset: a folder, or a repository on the Hub.
        form: `llava`, `sharegpt`, `webdataset` or `jsonl`.
        out: the new folder; it appears whole or not at all.
        on_progress: called with what is being done, how much of it is done, and of how much.

    Raises:
        UsageError: an unknown format, a folder that exists already, or no dataset.
        LlavaMedError: a shard cannot be read, or a column's type has no form in JSON.
    """
    chosen, opened = format_named(form), Dataset(dataset)
    check_types(opened.schema)
    if "images" in opened.schema.names and not _holds_images(opened):
        raise LlavaMedError(f"the column images of {opened.name} holds no {{bytes, path}}: run validate")
    if out.resolve().is_relative_to(opened.folder.resolve()):
        raise UsageError(f"{out} lies inside the dataset: choose a folder beside it with --out")
    counts, images, names = Counter[str](), 0, ImageFileNames()
    with atomic_folder(out) as folder:
        for split in opened.splits:
            rows = _counted_rows(opened, split, counts, on_progress)
            if chosen.in_tar_files:
                images += _write_tar_files(rows, folder, split, chosen)
            else:
                images += _write_json_files(rows, folder, split, chosen, names)
        ExportManifest.of(form, dict(counts), opened.schema, opened.folder).write(folder)
        (folder / "README.md").write_text(_readme(chosen, counts), encoding="utf-8")
        if chosen is SHAREGPT:
            described = {split: _LLAMA_FACTORY | {"file_name": f"{split}{chosen.suffix}"} for split in counts}
            (folder / DATASET_INFO).write_text(json.dumps(described, indent=2) + "\n", encoding="utf-8")
    return ExportSummary(out, form, dict(counts), images)


def _holds_images(dataset: Dataset) -> bool:
    """Whether the column `images` is a list of `{bytes, path}`."""
    kind = dataset.schema.field("images").type
    inner = kind.value_type if pt.is_list(kind) else None
    if inner is None or not pt.is_struct(inner):
        return False
    return {field.name for field in inner} == {"bytes", "path"}


def _counted_rows(
    dataset: Dataset, split: str, counts: Counter[str], on_progress: ProgressCallback | None
) -> Iterator[Row]:
    """The rows of a split, counted in `counts`."""
    counts[split] = 0
    for row in dataset.rows(dataset.schema.names, split=split, size=BATCH_ROWS):
        yield row
        counts[split] += 1
        if on_progress:
            on_progress("export (rows)", counts.total(), len(dataset))


def _write_json_files(
    rows: Iterator[Row], folder: Path, split: str, chosen: ExchangeFormat, names: ImageFileNames
) -> int:
    """Writes the records of a split and the folder of image files; the number of image files that are new."""
    images, new = folder / IMAGE_FOLDER, 0
    images.mkdir(exist_ok=True)
    with ExitStack() as files:
        records = files.enter_context(JsonFile(folder / f"{split}{chosen.suffix}"))
        axolotl_path = folder / f"{split}{AXOLOTL_SUFFIX}"
        axolotl = files.enter_context(JsonFile(axolotl_path)) if chosen is SHAREGPT else None
        for row in rows:
            written: list[str | None] = []
            for data, path in _images(row):
                if data is None:
                    written.append(None)
                    continue
                name, is_new = names.name(data, path, row.get("id"))
                if is_new:
                    (images / name).write_bytes(data)
                    new += 1
                written.append(chosen.image_prefix + name)
            references = _references(row, written)
            records.add(chosen.to_record(row, references))
            if axolotl:
                axolotl.add(axolotl_record(row, references))
    return new


def _write_tar_files(rows: Iterator[Row], folder: Path, split: str, chosen: ExchangeFormat) -> int:
    """Writes the rows of a split as samples in tar files; the number of images in them."""
    count = 0
    with TarFiles(folder, split) as tars:
        for number, row in enumerate(rows):
            key, members = f"{number:09d}", dict[str, bytes]()
            written: list[str | None] = []
            for index, (data, _) in enumerate(_images(row)):
                name = None
                if data is not None:
                    name = f"{key}{f'.{index}' if index else ''}{image_type(data)[0]}"
                    members[name] = data
                written.append(name)
            record = chosen.to_record(row, _references(row, written))
            count += len(members)
            tars.add({**members, f"{key}.json": to_json(record).encode()})
    return count


def _images(row: Row) -> list[tuple[bytes | None, str | None]]:
    """Bytes and path of each of the row's images; bytes are None where the row has none."""
    return [(image["bytes"], image["path"]) if image else (None, None) for image in row.get("images") or ()]


def _references(row: Row, files: list[str | None]) -> ImageReferences:
    """The row's images as references; `files` are the names of the files that were written, one for each image."""
    if row.get("images") is None:
        return None
    return [
        ImageReference(file, image["path"]) if image else None
        for image, file in zip(row["images"], files, strict=True)
    ]


def _readme(chosen: ExchangeFormat, counts: Counter[str]) -> str:
    others = " and ".join(f"`{split}`" for split in counts if split != TRAINING)
    if TRAINING in counts:
        usage = chosen.usage.replace("{split}", TRAINING)
        if others:
            usage += f"\n\nRows of {others} are here too, in the same form. {_NOT_FOR_TRAINING}"
    else:
        files = ", ".join(f"`{split}{'-*' * chosen.in_tar_files}{chosen.suffix}`" for split in counts)
        usage = f"Rows of {others} are in {files}. {_NOT_FOR_TRAINING}"
    return (
        f"{counted(counts.total(), 'row')} exported by llavamed-data {__version__} in the format `{chosen.name}`."
        f"\n\n{usage}\n\n"
        f"Back again, with nothing lost: `python -m llavamed_data import . --from {chosen.name} --out DIR`\n"
    )
