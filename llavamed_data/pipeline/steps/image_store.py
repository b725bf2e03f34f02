"""The images that were fetched, on disk, and what was found out about each.

An image is fetched once, whatever recipe asks for it. The file appears under its name only when it is whole and
its checksum holds; what examination finds (size, panels, or why it is unsound) is kept as a verdict beside it.
"""

import asyncio
import hashlib
import itertools
import os
import shutil
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.compute as pc
import xxhash
from datatrove.data import Document
from datatrove.pipeline.base import PipelineStep

from llavamed_data.engine.counters import Counter
from llavamed_data.engine.local import Engine, share, tasks_for
from llavamed_data.figures import count_panels, inspect_image
from llavamed_data.io.atomic import atomic_path
from llavamed_data.io.parquet import read_batches, write_rows
from llavamed_data.pipeline.steps.step import fingerprint
from llavamed_data.reasons import Drop, Reason
from llavamed_data.sources.fetch import Reporting

LEAST_IMAGES, MOST_IMAGES = 64, 2_000
"""Images a task: enough to keep many requests in flight, few enough to share between cores."""

TRANSIENT = frozenset({Reason.IMAGE_UNREACHABLE})
"""Reasons that another run may overcome: no verdict is kept for them."""


class Images(Protocol):
    """Whatever gives the bytes of a locator: an article source, or a folder of images."""

    def images(self, locators: Sequence[str]) -> AsyncIterator[tuple[str, bytes | Drop]]:
        """The bytes of each locator, or why they cannot be had, each once, in any order."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is known of one image.

    Attributes:
        locator: the source's name of it.
        reason: why it is unsound; None for a sound one.
        detail: a hint to the reason.
        digest: of its bytes, by `digest_of`.
        bytes: its size.
        width, height: pixels.
        panels: plots that the gutters of the image tell apart; 1 for a single plot.
    """

    locator: str
    reason: str | None = None
    detail: str = ""
    digest: str | None = None
    bytes: int = 0
    width: int = 0
    height: int = 0
    panels: int = 0


VERDICTS = pa.schema(
    [(field.name, pa.int64() if field.type is int else pa.string()) for field in fields(Verdict)]
)


