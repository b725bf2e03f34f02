"""Finished rows → rows with images: fetches the image of each row whose text needs no more work.

Released rows and the questions of benchmarks come with their text. Their images are in a folder, found by name, or in a
bucket, where `locate` finds each row's file first.
"""

import csv
import itertools
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from llavamed_data.engine import Engine
from llavamed_data.io.dropped import DROPPED
from llavamed_data.io.parquet import BATCH_ROWS, read_rows, row_writer, write_rows
from llavamed_data.pipeline.steps.image_store import TRANSIENT, ImageCheck, ImageStore
from llavamed_data.pipeline.steps.locate import LOCATED, Located
from llavamed_data.pipeline.steps.step import Step, StepOutput, StepResult, fingerprint
from llavamed_data.reasons import Drop, Dropped, Reason, Tally
from llavamed_data.sources.images import NamedImages

LOST = "lost.csv"
"""The report on rows whose image cannot be had: one line a pair, for people and their spreadsheets."""

WAVE = 50_000
"""Images checked at a time, so that what is known of all of them is never in memory as objects."""

IMAGE_FIELDS = (
    pa.field("locator", pa.string()),
    pa.field("image_pmid", pa.string()),
    pa.field("image_license", pa.string()),
    pa.field("image_digest", pa.string()),
    pa.field("image_bytes", pa.int64()),
)
"""What is added to a row: its image in the store, and what the image's article states; null if the image is lost."""

IMAGES_FIELDS = (
    pa.field("locators", pa.list_(pa.string())),
    pa.field("image_digests", pa.list_(pa.string())),
    pa.field("image_sizes", pa.list_(pa.int64())),
)
"""What is added to a row that names several images in `images`: each image in the store, its digest and its size."""


@dataclass(frozen=True, slots=True)
class FoundImage:
    """What was found for one row.

    Attributes:
        locator: of the image in the store.
        digest: of its bytes; None if it is lost.
        bytes: its size.
        reason, detail: why it is lost.
        pmid, license: of its article, if the source states them.
        all: of a row with several images, what was found for each; then `locator` names the one that is lost, if any.
    """

    locator: str | None = None
    digest: str | None = None
    bytes: int | None = None
    reason: str | None = None
    detail: str = ""
    pmid: str | None = None
    license: str | None = None
    all: tuple["FoundImage", ...] = ()


@dataclass(frozen=True)
class ReadRows(StepOutput):
    """Rows as their source has them, with finished text."""

    @property
    def file(self) -> Path:
        """The Parquet file of rows; the column `image` names the image of each, or `images` its images."""
        return self.folder / "rows.parquet"


@dataclass(frozen=True)
class Illustrated(StepOutput):
    """Rows with their images.

    Attributes:
        store: where the images are; None if there are none.
    """

    store: ImageStore | None

    @property
    def file(self) -> Path:
        """The Parquet file of rows, with `IMAGE_FIELDS` or `IMAGES_FIELDS`."""
        return self.folder / "rows.parquet"


class RowImages(Protocol):
    """Where the images of finished rows come from."""

    @property
    def store(self) -> ImageStore:
        """Where they are fetched to."""

    def version(self) -> str:
        """A text that changes when an image may have changed."""

    def find(self, read: ReadRows, engine: Engine) -> Iterator[FoundImage]:
        """What there is for each row, in order; images are fetched, each once."""


def illustrate(
    read: ReadRows,
    images: RowImages | None,
    folder: Path,
    *,
    engine: Engine,
    keep_without_image: bool = False,
) -> Illustrated:
    """Fetches and checks the image of each row.

    Args:
        read: the rows.
        images: where images come from; None if there are none.
        folder: the step's folder: `rows.parquet`, `dropped.parquet` and `lost.csv`.
        engine: what runs the tasks.
        keep_without_image: keep rows whose image is lost.

    Returns:
        The rows; their facts are `lost` (lines in the report on lost images) and `splits` (if rows state one).
    """
    version = images.version() if images else None
    step = Step(folder, fingerprint("acquire", read.digest(), version, keep_without_image))

    def work(unfinished: Path) -> StepResult:
        found = (
            images.find(read, engine)
            if images
            else itertools.repeat(FoundImage(reason=Reason.IMAGE_MISSING.value))
        )
        tally, splits = Tally(), set[str]()
        stated = pq.read_schema(read.file)
        several = "images" in stated.names
        schema = pa.schema([*stated, *(IMAGES_FIELDS if several else IMAGE_FIELDS)])
        with (
            _lost_report(unfinished / LOST) as report_lost,
            row_writer(unfinished / "dropped.parquet", DROPPED) as add_dropped,
            row_writer(unfinished / "rows.parquet", schema) as add_row,
        ):
            lost = 0
            for row, image in zip(read_rows([read.file]), found, strict=False):
                if image.reason is not None and images:
                    lost = report_lost(row, image)
                if image.reason is None or keep_without_image:
                    tally.keep()
                    splits.add(row.get("split", ""))
                    add_row(row | (_images_columns(image) if several else _image_columns(image)))
                else:
                    tally.drop(Reason(image.reason))
                    add_dropped(asdict(Dropped(row["id"], image.reason, image.detail)))
        unreachable = (*TRANSIENT, Reason.ARTICLE_UNREACHABLE)
        final = not any(tally.dropped.get(reason.value) for reason in unreachable)
        return StepResult({"rows": tally}, {"lost": lost, "splits": sorted(splits)}, final=final)

    return Illustrated(folder, step.run(work), images.store if images else None)


def _image_columns(image: FoundImage) -> dict[str, Any]:
    return {
        "locator": image.locator,
        "image_pmid": image.pmid,
        "image_license": image.license,
        "image_digest": image.digest,
        "image_bytes": image.bytes if image.digest else None,
    }


