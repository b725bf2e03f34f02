"""Validation of a whole dataset, in one pass over its rows."""

import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq

from llavamed_data.console.progress import ProgressCallback
from llavamed_data.dataset.layout import UNREADABLE, Shard, local_folder, neighbours, open_shard, recipe_of
from llavamed_data.dataset.reader import Row
from llavamed_data.dataset.schema import arrow_schema, kind_of, load_schema
from llavamed_data.validation.articles import (
    article_faults,
    forbidden_articles,
)
from llavamed_data.validation.card import card_faults
from llavamed_data.validation.report import (
    Check,
    DatasetFault,
    ValidationReport,
)
from llavamed_data.validation.rows import (
    VIOLATIONS_A_ROW,
    RowSchema,
    choice_faults,
    first_image_fault,
    leak_faults,
    role_faults,
    shorten,
)
from llavamed_data.validation.shards import (
    UnreadableRow,
    column_faults,
    digest_faults,
    name_faults,
    read_batches,
    shards_and_faults,
)

_ID_SHOWN = 120


def validate(
    path_or_repo: str,
    *,
    beside: Sequence[str] | None = None,
    on_row_fault: Callable[[str, DatasetFault], None] | None = None,
    on_progress: ProgressCallback | None = None,
) -> ValidationReport:
    """Checks a dataset: files, columns, every row and image, the card, and the articles of the datasets beside it.

    Args:
        path_or_repo: a dataset's folder (`README.md` and `data/SPLIT-0000i-of-0000n.parquet`), or, where there
            is no such folder, a dataset repository of the Hub (`OWNER/NAME`), which is downloaded first.
        beside: other datasets, given likewise; an evaluation set and a training set may share no article. By default
            the datasets in the same parent folder, and none for a repository.
        on_row_fault: called with the id of a row and each fault in it.
        on_progress: called after every batch of rows.

    Returns:
        What was found; `report.ok` if nothing is wrong. Faults in the data are reported, never raised.

    Raises:
        UsageError: `path_or_repo` or one of `beside` is neither a folder nor a repository's name.
        LlavaMedError: the Hub does not give the repository.
    """
    folder = local_folder(path_or_repo)
    if beside is None:
        others = neighbours(folder) if Path(path_or_repo).is_dir() else []
    else:
        others = [local_folder(other) for other in beside]
    report = ValidationReport(path_or_repo)
    shards, faults = shards_and_faults(folder)
    report.kind, recipe = _kind_and_recipe(shards)
    faults += name_faults(shards, load_schema(report.kind)["x-splits"] if report.kind else None)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        report.digests, changed = digest_faults(folder, shards, pool)
    faults += changed
    kind = report.kind or kind_of(())
    forbidden, unknown = forbidden_articles(kind, shards, others)
    for fault in (*faults, *unknown):
        report.add(fault)
    rows = _RowPass(report, kind, recipe, forbidden, on_row_fault, on_progress).run(shards)
    files: defaultdict[str, list[str]] = defaultdict(list)
    for shard in shards:
        files[shard.split].append(shard.name)
    for fault in card_faults(folder, kind, rows, files):
        report.add(fault)
    return report


def _kind_and_recipe(shards: Sequence[Shard]) -> tuple[str | None, str | None]:
    """Kind and recipe of the dataset by the first shard that can be read; None if none can."""
    for shard in shards:
        try:
            names = pq.read_schema(shard.path).names
        except UNREADABLE:
            continue  # reported when its rows are read
        try:
            recipe = recipe_of(shard.path)
        except UNREADABLE:
            recipe = None
        return kind_of(names, recipe), recipe
    return None, None


