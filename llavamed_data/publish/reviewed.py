"""A copy of a dataset in which reviewers' decisions are followed, which is published in its place."""

import tempfile
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

from hub_cards import with_review, with_shards, without_example
from llavamed_data.console.printable import counted, printable_line
from llavamed_data.dataset.digests import METADATA, file_digest
from llavamed_data.dataset.layout import CARD, EXAMPLE, REPORT_FOLDER, find_shards, open_shard
from llavamed_data.dataset.reader import Dataset, Row
from llavamed_data.dataset.schema import kind_of
from llavamed_data.dataset.writer import GROUP_ROWS, write_shards
from llavamed_data.errors import LlavaMedError, explain
from llavamed_data.publish.upload import LocalFile, list_files
from llavamed_data.review.counting import ReviewCount
from llavamed_data.review.decision_file import DecisionFile, decided_rows

_MOST_NAMED = 5
"""Ids of rows that a note names."""


@dataclass(frozen=True, slots=True)
class ReviewedFiles:
    """What is published of a dataset once the decisions are followed.

    Attributes:
        folder: where its card and shards lie.
        files: all files that are published.
        notes: sentences for people.
    """

    folder: Path
    files: Sequence[LocalFile]
    notes: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class _Changes:
    """What decisions change in a dataset.

    Attributes:
        rows: number of a row → its new `messages` and `domain`; None for a row that is left out.
        pictures: the images of these rows.
    """

    rows: dict[int, Row | None] = field(default_factory=dict)
    pictures: set[bytes] = field(default_factory=set)


@contextmanager
def following(folder: Path, files: Sequence[LocalFile], file: DecisionFile | None) -> Iterator[ReviewedFiles]:
    """Yields the files of a dataset with the decisions followed.

    Rows are edited, dropped and given other domains in a copy beside the folder, which is removed in the end; the
    folder stays as it is. A dataset that follows the decisions already is not copied. Decisions about rows that have
    changed since are not followed, and the notes name those rows. A dataset that was built with decisions which were
    undone or changed since is refused.

    Args:
        folder: the dataset's folder.
        files: the files in it.
        file: the decisions; None if there are none to follow.

    Raises:
        LlavaMedError: no row of a split would be left, the dataset is a benchmark, it was built with decisions that
            hold no longer, or the copy cannot be written.
    """
    if file is None:
        yield ReviewedFiles(folder, files)
        return
    dataset = Dataset(str(folder))
    changes, sentence, notes = _changes(dataset, file)
    if not changes.rows:
        yield ReviewedFiles(folder, _with_card(folder, files, sentence), notes)
        return
    if kind_of(dataset.schema.names) in ("vqa", "choice"):
        raise LlavaMedError(f"{folder} is a benchmark, which is published as it is: leave --decisions out")
    if any(each.name.startswith(f"{REPORT_FOLDER}/") for each in files):
        notes.append("the statistics report is about the rows before the review and is not sent")
    here = folder.resolve()
    try:
        place = tempfile.TemporaryDirectory(prefix=f".{here.name}.", dir=here.parent)
    except OSError as error:
        raise LlavaMedError(explain(error, here.parent)) from error
    with place as beside:
        copy = Path(beside) / here.name
        try:
            _write(dataset, copy, changes.rows)
            sent = _files_of_copy(folder, copy, files, sentence, changes.pictures)
        except OSError as error:
            raise LlavaMedError(explain(error, copy)) from error
        yield ReviewedFiles(copy, sent, notes)


def _changes(dataset: Dataset, file: DecisionFile) -> tuple[_Changes, str, list[str]]:
    """What the decisions change, the sentence of the card, and sentences for people."""
    count, changes, decided = ReviewCount(dataset.folder.resolve().name), _Changes(), 0
    outdated = list[str]()
    for number, row in decided_rows(dataset, file):
        reviewed = file.review(row)
        count.add(row["id"], reviewed)
        decided += 1
        if reviewed.outdated:
            outdated.append(row["id"])
        if reviewed.row is not row:
            edited = reviewed.row
            changes.rows[number] = edited and {name: edited.get(name) for name in ("messages", "domain")}
            changes.pictures.update(image["bytes"] for image in row.get("images") or () if image)
    if outdated:
        raise LlavaMedError(
            f"{dataset.folder} was built with decisions that were undone or changed since, about "
            f"{counted(len(outdated), 'row')} ({_named(outdated)}), so nothing was sent: "
            "build it again with --decisions"
        )
    for _ in range(len(dataset) - decided):
        count.add("", None)
    again, _ = count.not_followed(file)
    sentence = count.sentence(file, len(again))
    notes = [sentence, *file.problems]
    if again:
        ids = list(dict.fromkeys(each.id for each in again))
        notes.append(f"{counted(len(ids), 'row')} to be looked at again in `review`: {_named(ids)}")
    if missing := count.missing(file):
        rows = counted(len(missing), "row")
        notes.append(f"{rows} no longer rejected, but not in this set (build it again): {_named(missing)}")
    return changes, sentence, notes