def _images_columns(image: FoundImage) -> dict[str, Any]:
    return {
        "locators": [each.locator for each in image.all],
        "image_digests": [each.digest for each in image.all],
        "image_sizes": [each.bytes for each in image.all],
    }


@dataclass(frozen=True)
class ImagesByName:
    """Images in a folder or an archive, found by the names that rows state.

    Attributes:
        place: the folder or archive.
        folder: of the store; a name does not tell the bytes behind it, so each state of the place has its own store.
    """

    place: NamedImages
    folder: Path

    @cached_property
    def store(self) -> ImageStore:
        """Where the images are copied to."""
        return ImageStore(self.folder / self.version(), self)

    def version(self) -> str:
        """The state of the place."""
        return self._version

    @cached_property
    def _version(self) -> str:
        return self.place.version()[:12]

    async def images(self, locators: Sequence[str]) -> AsyncIterator[tuple[str, bytes | Drop]]:
        """The bytes of each name, or why they cannot be had."""
        for locator in locators:
            yield locator, self.place.read(locator)

    def find(self, read: ReadRows, engine: Engine) -> Iterator[FoundImage]:
        """What there is for each row; where rows name several images, one that is lost loses the row."""
        several = "images" in pq.read_schema(read.file).names
        column = "images" if several else "image"
        rows = (row[column] for row in read_rows([read.file], [column]))
        names = dict.fromkeys(itertools.chain.from_iterable(rows) if several else rows)
        indexed = self.place.indexed(self.store.folder / "names.index")  # made once, and read by every task
        checks = replace(self.store, source=replace(self, place=indexed)).check(names, engine)

        def found(name: str) -> FoundImage:
            check = checks[name]
            digest = check.digest if check.reason is None else None
            return FoundImage(name, digest, check.bytes, check.reason, check.detail)

        for row in read_rows([read.file], [column]):
            if not several:
                yield found(row["image"])
                continue
            images = tuple(map(found, row["images"]))
            lost = next((image for image in images if image.reason is not None), FoundImage())
            yield replace(lost, all=images)


@dataclass(frozen=True)
class ImagesByLocation:
    """Images in a bucket, each where `locate` found the file that its row names.

    Attributes:
        located: where the files are.
        store: where the images are fetched to: one for all states of the bucket, for a locator carries the checksum
            of its bytes.
    """

    located: Located
    store: ImageStore

    def version(self) -> str:
        """Changes with the locations."""
        return self.located.digest()

    def find(self, read: ReadRows, engine: Engine) -> Iterator[FoundImage]:
        """What there is for each row."""
        checked = self._checked(read, engine)
        places = pc.index_in(_keys(pq.read_table(read.file, columns=["pmcid", "file"])), _keys(checked))
        facts = checked.drop_columns(["pmcid", "file"])
        for start in range(0, len(places), BATCH_ROWS):
            for row in facts.take(places.slice(start, BATCH_ROWS)).to_pylist():
                if row["reason"] is None and row["locator"] is None:
                    detail = "no address is listed for this pair"
                    yield FoundImage(reason=Reason.IMAGE_MISSING.value, detail=detail)
                else:
                    yield FoundImage(**row | {"detail": row["detail"] or ""})

    def _checked(self, read: ReadRows, engine: Engine) -> pa.Table:
        """Every located file with the check of its image: some hundred bytes each."""
        kept = read.folder.parent / ".checked-images.parquet"
        write_rows(kept, _CHECKED, self._checks(engine))
        table = pq.read_table(kept).combine_chunks()
        kept.unlink()
        return table

    def _checks(self, engine: Engine) -> Iterator[dict[str, Any]]:
        located = read_rows(self.located.files)
        while rows := list(itertools.islice(located, WAVE)):
            checks = self.store.check((row["locator"] for row in rows if row["locator"]), engine)
            for row in rows:
                yield row | (_outcome(checks[row["locator"]]) if row["locator"] else {})


_CHECKED = pa.schema([*LOCATED, pa.field("digest", pa.string()), pa.field("bytes", pa.int64())])


def _outcome(check: ImageCheck) -> dict[str, Any]:
    if check.reason is not None:
        return {"reason": check.reason, "detail": check.detail}
    return {"digest": check.digest, "bytes": check.bytes}


def _keys(table: pa.Table) -> pa.ChunkedArray:
    return pc.binary_join_element_wise(table["pmcid"], table["file"], "/")


_LOST_COLUMNS = ("pair_id", "pmcid", "file", "reason", "detail")

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
"""What makes a spreadsheet run a cell instead of showing it (OWASP, "CSV Injection")."""


@contextmanager
def _lost_report(path: Path) -> Iterator[Callable[[Mapping[str, Any], FoundImage], int]]:
    """Yields a function that adds a row's image to the report and returns how many pairs are in it."""
    seen: set[str] = set()
    with path.open("w", encoding="utf-8", newline="") as file:
        lines = csv.writer(file, lineterminator="\n")
        lines.writerow(_LOST_COLUMNS)

        def add(row: Mapping[str, Any], image: FoundImage) -> int:
            pair = row.get("pair_id") or row.get("image") or image.locator or ""
            if pair not in seen:
                seen.add(pair)
                file = row.get("file") or row.get("image") or image.locator
                cells = (pair, row.get("pmcid"), file, image.reason, image.detail)
                lines.writerow([without_formula(cell or "") for cell in cells])
            return len(seen)

        yield add


def without_formula(cell: str) -> str:
    """`cell` as text that no spreadsheet takes for a formula.

    >>> without_formula("=HYPERLINK(1)")
    "'=HYPERLINK(1)"
    """
    return f"'{cell}" if cell.startswith(_FORMULA) else cell
