"""A dataset's rows in the form that another trainer reads."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import pyarrow.types as pt

from llavamed_data.console.progress import ProgressCallback
from llavamed_data.dataset.reader import Dataset, Row
from llavamed_data.errors import LlavaMedError, UsageError
from llavamed_data.exchange.formats import IMAGES, Format, format_named
from llavamed_data.exchange.forms import Picture, Pictures, Record, axolotl_record
from llavamed_data.exchange.manifest import Manifest
from llavamed_data.exchange.tars import TarShards
from llavamed_data.exchange.values import check_types, to_json
from llavamed_data.io.atomic import atomic_folder
from llavamed_data.show.image_files import ImageFileNames, image_type
from llavamed_data.version import __version__

BATCH_ROWS = 16
"""Rows with their images in memory at a time."""

KEPT_TEXTS = ("README.md", "croissant.json")
"""Files of a set's folder that an import gives back."""

_KEPT_BYTES = 8 << 20


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written.

    Attributes:
        folder: where.
        form: the format.
        rows: split → rows.
        images: image files, or images in tar files.
    """

    folder: Path
    form: str
    rows: dict[str, int]
    images: int


def export_dataset(
    dataset: str, form: str, out: Path, *, on_progress: ProgressCallback | None = None
) -> Exported:
    """Writes a set into a new folder `out`.

    Every row goes, image bytes as they are. Names of files are made here: nothing is written outside `out`.

    Args:
        dataset: a folder, or a repository on the Hub.
        form: `llava`, `sharegpt`, `webdataset` or `jsonl`.
        out: the new folder; it appears whole or not at all.
        on_progress: called with what is being done, how much of it is done, and of how much.

    Raises:
        UsageError: an unknown format, a folder that is there already, or no dataset.
        LlavaMedError: a shard cannot be read, or a column's type has no place in JSON.
    """
    chosen, opened = format_named(form), Dataset(dataset)
    check_types(opened.schema)
    if "images" in opened.schema.names and not _is_images(opened):
        raise LlavaMedError(f"the column images of {opened.name} holds no {{bytes, path}}: run validate")
    if out.resolve().is_relative_to(opened.folder.resolve()):
        raise UsageError(f"{out} lies inside the dataset: choose a folder beside it with --out")
    names, rows = ImageFileNames(), {}
    images = 0
    with atomic_folder(out) as folder:
        for split in opened.splits:
            write = _write_tars if chosen.packed else _write_files
            counted = _Counted(opened, split, on_progress)
            images += write(counted, folder, chosen, names)
            rows[split] = counted.rows
        _write_frame(folder, chosen, opened, rows)
    return Exported(out, form, rows, images)


class _Counted:
    """The rows of a split, counted as they go by."""

    def __init__(self, dataset: Dataset, split: str, on_progress: ProgressCallback | None) -> None:
        self.split, self.rows = split, 0
        self._dataset, self._on_progress = dataset, on_progress

    def __iter__(self) -> Iterator[Row]:
        for row in self._dataset.rows(self._dataset.schema.names, split=self.split, size=BATCH_ROWS):
            yield row
            self.rows += 1
            if self._on_progress:
                self._on_progress(f"export {self.split}", self.rows, len(self._dataset))


def _write_files(rows: _Counted, folder: Path, chosen: Format, names: ImageFileNames) -> int:
    """A file of rows, and image files in a folder beside it; how many of these are new."""
    images, new = folder / IMAGES, 0
    images.mkdir(exist_ok=True)
    with ExitStack() as stack:
        file = stack.enter_context(_JsonRows(folder / f"{rows.split}{chosen.suffix}"))
        second = folder / f"{rows.split}.axolotl.jsonl"
        parts = stack.enter_context(_JsonRows(second)) if chosen.name == "sharegpt" else None
        for row in rows:
            pictures: Pictures = None if row.get("images") is None else []
            for image in row.get("images") or ():
                name, is_new = _image_name(image, row, names)
                if name and is_new:
                    (images / name).write_bytes(image["bytes"])
                    new += 1
                pictures.append(image and Picture(name and chosen.prefix + name, image["path"]))  # type: ignore[union-attr]
            file.write(chosen.form.record(row, pictures))
            if parts:
                parts.write(axolotl_record(row, pictures))
    return new


def _write_tars(rows: _Counted, folder: Path, chosen: Format, _: ImageFileNames) -> int:
    """Tar files of samples; how many images they hold."""
    written = 0
    with TarShards(folder, rows.split) as tars:
        for number, row in enumerate(rows):
            key, files = f"{number:09d}", {}
            pictures: Pictures = None if row.get("images") is None else []
            for index, image in enumerate(row.get("images") or ()):
                name = None
                if image and image["bytes"] is not None:
                    place = f".{index}" if index else ""
                    name = f"{key}{place}{image_type(image['bytes'])[0]}"
                    files[name] = image["bytes"]
                pictures.append(image and Picture(name, image["path"]))  # type: ignore[union-attr]
            record = to_json(chosen.form.record(row, pictures)).encode()
            tars.add({**files, f"{key}.json": record})
            written += len(files)
    return written


def _image_name(image: Row | None, row: Row, names: ImageFileNames) -> tuple[str | None, bool]:
    if not image or image["bytes"] is None:
        return None, False
    return names.name(image["bytes"], image["path"], row.get("id"))


class _JsonRows:
    """A file of records: a JSON list with a record a line where it is called `.json`, else JSON Lines."""

    def __init__(self, path: Path) -> None:
        self._path, self._between = path, ",\n" if path.suffix == ".json" else "\n"
        self._rows = 0

    def __enter__(self) -> Self:
        self._file = self._path.open("w", encoding="utf-8", newline="\n")
        if self._path.suffix == ".json":
            self._file.write("[\n")
        return self

    def write(self, record: Record) -> None:
        """Adds a record."""
        self._file.write((self._between if self._rows else "") + to_json(record))
        self._rows += 1

    def __exit__(self, *_: object) -> None:
        with self._file:
            self._file.write("\n" if self._rows else "")
            self._file.write("]\n" if self._path.suffix == ".json" else "")


def _write_frame(folder: Path, chosen: Format, dataset: Dataset, rows: dict[str, int]) -> None:
    """What stands beside the rows: the manifest, how trainers read them, what LLaMA-Factory asks for."""
    Manifest.of(chosen.name, rows, dataset.schema, _kept_texts(dataset.folder)).write(folder)
    usage = chosen.usage.replace("{split}", next(iter(rows)))
    readme = (
        f"{sum(rows.values()):,} rows exported by llavamed-data {__version__} in the format `{chosen.name}`."
        f"\n\n{usage}\n\n"
        f"Back again, with nothing lost: `python -m llavamed_data import . --from {chosen.name} --out DIR`\n"
    )
    (folder / "README.md").write_text(readme, encoding="utf-8")
    if chosen.name == "sharegpt":
        described = {split: _LLAMA_FACTORY | {"file_name": f"{split}.jsonl"} for split in rows}
        (folder / "dataset_info.json").write_text(json.dumps(described, indent=2) + "\n", encoding="utf-8")


_LLAMA_FACTORY = {
    "formatting": "sharegpt",
    "columns": {"messages": "messages", "images": "images"},
    "tags": {"role_tag": "role", "content_tag": "content", "user_tag": "user", "assistant_tag": "assistant"},
}


def _kept_texts(folder: Path) -> dict[str, str]:
    texts = {}
    for name in KEPT_TEXTS:
        path = folder / name
        if path.is_file() and path.stat().st_size <= _KEPT_BYTES:
            texts[name] = path.read_bytes().decode("utf-8", "replace")
    return texts


def _is_images(dataset: Dataset) -> bool:
    kind = dataset.schema.field("images").type
    inner = kind.value_type if pt.is_list(kind) else None
    if inner is None or not pt.is_struct(inner):
        return False
    return {inner.field(index).name for index in range(inner.num_fields)} == {"bytes", "path"}