def _named(ids: Sequence[str]) -> str:
    """The first of these ids."""
    return ", ".join(printable_line(each, 80) for each in ids[:_MOST_NAMED]) + (
        " …" if len(ids) > _MOST_NAMED else ""
    )


def _write(dataset: Dataset, copy: Path, changed: dict[int, Row | None]) -> None:
    """Writes the shards anew: as many rows in each as are left of it."""
    start = 0
    for split in dataset.splits:
        rows = list[int]()
        first = start
        for shard in (each for each in dataset.shards if each.split == split):
            with open_shard(shard.path) as opened:
                there = opened.metadata.num_rows
            dropped = sum(changed.get(number, {}) is None for number in range(start, start + there))
            rows.append(there - dropped)
            start += there
        if not sum(rows):
            raise LlavaMedError(f"no row of the split {split} is left after the review, so nothing was sent")
        tables = _tables(dataset, split, first, changed)
        write_shards(tables, copy / "data", split, dataset.schema, shard_rows=[each for each in rows if each])


def _tables(dataset: Dataset, split: str, number: int, changed: dict[int, Row | None]) -> Iterator[pa.Table]:
    """The rows of a split as they are after the review; tables without a change are passed on as they are."""
    for batch in dataset.batches(dataset.schema.names, split=split, size=GROUP_ROWS):
        numbers = range(number, number + batch.num_rows)
        number = numbers.stop
        if changed.keys().isdisjoint(numbers):
            yield pa.Table.from_batches([batch]).cast(dataset.schema)
            continue
        rows = [
            {**row, **(changed.get(each) or {})}
            for each, row in zip(numbers, batch.to_pylist(), strict=True)
            if changed.get(each, row) is not None
        ]
        if rows:
            yield pa.Table.from_pylist(rows, dataset.schema)


def _with_card(folder: Path, files: Sequence[LocalFile], sentence: str) -> list[LocalFile]:
    """The files, with the count of the review in the card, unless it has one from its build."""
    text = _card(folder)
    if "People reviewed " not in text:
        text = with_review(text, sentence)
    data = text.encode()
    return [LocalFile(CARD, data, len(data)) if each.name == CARD else each for each in files]


def _files_of_copy(
    folder: Path, copy: Path, files: Sequence[LocalFile], sentence: str, pictures: Collection[bytes]
) -> list[LocalFile]:
    """Describes the copy, and lists its files and those of the folder that are still true.

    Args:
        folder: the dataset's folder.
        copy: the copy, which has its shards.
        files: the files of the folder.
        sentence: what the card says of the review.
        pictures: images of rows that were changed or left out: none of them stays the card's example.
    """
    shards, rows = find_shards(copy)[0], Counter[str]()
    for shard in shards:
        with open_shard(shard.path) as opened:
            rows[shard.split] += opened.metadata.num_rows
    try:
        card = with_review(_card(folder), sentence, rows)
    except ValueError as error:
        raise LlavaMedError(f"{folder / CARD}: {error}: run validate") from error
    replaced = {CARD, METADATA}
    for file in files:
        if file.name.startswith(f"{EXAMPLE}.") and file.read() in pictures:
            replaced.add(file.name)
            card = without_example(card)
        elif file.name == METADATA:
            digests = {shard.name: file_digest(shard.path) for shard in shards}
            with suppress(ValueError, RecursionError):  # metadata that describe nothing are not sent
                text = with_shards(file.read().decode(), digests)
                (copy / METADATA).write_text(text, encoding="utf-8")
    (copy / CARD).write_text(card, encoding="utf-8")
    left = [
        file
        for file in files
        if file.name not in replaced and not file.name.startswith(("data/", f"{REPORT_FOLDER}/"))
    ]
    return sorted([*left, *list_files(copy)], key=lambda each: each.name)


def _card(folder: Path) -> str:
    try:
        return (folder / CARD).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise LlavaMedError(f"{folder / CARD} is not UTF-8 text: build the dataset again") from error
