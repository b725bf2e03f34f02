"""The fetched images on disk, and what the check of each found.

An image is fetched once, whatever recipe asks for it. Its file appears under its name only when it is complete and its
checksum holds; what the check finds (size, panels, or why the image cannot be used) is kept beside the files.
"""

import asyncio
import hashlib
import json
import os
import shutil
from collections.abc import AsyncIterator, Coroutine, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeVar

import pyarrow as pa
import xxhash

from llavamed_data.engine import Engine, FetchCounter, number_of_tasks, share
from llavamed_data.engine.engine import cores
from llavamed_data.figures import count_panels, inspect_image
from llavamed_data.io.atomic import atomic_path, write_text
from llavamed_data.io.parquet import read_batches, read_rows, write_rows
from llavamed_data.pipeline.steps.step import fingerprint
from llavamed_data.reasons import Drop, Reason
from llavamed_data.sources import ReportsFetches

T = TypeVar("T")

LEAST_IMAGES, MOST_IMAGES = 64, 2_000
"""Images of a task: many enough to keep many requests in flight, few enough to share between cores."""

CHECK_VERSION = 2
"""Of what a check finds: checks of another version are not read, and their images are examined again."""

TRANSIENT = frozenset({Reason.IMAGE_UNREACHABLE})
"""Reasons that another run may overcome: no check is kept for them."""

_CHECK_ROWS = 50_000
"""Checks in memory at a time while the known ones are looked through."""


class ImageSource(Protocol):
    """Whatever gives the bytes behind a locator: an article source, or a folder of images."""

    def images(self, locators: Sequence[str]) -> AsyncIterator[tuple[str, bytes | Drop]]:
        """The bytes of each locator, or why they cannot be had, each once, in any order."""


@dataclass(frozen=True, slots=True)
class ImageCheck:
    """What is known of one image.

    Attributes:
        locator: the source's name of it.
        reason: why it cannot be used; None for a sound one.
        detail: a hint to the reason.
        digest: of its bytes, by `digest_of`.
        bytes: its size.
        width, height: pixels, turned as the EXIF metadata asks.
        panels: plots that the gutters of the image separate; 1 for a single plot.
    """

    locator: str
    reason: str | None = None
    detail: str = ""
    digest: str | None = None
    bytes: int = 0
    width: int = 0
    height: int = 0
    panels: int = 0


CHECKS = pa.schema(
    [(field.name, pa.int64() if field.type is int else pa.string()) for field in fields(ImageCheck)]
)