class _RowPass:
    """Reads the rows once; images decode on other threads while the rows are compared with the schema."""

    def __init__(
        self,
        report: ValidationReport,
        kind: str,
        recipe: str | None,
        forbidden: Mapping[str, str],
        on_row_fault: Callable[[str, DatasetFault], None] | None,
        on_progress: ProgressCallback | None,
    ) -> None:
        self._report = report
        self._kind = kind
        self._columns = arrow_schema(kind)
        self._schema = RowSchema(kind)
        self._recipe = recipe
        self._forbidden = forbidden
        self._on_row_fault = on_row_fault
        self._on_progress = on_progress
        self._total = 0
        self._ids: set[str] = set()

    def run(self, shards: Sequence[Shard]) -> dict[str, int]:
        """Reports the faults of all shards, and returns split → number of rows that the files state."""
        if self._on_progress:
            self._total = _stated_rows(shards)
        rows: Counter[str] = Counter()
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            for shard in shards:
                try:
                    with open_shard(shard.path) as file:
                        rows[shard.split] += file.metadata.num_rows
                        self._check_shard(shard, file, pool)
                except UNREADABLE as error:
                    message = f"cannot be read: {error}"[:300]
                    self._report.add(DatasetFault(Check.READABLE, message, file=shard.name))
        return dict(rows)

    def _check_shard(self, shard: Shard, file: pq.ParquetFile, pool: ThreadPoolExecutor) -> None:
        self._report.shards += 1
        for fault in column_faults(file.schema_arrow, self._columns):
            self._report.add(replace(fault, file=shard.name))
        number = 0
        for batch, image_faults in _decode_ahead(read_batches(file), pool):
            for row, image_fault in zip(batch, image_faults, strict=True):
                name = row.get("id") if isinstance(row, dict) else None
                row_id = name[:_ID_SHOWN] if isinstance(name, str) else None
                for fault in self._row_faults(row, image_fault):
                    self._report.add(replace(fault, file=shard.name, row=number, id=row_id))
                    if self._on_row_fault and isinstance(name, str):
                        self._on_row_fault(name, fault)
                number += 1
            self._report.rows += len(batch)
            if self._on_progress:
                self._on_progress("validate (rows)", self._report.rows, self._total)

    def _row_faults(
        self, row: Row | UnreadableRow, image_fault: tuple[int, str] | None
    ) -> Iterator[DatasetFault]:
        if isinstance(row, UnreadableRow):
            yield DatasetFault(Check.ENCODING, row.reason, field=row.field)
            return
        violations = self._schema.faults(row)
        yield from violations
        all_known = len(violations) < VIOLATIONS_A_ROW
        if all_known and not any((fault.field or "").startswith("messages") for fault in violations):
            yield from role_faults(row)
            yield from leak_faults(row)
        if self._kind == "choice" and not violations:
            yield from choice_faults(row)
        if image_fault:
            number, fault = image_fault
            yield DatasetFault(Check.IMAGE_DECODES, fault, field=f"images[{number}]")
        yield from self._faults_across_rows(row)
        yield from article_faults(row, self._forbidden)

    def _faults_across_rows(self, row: Row) -> Iterator[DatasetFault]:
        """Ids that an earlier row has, and rows of another recipe than the first row's."""
        name = row.get("id")
        if isinstance(name, str):
            if name in self._ids:
                message = "another row before this one has the same id"
                yield DatasetFault(Check.IDS, message, field="id")
            self._ids.add(name)
        provenance = row.get("provenance")
        recipe = provenance.get("recipe") if isinstance(provenance, dict) else None
        if isinstance(recipe, str) and recipe != self._recipe:
            message = f"is {shorten(recipe)}, that of the first row is {shorten(self._recipe)}"
            yield DatasetFault(Check.PROVENANCE, message, field="provenance.recipe")


def _stated_rows(shards: Iterable[Shard]) -> int:
    total = 0
    for shard in shards:
        with suppress(*UNREADABLE):  # reported when its rows are read
            total += pq.read_metadata(shard.path).num_rows
    return total


def _decode_ahead(
    batches: Iterable[list[Row | UnreadableRow]], pool: ThreadPoolExecutor
) -> Iterator[tuple[list[Row | UnreadableRow], Iterator[tuple[int, str] | None]]]:
    """Each batch with the faults of its images to come; the next batch is read while its images decode."""
    previous = None
    for batch in batches:
        current = batch, pool.map(first_image_fault, batch)
        if previous:
            yield previous
        previous = current
    if previous:
        yield previous