class Shelf:
    """The fetched images of one source.

    Args:
        folder: where they are kept; made when first needed.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, locator: str) -> Path:
        """Where the image of `locator` is or will be."""
        plain = locator.partition("?")[0]
        digest = hashlib.sha256(locator.encode()).hexdigest()
        return self.folder / digest[:2] / f"{digest[2:34]}{_suffix(plain)}"

    def judge(self, images: Images, locators: Iterable[str], engine: Engine) -> dict[str, Verdict]:
        """A verdict on every locator: from the shelf where it is known, else by fetching and examining.

        Raises:
            OSError: the disk is full or cannot be written.
        """
        wanted = set(locators)
        known = self._known(wanted)
        missing = sorted(wanted - known.keys())
        return known | (self._fetch(images, missing, engine) if missing else {})

    def _known(self, wanted: set[str]) -> dict[str, Verdict]:
        names = pa.array(sorted(wanted), pa.string())
        found: dict[str, Verdict] = {}
        for batch in read_batches(sorted(self.folder.glob("verdicts-*.parquet"))):
            hits = batch.filter(pc.is_in(batch["locator"], value_set=names))
            found.update((row["locator"], Verdict(**row)) for row in hits.to_pylist())
        return {name: verdict for name, verdict in found.items() if verdict.reason or self._held(verdict)}

    def _held(self, verdict: Verdict) -> bool:
        path = self.path(verdict.locator)
        return path.is_file() and path.stat().st_size == verdict.bytes

    def _fetch(self, images: Images, locators: list[str], engine: Engine) -> dict[str, Verdict]:
        wave = fingerprint("wave", locators)[:16]
        folder = self.folder / f".wave-{wave}"
        folder.mkdir(parents=True, exist_ok=True)
        wanted = folder / "wanted.txt"
        with atomic_path(wanted) as aside:
            aside.write_text("".join(f"{locator}\n" for locator in locators), encoding="utf-8")
        tasks = tasks_for(len(locators), least=LEAST_IMAGES, most=MOST_IMAGES)
        blocks = [
            ReadWanted(str(wanted), len(locators)),
            Examine(images, self, folder),
            WriteVerdicts(str(folder)),
        ]
        engine.run("fetch and examine images", blocks, folder=folder, tasks=tasks, objects=len(locators))
        verdicts = _read_verdicts(sorted(folder.glob("verdicts-*.parquet")))
        lasting = (asdict(v) for v in verdicts.values() if v.reason not in TRANSIENT)
        write_rows(self.folder / f"verdicts-{wave}.parquet", VERDICTS, lasting)
        shutil.rmtree(folder)
        return verdicts

    async def examine(self, images: Images, locators: Sequence[str], counter: Counter) -> list[Verdict]:
        """Verdicts on `locators`; what is on disk and whole is not fetched again."""
        if isinstance(images, Reporting):
            images = images.reporting(counter.repeated)
        held = {locator: verdict for locator in locators if (verdict := self._from_disk(locator))}
        rest = [locator for locator in locators if locator not in held]
        verdicts = list(held.values())
        for _ in held:
            counter.took(0)
        async for locator, got in images.images(rest):
            counter.took(0 if isinstance(got, Drop) else len(got))
            verdicts.append(await asyncio.to_thread(self._accept, locator, got))
        return sorted(verdicts, key=lambda verdict: verdict.locator)

    def _from_disk(self, locator: str) -> Verdict | None:
        path = self.path(locator)
        if not path.is_file():
            return None
        verdict = _examined(locator, path.read_bytes())
        return verdict if verdict.reason is None else None

    def _accept(self, locator: str, got: bytes | Drop) -> Verdict:
        if isinstance(got, Drop):
            return Verdict(locator, reason=got.reason.value, detail=got.detail)
        path = self.path(locator)
        path.parent.mkdir(exist_ok=True)
        with atomic_path(path) as aside:
            aside.write_bytes(got)
        return _examined(locator, got)


def digest_of(data: bytes | memoryview) -> str:
    """128 bits that tell two files apart: fast enough to check every image again when it is written."""
    return xxhash.xxh3_128_hexdigest(data)


def _examined(locator: str, data: bytes) -> Verdict:
    digest = digest_of(data)
    try:
        sound = inspect_image(data)
    except Drop as drop:
        return Verdict(locator, drop.reason.value, drop.detail, digest, len(data))
    panels = count_panels(sound.image)
    return Verdict(locator, None, "", digest, len(data), sound.width, sound.height, panels)


def _suffix(name: str) -> str:
    suffix = os.path.splitext(name)[1].lower()  # noqa: PTH122  (a locator is no path)
    return suffix if suffix[1:].isalnum() and len(suffix) <= 5 else ""


def _read_verdicts(paths: Sequence[Path]) -> dict[str, Verdict]:
    rows = itertools.chain.from_iterable(batch.to_pylist() for batch in read_batches(paths))
    return {row["locator"]: Verdict(**row) for row in rows}


class ReadWanted(PipelineStep):  # type: ignore[misc]
    """Reads this task's share of the locators."""

    name = "read locators"
    type = "reader"

    def __init__(self, wanted: str, count: int) -> None:
        super().__init__()
        self.wanted = wanted
        self.count = count

    def run(self, data: Any = None, rank: int = 0, world_size: int = 1) -> Iterator[Document]:  # noqa: ARG002
        """Yields one document a locator."""
        part = share(self.count, rank, world_size)
        with Path(self.wanted).open(encoding="utf-8") as lines:
            for line in itertools.islice(lines, part.start, part.stop):
                yield Document(text="", id=line.rstrip("\n"))


class Examine(PipelineStep):  # type: ignore[misc]
    """Fetches and examines a task's images, many requests in flight."""

    name = "fetch and examine images"
    type = "fetcher"

    def __init__(self, images: Images, shelf: Shelf, folder: Path) -> None:
        super().__init__()
        self.images = images
        self.shelf = shelf
        self.folder = folder

    def run(self, data: Any, rank: int = 0, world_size: int = 1) -> Iterator[Document]:  # noqa: ARG002
        """Yields one document a verdict."""
        counter = Counter(self.folder, rank)
        verdicts = asyncio.run(self.shelf.examine(self.images, [document.id for document in data], counter))
        counter.close()
        for verdict in verdicts:
            yield Document(text="", id=verdict.locator, metadata={"verdict": verdict})


class WriteVerdicts(PipelineStep):  # type: ignore[misc]
    """Writes a task's verdicts in one go."""

    name = "write verdicts"
    type = "writer"

    def __init__(self, folder: str) -> None:
        super().__init__()
        self.folder = folder

    def run(self, data: Any, rank: int = 0, world_size: int = 1) -> None:  # noqa: ARG002
        """Consumes the documents of one task."""
        rows = (asdict(document.metadata["verdict"]) for document in data)
        write_rows(Path(self.folder) / f"verdicts-{rank:05d}.parquet", VERDICTS, rows)
