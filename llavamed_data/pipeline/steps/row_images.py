"""The images of released rows: in a folder by name, or in a bucket, where each row's file has to be found first."""

from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from llavamed_data.engine.local import Engine
from llavamed_data.errors import UsageError
from llavamed_data.io.parquet import BATCH_ROWS, read_batches, read_rows, write_rows
from llavamed_data.pipeline.steps.image_store import Shelf, Verdict
from llavamed_data.pipeline.steps.locate import LOCATED, locate, located_files
from llavamed_data.pipeline.steps.step import Manifest, fingerprint
from llavamed_data.reasons import Drop, Reason
from llavamed_data.sources.bucket import Bucket, has_bucket_layout
from llavamed_data.sources.released import ImageFolder
from llavamed_data.sources.stores import PMC_CLOUD

WAVE = 50_000
"""Images judged at a time, so that what is known of all of them never lies in memory as objects."""

_JUDGED = pa.schema([*LOCATED, pa.field("image_digest", pa.string()), pa.field("image_bytes", pa.int64())])


@dataclass(frozen=True, slots=True)
class Found:
    """What was found for one row.

    Attributes:
        locator: of the image on the shelf.
        digest: of its bytes; None where it is lost.
        bytes: its size.
        reason, detail: why it is lost.
        pmid, license: of its article, where the source states them.
    """

    locator: str | None = None
    digest: str | None = None
    bytes: int = 0
    reason: str | None = None
    detail: str = ""
    pmid: str | None = None
    license: str | None = None


class RowImages(Protocol):
    """Where the images of released rows come from."""

    @property
    def name(self) -> str:
        """How the card names it; empty for the user's own folder."""

    @property
    def date(self) -> str | None:
        """ISO date of its inventory, where it has one."""

    @property
    def needs_addresses(self) -> bool:
        """Whether rows must say which file of which article their image is."""

    def version(self) -> str:
        """Changes when an image may have."""

    def shelf(self, work: Path, folder: Path, version: str) -> Shelf:
        """Where they are kept: in the work folder, or the dataset's own folder in it."""

    def locate(self, rows: Path, folder: Path, engine: Engine) -> Manifest | None:
        """Finds which files the rows want, where names alone do not tell."""

    def find(self, rows: Path, folder: Path, shelf: Shelf, engine: Engine) -> Iterator[Found]:
        """What there is for each row, in order; images are fetched, each once."""


def open_images(spec: str, licenses: Sequence[str] = ()) -> RowImages:
    """Opens what `--images` names.

    Args:
        spec: `pmc-cloud`, an address or a folder in the layout of the PMC bucket, or a folder of images.
        licenses: only images of articles under these.

    Raises:
        UsageError: there is no such place, or a folder of images is asked for licences.
    """
    if spec == "pmc-cloud":
        return BucketImages(Bucket(PMC_CLOUD, licenses=licenses))
    if "://" in spec or spec.startswith("file:") or _in_bucket_layout(spec):
        return BucketImages(Bucket(spec, licenses=licenses))
    if licenses:
        raise UsageError(f"{spec} is a folder of images, which states no licences: leave --license out")
    return FolderImages(spec)


@dataclass(frozen=True, slots=True)
class FolderImages:
    """A folder of images by file name."""

    folder: str
    name: str = ""
    date: str | None = None
    needs_addresses: bool = False

    async def images(self, locators: Sequence[str]) -> AsyncIterator[tuple[str, bytes | Drop]]:
        """The bytes of each name, or why they cannot be had."""
        found = ImageFolder(self.folder)
        for locator in locators:
            yield locator, found.read(locator)

    def version(self) -> str:
        """Changes when a file of the folder does."""
        paths = sorted(path for path in Path(self.folder).rglob("*") if path.is_file())
        stats = [(str(path.relative_to(self.folder)), path.stat()) for path in paths]
        return fingerprint([(name, stat.st_size, stat.st_mtime_ns) for name, stat in stats])[:12]

    def shelf(self, work: Path, folder: Path, version: str) -> Shelf:  # noqa: ARG002
        """One for each state of the folder: a name does not tell the bytes behind it."""
        return Shelf(folder / "images" / version)

    def locate(self, rows: Path, folder: Path, engine: Engine) -> None:  # noqa: ARG002
        """The row's own name tells."""
        return

    def find(self, rows: Path, folder: Path, shelf: Shelf, engine: Engine) -> Iterator[Found]:  # noqa: ARG002
        """What there is for each row."""
        names = dict.fromkeys(row["image"] for row in read_rows([rows], ["image"]))
        verdicts = shelf.judge(self, names, engine)
        for row in read_rows([rows], ["image"]):
            verdict = verdicts[row["image"]]
            yield Found(
                row["image"],
                verdict.digest if verdict.reason is None else None,
                verdict.bytes,
                verdict.reason,
                verdict.detail,
            )