@dataclass(frozen=True)
class ImageStore:
    """The images of one source.

    Attributes:
        folder: where they are kept; made when first needed.
        source: where they come from.
    """

    folder: Path
    source: ImageSource

    def path(self, locator: str) -> Path:
        """Where the image of `locator` is or will be."""
        digest = hashlib.sha256(locator.encode()).hexdigest()
        return self.folder / digest[:2] / f"{digest[2:34]}{_suffix(locator.partition('?')[0])}"

    def check(self, locators: Iterable[str], engine: Engine) -> dict[str, ImageCheck]:
        """Checks every image: looks up what is known already, fetches and examines the others.

        Raises:
            OSError: the disk is full or cannot be written.
        """
        wanted = set(locators)
        known = self._known(wanted)
        missing = sorted(wanted - known.keys())
        return known | (self._fetch(missing, engine) if missing else {})

    def _known(self, wanted: set[str]) -> dict[str, ImageCheck]:
        known: dict[str, ImageCheck] = {}
        for batch in read_batches(
            sorted(self.folder.glob(f"checks-v{CHECK_VERSION}-*.parquet")), rows=_CHECK_ROWS
        ):
            hits = [place for place, name in enumerate(batch["locator"].to_pylist()) if name in wanted]
            checks = (ImageCheck(**row) for row in batch.take(pa.array(hits, pa.int64())).to_pylist())
            known.update((check.locator, check) for check in checks if check.reason or self._is_there(check))
        return known

    def _is_there(self, check: ImageCheck) -> bool:
        try:
            return self.path(check.locator).stat().st_size == check.bytes
        except OSError:
            return False

    def _fetch(self, locators: Sequence[str], engine: Engine) -> dict[str, ImageCheck]:
        """Fetches and examines images in tasks, in a folder of their own that a killed run goes on with."""
        name = fingerprint("fetch", CHECK_VERSION, locators)[:16]
        folder = self.folder / f".fetch-{name}"
        folder.mkdir(parents=True, exist_ok=True)
        tasks = number_of_tasks(len(locators), least=LEAST_IMAGES, most=MOST_IMAGES)
        parts = [_Part(number, folder, max(2, cores() // tasks)) for number in range(tasks)]
        for part in parts:
            span = share(len(locators), part.number, tasks)
            write_text(part.wanted, json.dumps(locators[span.start : span.stop]))
        engine.map(
            partial(_check_part, self),
            parts,
            name="fetch and check images",
            folder=folder,
            objects=len(locators),
        )
        checks = [ImageCheck(**row) for row in read_rows(part.output for part in parts)]
        lasting = (asdict(check) for check in checks if check.reason not in TRANSIENT)
        write_rows(self.folder / f"checks-v{CHECK_VERSION}-{name}.parquet", CHECKS, lasting)
        shutil.rmtree(folder)
        return {check.locator: check for check in checks}


@dataclass(frozen=True, slots=True)
class _Part:
    """A task: the locators in the file `wanted`, examined by so many threads; its `output` holds their checks."""

    number: int
    folder: Path
    threads: int

    @property
    def wanted(self) -> Path:
        return self.folder / f"wanted-{self.number:05d}.json"

    @property
    def output(self) -> Path:
        return self.folder / f"checks-{self.number:05d}.parquet"


def _check_part(store: ImageStore, part: _Part) -> None:
    locators = json.loads(part.wanted.read_text(encoding="utf-8"))
    checks = _run(_check(store, locators, FetchCounter(part.output), part.threads))
    write_rows(part.output, CHECKS, (asdict(checks[locator]) for locator in sorted(checks)))


def _run(work: Coroutine[Any, Any, T]) -> T:
    """`asyncio.run`, also in a notebook, whose thread has an event loop that runs already."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()


async def _check(
    store: ImageStore, locators: Sequence[str], counter: FetchCounter, threads: int
) -> Mapping[str, ImageCheck]:
    """Examines images that are on disk, and fetches and examines the others.

    Images are examined in threads while others are received: most of it is native code that lets other threads run.
    """
    source = store.source
    if isinstance(source, ReportsFetches):
        source = source.reporting_to(counter.update_retries)
    checks = {locator: check for locator in locators if (check := _on_disk(store, locator))}
    for _ in checks:
        counter.add(0)
    waiting: set[asyncio.Task[ImageCheck]] = set()
    async for locator, image in source.images([name for name in locators if name not in checks]):
        counter.add(0 if isinstance(image, Drop) else len(image))
        if len(waiting) == threads:
            ended, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            checks |= {task.result().locator: task.result() for task in ended}
        waiting.add(asyncio.create_task(asyncio.to_thread(_kept, store, locator, image)))
    checks |= {check.locator: check for check in await asyncio.gather(*waiting)}
    counter.close()
    return checks


def _on_disk(store: ImageStore, locator: str) -> ImageCheck | None:
    """The check of an image that a killed run left whole; None if there is none, or if it is unsound."""
    try:
        check = _examined(locator, store.path(locator).read_bytes())
    except FileNotFoundError:
        return None
    return check if check.reason is None else None


def _kept(store: ImageStore, locator: str, image: bytes | Drop) -> ImageCheck:
    if isinstance(image, Drop):
        return ImageCheck(locator, reason=image.reason.value, detail=image.detail)
    path = store.path(locator)
    path.parent.mkdir(exist_ok=True)
    with atomic_path(path) as temporary:
        temporary.write_bytes(image)
    return _examined(locator, image)


def _examined(locator: str, data: bytes) -> ImageCheck:
    digest = digest_of(data)
    try:
        sound = inspect_image(data)
    except Drop as drop:
        return ImageCheck(locator, drop.reason.value, drop.detail, digest, len(data))
    panels = count_panels(sound.image)
    return ImageCheck(locator, None, "", digest, len(data), sound.width, sound.height, panels)


def digest_of(data: bytes | memoryview) -> str:
    """128 bits that tell two files apart: fast enough to check every image again when it is written."""
    return xxhash.xxh3_128_hexdigest(data)


def _suffix(name: str) -> str:
    suffix = os.path.splitext(name)[1].lower()  # noqa: PTH122  (a locator is no path)
    return suffix if suffix[1:].isalnum() and len(suffix) <= 5 else ""
