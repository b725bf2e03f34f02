"""Importing an export, or the files of another trainer, as a dataset."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import yaml

from hub_cards import with_shards, without_picture
from llavamed_data.console.printable import counted
from llavamed_data.console.progress import ProgressCallback
from llavamed_data.dataset.digests import METADATA, file_digest
from llavamed_data.dataset.layout import CARD, find_shards
from llavamed_data.dataset.reader import Row
from llavamed_data.dataset.schema import RowCheck, arrow_schema, features
from llavamed_data.dataset.writer import tables_of, write_shards
from llavamed_data.errors import LlavaMedError, UsageError, one_line
from llavamed_data.exchange.files import (
    ReadImage,
    default_image_folder,
    find_split_files,
    read_records,
)
from llavamed_data.exchange.formats import (
    OTHER_COLUMNS,
    ChatFormat,
    ExchangeFormat,
    ImageReferences,
    JsonRecord,
    format_named,
    system_text,
)
from llavamed_data.exchange.manifest import KEPT_FILES, ExportManifest, read_manifest
from llavamed_data.figures import ImageLimits, inspect_image
from llavamed_data.io.atomic import atomic_folder
from llavamed_data.io.dropped import write_dropped
from llavamed_data.reasons import Drop, Dropped, Reason, Tally, in_words
from llavamed_data.version import __version__

KIND = "instruct"
"""The kind of dataset that files without a manifest become."""

_NOT_STATED = "not stated"

_DEFAULTS: Row = {
    "domain": None,
    "caption": "",
    "inline_mentions": [],
    "figure_label": "",
    "license": _NOT_STATED,
    "provenance": {"source": "import", "recipe": "import", "generator": _NOT_STATED},
}
"""Values of columns that a record of other files does not state."""

_FORMAT_FIELDS = frozenset(
    {"image", "images", "conversations", "conversatons", "messages", "system", OTHER_COLUMNS}
)
"""Fields that belong to the formats themselves: no column of that name need be there."""

_ANY_SIZE = ImageLimits(side=1)
"""The bounds of images of other files: small ones are no icons beside an article."""

_BATCH_ROWS = 16
"""Rows with their images in memory at a time, while their types are checked."""


@dataclass(slots=True)
class ImportSummary:
    """What an import wrote.

    Attributes:
        folder: the dataset's folder.
        form: name of the format that was read.
        tally: how many rows were kept, and dropped by reason.
        rows: split → number of rows.
        dropped: the file that lists what was dropped; None if nothing was.
        ignored: field of the records that no column holds → number of records that have it.
        exported: number of rows that the export had when it was made; None for other files.
        system: rows whose system text now stands before their first question.
        renamed: rows whose id an earlier row has, and which have another one now.
    """

    folder: Path
    form: str
    tally: Tally = field(default_factory=Tally)
    rows: dict[str, int] = field(default_factory=dict)
    dropped: Path | None = None
    ignored: Counter[str] = field(default_factory=Counter)
    exported: int | None = None
    system: int = 0
    renamed: int = 0

    @property
    def reasons(self) -> str:
        """Why rows were dropped, with counts and in words; "" if none was."""
        dropped = self.tally.dropped.items()
        return ", ".join(f"{count:,} {in_words(reason, count, 'rows')}" for reason, count in dropped)

    def to_dict(self) -> dict[str, Any]:
        """The summary as plain values for `--json`."""
        return {
            "folder": str(self.folder),
            "form": self.form,
            "rows": self.rows,
            "in": self.tally.entered,
            "kept": self.tally.kept,
            "dropped": self.tally.dropped,
            "dropped_file": str(self.dropped) if self.dropped else None,
            "ignored": dict(self.ignored),
            "exported": self.exported,
            "system": self.system,
            "renamed": self.renamed,
        }


def import_dataset(
    path: Path,
    form: str,
    out: Path,
    *,
    images: Path | None = None,
    on_progress: ProgressCallback | None = None,
) -> ImportSummary:
    """Makes a dataset of an export, or of somebody else's files in the same format.

    An export comes back as the dataset that it was made of. For other files, what they do not state stays open
    (`license` is "not stated", there is no domain), and `validate` lists what is missing. Rows that cannot be taken are
    dropped, counted, and listed in `OUT.dropped.parquet`: of files without a manifest also those that `validate` would
    refuse for their texts, roles or images. A system text comes before the first question. Image names in the records
    reach no file outside the folder of images.

    Args:
        path: the export's folder, or a file of records.
        form: `llava`, `sharegpt`, `webdataset` or `jsonl`.
        out: the dataset's new folder; it appears whole or not at all.
        images: the folder that the names of images are relative to, if it is not the format's own.
        on_progress: called with what is being done, how much of it is done, and of how much.

    Raises:
        UsageError: an unknown format, nothing to read, or a folder that exists already.
        LlavaMedError: the files are broken beyond single rows, or no row of them can be taken.
    """
    chosen = format_named(form)
    manifest = read_manifest(path) if path.is_dir() else None
    if manifest and manifest.form != form:
        raise UsageError(
            f"{path} is an export in the format {manifest.form}: import it with --from {manifest.form}"
        )
    found = find_split_files(path, chosen, tuple(manifest.rows) if manifest else None)
    schema = manifest.arrow_schema() if manifest else arrow_schema(KIND)
    exported = sum(manifest.rows.values()) if manifest else None
    summary = ImportSummary(out, form, exported=exported)
    image_folder = images or default_image_folder(path, chosen)
    reader = _RowReader(chosen, schema, image_folder, summary, on_progress)
    with atomic_folder(out) as folder:
        for split, files in found.items():
            tables = tables_of(reader.rows(split, files), schema)
            summary.rows[split] = write_shards(tables, folder / "data", split, schema)
        if not summary.tally.kept and exported != 0:
            raise LlavaMedError(f"no row of {path} could be imported: {_why_none(reader.dropped, summary)}")
        for name, text in _described(summary, manifest, folder).items():
            (folder / name).write_text(text, encoding="utf-8")
    if reader.dropped:
        summary.dropped = out.parent / f"{out.name}.dropped.parquet"
        write_dropped(summary.dropped, reader.dropped)
    return summary


def _why_none(dropped: Sequence[Dropped], summary: ImportSummary) -> str:
    """Why an import has no rows."""
    if not dropped:
        return "there are none in it"
    reasons = summary.reasons
    first = dropped[0]
    return f"{reasons} (the first, {one_line(first.id, 80)}: {one_line(first.detail or first.reason)})"


class _RowReader:
    """Reads records as rows that the columns take, and counts what is kept, dropped and ignored in `summary`."""

    def __init__(
        self,
        chosen: ExchangeFormat,
        schema: pa.Schema,
        images: Path,
        summary: ImportSummary,
        on_progress: ProgressCallback | None,
    ) -> None:
        self.dropped: list[Dropped] = []
        self._format, self._images, self._summary = chosen, images, summary
        self._on_progress = on_progress
        self._names = set(schema.names)
        self._times_taken = Counter[str]()
        self._check = None if summary.exported is not None else RowCheck(KIND, ["messages"])
        self._typed = pa.schema([column for column in schema if column.name != "images"])

    def rows(self, split: str, files: Iterable[Path]) -> Iterator[Row]:
        """The rows of a split."""
        tally, exported = self._summary.tally, self._summary.exported or 0
        rows = self._read(split, files)
        while batch := list(islice(rows, _BATCH_ROWS)):
            all_fit = self._fits([row for _, row in batch])
            for name, row in batch:
                if all_fit or self._fits([row]):
                    tally.keep()
                    yield row
                else:
                    self._drop(name, Drop(Reason.MALFORMED_ROW, "a value is not of its column's type"))
            if self._on_progress:
                self._on_progress("import (rows)", tally.entered, max(exported, tally.entered))

    def _read(self, split: str, files: Iterable[Path]) -> Iterator[tuple[str, Row]]:
        """A name for each record, and its row; records that cannot be read are dropped."""
        for number, (record, read_image) in enumerate(read_records(files, self._format, self._images)):
            name = f"{split}-{number}"
            try:
                if isinstance(record, Drop):
                    raise record
                row = self._row(record, read_image, name)
            except Drop as drop:
                self._drop(str(record.get("id", name)) if isinstance(record, dict) else name, drop)
            else:
                if self._summary.exported is None:
                    row["id"] = self._free_id(row["id"])
                yield name, row

    def _free_id(self, stated: Any) -> Any:
        """The id, or for one that an earlier row has `ID~2`, `ID~3`, …"""
        if not isinstance(stated, str):
            return stated
        free = stated
        while free in self._times_taken:
            self._times_taken[stated] += 1
            free = f"{stated}~{self._times_taken[stated]}"
        self._times_taken[free] = 1
        self._summary.renamed += free != stated
        return free

    def _row(self, record: JsonRecord, read_image: ReadImage, name: str) -> Row:
        row, references = self._format.from_record(record)
        if self._summary.exported is None:
            if not references:
                raise Drop(Reason.NO_IMAGE)
            if len(references) > 1 and isinstance(self._format, ChatFormat):
                raise Drop(Reason.MALFORMED_ROW, f"{len(references)} images: a row has one")
            self._check_messages(row)
            self._summary.ignored.update(sorted((record.keys() & self._names) - row.keys() - _FORMAT_FIELDS))
            row = _DEFAULTS | {"id": name} | row
            read_image = partial(_sound_image, read_image)
            if isinstance(self._format, ChatFormat) and system_text(record) is not None:
                self._summary.system += 1
        unknown = {*record, *row} - self._names - _FORMAT_FIELDS
        self._summary.ignored.update(each[:80] for each in sorted(unknown))
        kept = {column: value for column, value in row.items() if column in self._names}
        return {**kept, "images": _images(references, read_image)} if "images" in self._names else kept

    def _check_messages(self, row: Row) -> None:
        """Drops a row of other files whose conversation no dataset may hold."""
        if self._check is None:
            return
        try:
            self._check.check({"messages": row.get("messages")})
        except Drop as drop:
            if isinstance(self._format, ChatFormat) or drop.reason is Reason.IMAGE_MARKER:
                raise
        else:
            roles = [turn["role"] for turn in row["messages"]]
            if roles != ["user", "assistant"] * (len(roles) // 2):
                raise Drop(Reason.MALFORMED_ROW, "roles do not alternate from user to assistant")

    def _fits(self, rows: list[Row]) -> bool:
        """Whether all values but the images are of their columns' types."""
        try:
            pa.Table.from_pylist(
                [{name: value for name, value in row.items() if name != "images"} for row in rows],
                self._typed,
            )
        except (pa.ArrowException, TypeError, ValueError, OverflowError):
            return False
        return True

    def _drop(self, name: str, drop: Drop) -> None:
        self._summary.tally.drop(drop.reason)
        self.dropped.append(Dropped.of(name[:512], drop))