class BucketImages:
    """A bucket, in which a row's image is the file of that name in the newest version of its article."""

    needs_addresses = True

    def __init__(self, bucket: Bucket) -> None:
        self.bucket = bucket
        self.name = bucket.name

    @property
    def date(self) -> str | None:
        """ISO date of the bucket's inventory."""
        return self.bucket.date

    def version(self) -> str:
        """Changes with the inventory."""
        return self.bucket.fingerprint()

    def shelf(self, work: Path, folder: Path, version: str) -> Shelf:  # noqa: ARG002
        """One for all datasets and states of the bucket: a locator carries the checksum of its bytes."""
        return Shelf(work / "fetched-images" / self.bucket.images_version())

    def locate(self, rows: Path, folder: Path, engine: Engine) -> Manifest:
        """Finds today's key of each file; see `locate`."""
        return locate(self.bucket, rows, folder, engine)

    def find(self, rows: Path, folder: Path, shelf: Shelf, engine: Engine) -> Iterator[Found]:
        """What there is for each row; `locate` must have run."""
        judged = self._judged(folder, shelf, engine)
        places = pc.index_in(_keys(pq.read_table(rows, columns=["pmcid", "file"])), _keys(judged))
        facts = judged.select([name for name in judged.column_names if name not in ("pmcid", "file")])
        for start in range(0, len(places), BATCH_ROWS):
            for row in facts.take(places.slice(start, BATCH_ROWS)).to_pylist():
                yield _found(row)

    def _judged(self, folder: Path, shelf: Shelf, engine: Engine) -> pa.Table:
        """Every located file with its verdict: some hundred bytes each."""
        kept = folder.parent / f".{folder.name}.judged.parquet"
        write_rows(kept, _JUDGED, self._verdicts(folder, shelf, engine))
        table = pq.read_table(kept).combine_chunks()
        kept.unlink()
        return table

    def _verdicts(self, folder: Path, shelf: Shelf, engine: Engine) -> Iterator[dict[str, Any]]:
        for rows in _waves(located_files(folder)):
            locators = [row["locator"] for row in rows if row["locator"]]
            verdicts = shelf.judge(self.bucket, locators, engine)
            for row in rows:
                yield row | (_outcome(verdicts[row["locator"]]) if row["locator"] else {})


def _found(row: dict[str, Any]) -> Found:
    if row["reason"] is None and row["locator"] is None:
        return Found(reason=Reason.IMAGE_MISSING.value, detail="no address is listed for this pair")
    names = {"image_digest": "digest", "image_bytes": "bytes"}
    known = {names.get(name, name): value for name, value in row.items() if value is not None}
    return Found(**known)


def _outcome(verdict: Verdict) -> dict[str, Any]:
    if verdict.reason is not None:
        return {"reason": verdict.reason, "detail": verdict.detail}
    return {"image_digest": verdict.digest, "image_bytes": verdict.bytes}


def _waves(paths: Sequence[Path]) -> Iterator[list[dict[str, Any]]]:
    wave: list[dict[str, Any]] = []
    for batch in read_batches(paths):
        wave.extend(batch.to_pylist())
        if len(wave) >= WAVE:
            yield wave
            wave = []
    if wave:
        yield wave


def _keys(table: pa.Table) -> pa.ChunkedArray:
    return pc.binary_join_element_wise(table["pmcid"], table["file"], "/")


def _in_bucket_layout(spec: str) -> bool:
    folder = Path(spec).expanduser()
    try:
        return folder.is_dir() and has_bucket_layout(folder)
    except OSError as error:
        raise UsageError(f"{spec} cannot be read: {error.strerror}") from error
