"""All checks over a dataset, in one pass over its rows."""

import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow.parquet as pq

from llavamed_data.dataset.layout import UNREADABLE, Shard, local_folder, neighbours, open_shard, recipe_of
from llavamed_data.dataset.schema import arrow_schema, kind_of, load_schema
from llavamed_data.validation.articles import article_findings, articles_elsewhere
from llavamed_data.validation.card import CARD, card_findings
from llavamed_data.validation.checks import Check
from llavamed_data.validation.images import image_fault
from llavamed_data.validation.report import ID_SHOWN, Fault, Finding, Report
from llavamed_data.validation.rows import BREACHES_A_ROW, Row, RowSchema, leak_findings, role_findings, shown
from llavamed_data.validation.shards import (
    UnreadableRow,
    Values,
    batches_of,
    column_findings,
    name_faults,
    shards_and_faults,
)

Watcher = Callable[[int], None]


def validate(
    path_or_repo: str, *, beside: Sequence[str] | None = None, on_progress: Watcher | None = None
) -> Report:
    """Checks a dataset: files, columns, every row and image, the card, and the articles of the sets beside it.

    Args:
        path_or_repo: a dataset's folder (`README.md` and `data/SPLIT-0000i-of-0000n.parquet`), or, where there
            is no such folder, a dataset repository of the Hub (`OWNER/NAME`), which is brought here first.
        beside: other sets, given likewise; an evaluation set and a training set may share no article. By default
            the datasets in the same parent folder, and none for a repository.
        on_progress: called after every batch of rows with the number of rows in it.

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
    report = Report(path_or_repo)
    shards, faults = shards_and_faults(folder)
    origin = _origin(shards)
    report.kind, recipe = origin if origin else (None, None)
    faults += name_faults(shards, load_schema(report.kind)["x-splits"] if report.kind else None)
    kind = report.kind or kind_of(())
    elsewhere, unknown = articles_elsewhere(kind, shards, others)
    for fault in (*faults, *unknown):
        report.add(fault)
    rows = _RowPass(report, kind, recipe, elsewhere, on_progress).run(shards)
    files: defaultdict[str, list[str]] = defaultdict(list)
    for shard in shards:
        files[shard.split].append(shard.name)
    for finding in card_findings(folder, kind, rows, files):
        report.add(Fault(finding.check, finding.message, file=CARD, field=finding.field))
    return report


def _origin(shards: Sequence[Shard]) -> tuple[str, str | None] | None:
    """Kind and recipe of the set, told from the first shard that can be read; None if none can."""
    for shard in shards:
        try:
            names = pq.read_schema(shard.path).names
        except UNREADABLE:
            continue  # told when its rows are read
        try:
            recipe = recipe_of(shard.path)
        except UNREADABLE:
            recipe = None
        return kind_of(names, recipe), recipe
    return None


class _RowPass:
    """Reads the rows once; images decode on other threads while the rows are held against the schema."""

    def __init__(
        self,
        report: Report,
        kind: str,
        recipe: str | None,
        elsewhere: Mapping[str, str],
        on_progress: Watcher | None,
    ) -> None:
        self._report = report
        self._arrow = arrow_schema(kind)
        self._schema = RowSchema(kind)
        self._recipe = recipe
        self._elsewhere = elsewhere
        self._on_progress = on_progress
        self._ids: set[str] = set()

    def run(self, shards: Sequence[Shard]) -> dict[str, int]:
        """Reports the faults of all shards; split → rows that the files say they have."""
        rows: Counter[str] = Counter()
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            for shard in shards:
                try:
                    with open_shard(shard.path) as file:
                        rows[shard.split] += file.metadata.num_rows
                        self._shard(shard, file, pool)
                except UNREADABLE as error:
                    self._report.add(Fault(Check.READABLE, f"cannot be read: {error}"[:300], file=shard.name))
        return dict(rows)

    def _shard(self, shard: Shard, file: pq.ParquetFile, pool: ThreadPoolExecutor) -> None:
        self._report.shards += 1
        for finding in column_findings(file.schema_arrow, self._arrow):
            self._add(finding, shard)
        number = 0
        for batch, decoding in _decoding(batches_of(file), pool):
            for row, broken in zip(batch, decoding, strict=True):
                for finding in self._findings(row, broken):
                    self._add(finding, shard, number, row)
                number += 1
            self._report.rows += len(batch)
            if self._on_progress:
                self._on_progress(len(batch))

    def _findings(self, row: Values | UnreadableRow, broken: str | None) -> Iterator[Finding]:
        if isinstance(row, UnreadableRow):
            yield Finding(Check.ENCODING, row.field, row.reason)
            return
        breaches = list(self._schema.findings(row))
        yield from breaches
        if len(breaches) < BREACHES_A_ROW and not any(_of_messages(breach) for breach in breaches):
            yield from role_findings(row)
            yield from leak_findings(row)
        if broken:
            yield Finding(Check.IMAGE_DECODES, "images[0]", broken)
        yield from self._identity(row)
        yield from article_findings(row, self._elsewhere)

    def _identity(self, row: Row) -> Iterator[Finding]:
        """Ids seen before, and rows that another recipe made."""
        name = row.get("id")
        if isinstance(name, str):
            if name in self._ids:
                yield Finding(Check.IDS, "id", "another row before this one has the same id")
            self._ids.add(name)
        provenance = row.get("provenance")
        recipe = provenance.get("recipe") if isinstance(provenance, dict) else None
        if isinstance(recipe, str) and recipe != self._recipe:
            said = f"is {shown(recipe)}, that of the first row is {shown(self._recipe)}"
            yield Finding(Check.PROVENANCE, "provenance.recipe", said)

    def _add(
        self,
        finding: Finding,
        shard: Shard,
        number: int | None = None,
        row: Values | UnreadableRow | None = None,
    ) -> None:
        name = row.get("id") if isinstance(row, dict) else None
        shown_id = name[:ID_SHOWN] if isinstance(name, str) else None
        self._report.add(Fault(finding.check, finding.message, shard.name, number, shown_id, finding.field))


def _decoding(
    batches: Iterable[list[Values | UnreadableRow]], pool: ThreadPoolExecutor
) -> Iterator[tuple[list[Values | UnreadableRow], Iterator[str | None]]]:
    """Each batch with the faults of its images to come; the next batch is read while its images decode."""
    before = None
    for batch in batches:
        here = batch, pool.map(image_fault, map(_image, batch))
        if before:
            yield before
        before = here
    if before:
        yield before


def _of_messages(finding: Finding) -> bool:
    return (finding.field or "").startswith("messages")


def _image(row: Values | UnreadableRow) -> object:
    """The bytes of the row's first image: more than one is a fault already."""
    images = row.get("images") if isinstance(row, dict) else None
    first = images[0] if isinstance(images, list) and images else None
    return first.get("bytes") if isinstance(first, dict) else None