def _images(references: ImageReferences, read_image: ReadImage) -> list[Row | None] | None:
    """The column `images`, with the bytes of the files that are named."""
    if references is None:
        return None
    return [
        {"bytes": None if image.file is None else read_image(image.file), "path": image.path}
        if image
        else None
        for image in references
    ]


def _sound_image(read_image: ReadImage, name: str) -> bytes:
    """The bytes of an image that `load_dataset` decodes; raises Drop for any other."""
    data = read_image(name)
    inspect_image(data, _ANY_SIZE)
    return data


def _described(summary: ImportSummary, manifest: ExportManifest | None, folder: Path) -> dict[str, str]:
    """The card and the files beside it: as they were, or a new card if the rows are not those that it describes.

    The rows lie in new shards, whose digests take the place of the old ones in the metadata.
    """
    if manifest and manifest.rows == summary.rows and CARD in manifest.files:
        kept = {name: text for name, text in manifest.files.items() if name in KEPT_FILES}
        kept[CARD] = without_picture(kept[CARD])
        if METADATA in kept:
            shards = {shard.name: file_digest(shard.path) for shard in find_shards(folder)[0]}
            try:
                kept[METADATA] = with_shards(kept[METADATA], shards)
            except (ValueError, RecursionError):
                del kept[METADATA]  # it describes nothing
        return kept
    splits = [{"name": split, "num_examples": count} for split, count in summary.rows.items()]
    data_files = [{"split": split, "path": f"data/{split}-*"} for split in summary.rows]
    metadata: dict[str, Any] = {
        "license": "other",
        "configs": [{"config_name": "default", "data_files": data_files}],
        "dataset_info": {"splits": splits},
    }
    if manifest is None:
        metadata["dataset_info"] = {"features": features(KIND)._to_yaml_list(), "splits": splits}
    dropped = summary.reasons
    body = (
        f"{summary.tally.kept:,} of {counted(summary.tally.entered, 'row')} imported by llavamed-data {__version__} "
        f"from files in the format {summary.form}{f'; dropped: {dropped}' if dropped else ''}.\n"
    )
    return {CARD: f"---\n{yaml.safe_dump(metadata, sort_keys=False)}---\n# Imported conversations\n\n{body}"}
