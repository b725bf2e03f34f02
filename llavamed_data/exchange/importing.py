"""From the files of another trainer, or an export, to a dataset."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import yaml

from llavamed_data.console.progress import ProgressCallback
from llavamed_data.dataset.reader import Row
from llavamed_data.dataset.schema import arrow_schema, features
from llavamed_data.dataset.writer import tables_of, write_shards
from llavamed_data.errors import UsageError
from llavamed_data.exchange.export import KEPT_TEXTS
from llavamed_data.exchange.formats import Format, format_named
from llavamed_data.exchange.forms import SIDE, Picture, Pictures, Record
from llavamed_data.exchange.manifest import Manifest, read_manifest
from llavamed_data.exchange.records import Fetch, Rows, default_images, find_rows, records
from llavamed_data.io.atomic import atomic_folder
from llavamed_data.io.dropped import write_dropped
from llavamed_data.reasons import Drop, Dropped, Reason, Tally
from llavamed_data.version import __version__

KIND = "instruct"
"""The kind of a set whose files do not say what it is."""

UNKNOWN = "not stated"


@dataclass(slots=True)
class Imported:
    """What came in.

    Attributes:
        folder: of the dataset.
        form: the format that was read.
        tally: rows kept, and dropped by reason.
        rows: split → rows.
        dropped: the file that names what was dropped; None where nothing was.
        ignored: field of the records that no column holds → how many records have it.
        exported: rows that the export had when it was made; None for other files.
    """

    folder: Path
    form: str
    tally: Tally = field(default_factory=Tally)
    rows: dict[str, int] = field(default_factory=dict)
    dropped: Path | None = None
    ignored: Counter[str] = field(default_factory=Counter)
    exported: int | None = None


def import_dataset(
    path: Path,
    form: str,
    out: Path,
    *,
    images: Path | None = None,
    on_progress: ProgressCallback | None = None,
) -> Imported:
    """Makes a dataset of an export, or of somebody else's files in the same format.

    An export comes back as the set it was. For other files, what they do not state stays open (`license`: not stated,
    no domain), and `validate` tells what is missing. Rows that cannot be taken are dropped, counted and named in
    `OUT.dropped.parquet`. Names in the records reach no file outside the folder of images.

    Args:
        path: the export's folder, or a file of rows.
        form: `llava`, `sharegpt`, `webdataset` or `jsonl`.
        out: the dataset's new folder; it appears whole or not at all.
        images: the folder that the names of images are relative to, if it is another one than the format's own.
        on_progress: called with what is being done, how much of it is done, and of how much.

    Raises:
        UsageError: an unknown format, nothing to read, or a folder that is there already.
        LlavaMedError: the files are broken beyond single rows.
    """
    chosen = format_named(form)
    manifest = read_manifest(path) if path.is_dir() else None
    if manifest and manifest.form != form:
        raise UsageError(
            f"{path} is an export in the format {manifest.form}: import it with --from {manifest.form}"
        )
    found = find_rows(path, chosen, tuple(manifest.rows) if manifest else None)
    schema = manifest.arrow_schema() if manifest else arrow_schema(KIND)
    reading = _Reading(chosen, manifest, schema, images or default_images(path, chosen), on_progress)
    imported = Imported(out, form, reading.tally, ignored=reading.ignored)
    imported.exported = sum(manifest.rows.values()) if manifest else None
    with atomic_folder(out) as folder:
        for rows in found:
            tables = tables_of(reading.rows(rows), schema)
            imported.rows[rows.split] = write_shards(tables, folder / "data", rows.split, schema)
        for name, text in _texts(imported, manifest).items():
            (folder / name).write_text(text, encoding="utf-8")
    if reading.dropped:
        imported.dropped = out.parent / f"{out.name}.dropped.parquet"
        write_dropped(imported.dropped, reading.dropped)
    return imported


class _Reading:
    """Records to rows, counted."""

    def __init__(
        self,
        chosen: Format,
        manifest: Manifest | None,
        schema: pa.Schema,
        images: Path,
        on_progress: ProgressCallback | None,
    ) -> None:
        self.tally, self.ignored = Tally(), Counter[str]()
        self.dropped: list[Dropped] = []
        self._format, self._own, self._schema = chosen, manifest is not None, schema
        self._images, self._on_progress = images, on_progress
        self._total = sum(manifest.rows.values()) if manifest else 0
        self._names = set(schema.names)

    def rows(self, rows: Rows) -> Iterator[Row]:
        """The rows that the columns take."""
        read = self._read(rows)
        while group := list(islice(read, _GROUP)):
            fits = _fits([row for _, row in group], self._schema)
            for name, row in group:
                if fits or _fits([row], self._schema):
                    self.tally.keep()
                    yield row
                else:
                    self._drop(name, Drop(Reason.MALFORMED_ROW, "a value is not of its column's type"))
            if self._on_progress:
                self._on_progress(
                    f"import {rows.split}", self.tally.entered, max(self._total, self.tally.entered)
                )

    def _read(self, rows: Rows) -> Iterator[tuple[str, Row]]:
        for number, (record, fetch) in enumerate(records(rows, self._format, self._images)):
            name = f"{rows.split}-{number}"
            try:
                if isinstance(record, Drop):
                    raise record
                row = self._row(record, fetch, name)
            except Drop as drop:
                self._drop(str(record.get("id", name)) if isinstance(record, dict) else name, drop)
            else:
                yield name, row

    def _row(self, record: Record, fetch: Fetch, name: str) -> Row:
        stated, pictures = self._format.form.row(record)
        if not self._own and not pictures:
            raise Drop(Reason.NO_IMAGE)
        row = stated if self._own else _DEFAULTS | {"id": name} | stated
        self.ignored.update(_ignored(record, row, self._names))
        kept = {column: value for column, value in row.items() if column in self._names}
        return {**kept, "images": _loaded(pictures, fetch)} if "images" in self._names else kept

    def _drop(self, name: str, drop: Drop) -> None:
        self.tally.drop(drop.reason)
        self.dropped.append(Dropped.of(name[:512], drop))


_GROUP = 16
"""Rows with their images in memory at a time, while their types are looked at."""

_DEFAULTS: Row = {
    "domain": None,
    "caption": "",
    "inline_mentions": [],
    "figure_label": "",
    "license": UNKNOWN,
    "provenance": {"source": "import", "recipe": "import", "generator": UNKNOWN},
}

_FORM_FIELDS = frozenset({"image", "images", "conversations", "conversatons", "messages", SIDE})


def _ignored(record: Record, row: Row, names: set[str]) -> set[str]:
    """Fields and columns that the set has no place for."""
    return {str(name)[:80] for name in (*record, *row) if name not in names and name not in _FORM_FIELDS}


def _loaded(pictures: Pictures, fetch: Fetch) -> list[Row | None] | None:
    if pictures is None:
        return None
    return [_image(picture, fetch) if picture else None for picture in pictures]


def _image(picture: Picture, fetch: Fetch) -> Row:
    return {"bytes": None if picture.file is None else fetch(picture.file), "path": picture.path}


def _fits(rows: list[Row], schema: pa.Schema) -> bool:
    try:
        pa.Table.from_pylist(
            [{k: v for k, v in row.items() if k != "images"} for row in rows], _without_images(schema)
        )
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        return False
    return True


def _without_images(schema: pa.Schema) -> pa.Schema:
    return pa.schema([column for column in schema if column.name != "images"])


def _texts(imported: Imported, manifest: Manifest | None) -> dict[str, str]:
    """The card and what stands beside it: as it was, or a new one where the rows are not those that it speaks of."""
    if manifest and manifest.rows == imported.rows and "README.md" in manifest.files:
        return {name: text for name, text in manifest.files.items() if name in KEPT_TEXTS}
    splits = [{"name": split, "num_examples": count} for split, count in imported.rows.items()]
    data_files = [{"split": split, "path": f"data/{split}-*"} for split in imported.rows]
    metadata: dict[str, Any] = {
        "license": "other",
        "configs": [{"config_name": "default", "data_files": data_files}],
        "dataset_info": {"splits": splits},
    }
    if manifest is None:
        metadata["dataset_info"] = {"features": features(KIND)._to_yaml_list(), "splits": splits}
    dropped = ", ".join(f"{count:,} {reason}" for reason, count in imported.tally.dropped.items())
    body = (
        f"{imported.tally.kept:,} of {imported.tally.entered:,} rows imported by llavamed-data {__version__} "
        f"from files in the format {imported.form}{f'; dropped: {dropped}' if dropped else ''}.\n"
    )
    return {
        "README.md": f"---\n{yaml.safe_dump(metadata, sort_keys=False)}---\n# Imported conversations\n\n{body}"
    }
