"""The PMC bucket: one prefix `PMC<id>.<version>/` an article version, metadata in JSON, a daily inventory.

The same code reads NLM's own bucket, mirrors of it, and folders in its layout, the bundled sample among them.
"""

import asyncio
import copy
import hashlib
import os
import re
import sys
import threading
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TypeVar

from llavamed_data.console.progress import FetchCounts
from llavamed_data.errors import UsageError
from llavamed_data.io.patience import say_if_slow
from llavamed_data.reasons import Drop, Reason
from llavamed_data.sources.article import SourceArticle
from llavamed_data.sources.fetch import Fetcher, FetchPolicy, FetchProblem, FetchRequest
from llavamed_data.sources.inventory import (
    Inventory,
    UnusableInventoryError,
    current_versions,
    current_versions_with_etags,
    digest_of_objects,
    newest_inventory,
)
from llavamed_data.sources.locations import PMC_CLOUD, BucketLocation
from llavamed_data.sources.metadata import ArticleMetadata, image_request, known_licenses

MAX_METADATA_BYTES = 4 * 2**20

_MOST_VERSIONS = 50
"""So many versions of an article are looked for at most: a false number must not cause thousands of requests."""

_SAME_TIME = 1.0
"""Seconds within which a copy of a bucket writes the two copies of an article's metadata."""

_ARTICLE_DROPS = {
    FetchProblem.MISSING: Reason.NO_XML,
    FetchProblem.TOO_LARGE: Reason.XML_TOO_LARGE,
    FetchProblem.CHECKSUM: Reason.XML_CHECKSUM,
    FetchProblem.UNREACHABLE: Reason.ARTICLE_UNREACHABLE,
    FetchProblem.NOT_A_FILE: Reason.NO_XML,
}
_IMAGE_DROPS = {
    FetchProblem.MISSING: Reason.IMAGE_MISSING,
    FetchProblem.TOO_LARGE: Reason.IMAGE_TOO_LARGE,
    FetchProblem.CHECKSUM: Reason.IMAGE_CHECKSUM,
    FetchProblem.UNREACHABLE: Reason.IMAGE_UNREACHABLE,
    FetchProblem.NOT_A_FILE: Reason.IMAGE_UNREADABLE,
}

T = TypeVar("T")


class Bucket:
    """A bucket in the layout of `pmc-oa-opendata`.

    Args:
        location: folder, `s3://bucket/prefix`, or `https://` address of an S3-compatible bucket or of a plain mirror.
        name: how provenance names it; by default `pmc-cloud` for NLM's bucket and `pmc-mirror` for any other.
        licenses: names of `LICENSES`, in either case, one of which an article must be under; any if empty or None.
        historical_ocr: also read articles whose text OCR has read from scans of old journals.
        policy: how hard to try, and how much at once.
        on_counts: called after every object; must be picklable if the bucket is sent to worker processes.

    Raises:
        UsageError: there is no such folder, it has another layout, the address or a licence is wrong.
    """

    def __init__(
        self,
        location: str | os.PathLike[str],
        *,
        name: str | None = None,
        licenses: Iterable[str] | None = None,
        historical_ocr: bool = False,
        policy: FetchPolicy | None = None,
        on_counts: Callable[[FetchCounts], None] | None = None,
    ) -> None:
        self.location = BucketLocation.of(location)
        self.name = name or ("pmc-cloud" if self.location.given.rstrip("/") == PMC_CLOUD else "pmc-mirror")
        self.licenses = known_licenses(licenses or ())
        self.historical_ocr = historical_ocr
        self.policy = policy or FetchPolicy()
        self.on_counts = on_counts
        self._problem: UnusableInventoryError | None = None
        if self.location.folder is not None:
            _require_bucket_layout(self.location, self.location.folder)
            self.policy = replace(self.policy, attempts=1)  # a disk that fails does so again

    def reporting_to(self, on_counts: Callable[[FetchCounts], None]) -> "Bucket":
        """Returns the same bucket, which calls `on_counts`."""
        same = copy.copy(self)
        same.on_counts = on_counts
        return same

    @property
    def identity(self) -> str:
        """Differs between any two buckets and any two choices of what is read of one."""
        return f"{self.name} {self.location.identity} {self._choice}"

    @property
    def _choice(self) -> str:
        """Which articles are read: by licence, and whether historical ones."""
        return f"{sorted(self.licenses)}{' historical OCR' if self.historical_ocr else ''}"

    @property
    def date(self) -> str | None:
        """ISO date of the newest inventory."""
        return self.inventory.date if self.inventory else None

    @cached_property
    def inventory(self) -> Inventory | None:
        """The newest inventory that can be used, looked up once."""
        return self._find_inventory()

    def _find_inventory(self, *, before: Inventory | None = None) -> Inventory | None:
        try:
            with say_if_slow(f"the inventory of {self.location.given}"):
                return newest_inventory(self.location, before=before)
        except UnusableInventoryError as error:
            self._problem = self._problem or error
            return None

    def _listed(self, versions: Callable[[BucketLocation, Inventory | None], Iterator[T]]) -> Iterator[T]:
        """What `versions` yields: from the newest inventory that is whole, and if there is none, from a listing."""
        while True:
            try:
                yield from versions(self.location, self.inventory)
            except UnusableInventoryError as error:
                self._problem = self._problem or error
                self.inventory = self._find_inventory(before=self.inventory)
            except UsageError as error:
                raise self._problem or error from error
            else:
                return

    def fingerprint(self) -> str:
        """Hex digest of the choice and the inventory; of a folder, or without an inventory, of all objects."""
        return hashlib.sha256(f"{self._choice} {self._content_digest}".encode()).hexdigest()

    @cached_property
    def _content_digest(self) -> str:
        """Computed once: steps of one run compare it, and listing 100,000 article folders takes seconds."""
        if self.location.folder is None and self.inventory:
            return self.inventory.digest
        return digest_of_objects(self.location)  # files of a folder change without their inventory

    def images_version(self) -> str:
        """Constant: a locator carries the checksum of its bytes, or that of the metadata that name it."""
        return "bucket"

    def handles(self) -> Iterator[str]:
        """Yields the highest version of each article, by number.

        Raises:
            UsageError: the bucket cannot be reached or listed, or holds no article.
        """
        empty = True
        for handle in self._listed(current_versions):
            empty = False
            yield handle
        if empty:
            raise UsageError(
                f"{self.location.given} holds no article: it needs PMC….N/ and metadata/ as PMC has them"
            )

    def etags(self) -> Iterator[tuple[str, str]]:
        """Yields the `handles` in order, each with 32 hex digits that change when anything of the article does."""
        return self._listed(current_versions_with_etags)

    def read(self, handles: Sequence[str]) -> Iterator[SourceArticle | tuple[str, Drop]]:
        """Yields the articles of `handles` in that order, fetching as many at once as `policy` allows."""
        return _iterate_in_thread(self._in_turn(handles, self._article))

    def describe(self, handles: Sequence[str]) -> Iterator[list[SourceArticle] | tuple[str, Drop]]:
        """Yields all versions of each article that may be used, the current one first, without their XML."""
        return _iterate_in_thread(self._in_turn(handles, self._described))

    async def images(self, locators: Sequence[str]) -> AsyncIterator[tuple[str, bytes | Drop]]:
        """Yields the bytes of each locator, their checksum verified, as they arrive."""
        async for result in self._fetcher().get_all(map(image_request, dict.fromkeys(locators))):
            problem = result.problem
            yield result.request.label, Drop(_IMAGE_DROPS[problem], result.detail) if problem else result.data

    def _fetcher(self) -> Fetcher:
        return Fetcher(
            self.location.store(),
            policy=self.policy,
            address=self.location.url() or None,
            folder=self.location.folder,
            on_counts=self.on_counts,
        )

    async def _in_turn(
        self, handles: Sequence[str], read: Callable[[Fetcher, int, str], Awaitable[T]]
    ) -> AsyncGenerator[T | tuple[str, Drop], None]:
        """Yields for each of `handles`, in order, what `read` returns for the fetcher, its turn and it, or its drop."""
        fetcher = self._fetcher()
        ahead: deque[asyncio.Task[T | tuple[str, Drop]]] = deque()
        left = enumerate(handles)

        async def result(turn: int, handle: str) -> T | tuple[str, Drop]:
            try:
                return await read(fetcher, turn, handle)
            except Drop as drop:
                return handle, drop

        try:
            for turn in range(len(handles)):
                while len(ahead) < self.policy.concurrency and (following := next(left, None)):
                    ahead.append(asyncio.create_task(result(*following)))
                got = await ahead.popleft()
                size = len(got.xml) if isinstance(got, SourceArticle) else 0
                await fetcher.release(size, next_turn=turn + 1)
                yield got
        finally:
            for task in ahead:
                task.cancel()
            await asyncio.gather(*ahead, return_exceptions=True)

    async def _article(self, fetcher: Fetcher, turn: int, handle: str) -> SourceArticle:
        """The current version of an article; only where the highest may not be it are the others looked at."""
        current = await self._metadata(fetcher, turn, handle)
        if not current.retracted and (current.manuscript or not current.offers_media):
            current = _current_first(current, await self._older(fetcher, turn, handle))[0]
        current.require_usable(self.licenses, historical=self.historical_ocr)
        xml = await fetcher.get(current.xml, turn=turn)
        if xml.problem:
            raise Drop(_ARTICLE_DROPS[xml.problem], xml.detail)
        return _source_article(current, xml.data)

    async def _described(self, fetcher: Fetcher, turn: int, handle: str) -> list[SourceArticle]:
        """All versions of an article that may be used."""
        versions = [await self._metadata(fetcher, turn, handle)]
        if not versions[0].retracted:
            versions = _current_first(versions[0], await self._older(fetcher, turn, handle))
        usable, drops = list[SourceArticle](), list[Drop]()
        for version in versions:
            try:
                version.require_usable(self.licenses, historical=self.historical_ocr)
                usable.append(_source_article(version))
            except Drop as drop:
                drops.append(drop)
        if not usable:
            raise drops[0]
        return usable

    async def _older(self, fetcher: Fetcher, turn: int, handle: str) -> list[ArticleMetadata]:
        """The metadata of the versions below `handle` that the bucket has."""
        article, _, number = handle.partition(".")
        found = []
        for version in range(int(number) - 1, max(0, int(number) - _MOST_VERSIONS), -1):
            try:
                found.append(await self._metadata(fetcher, turn, f"{article}.{version}"))
            except Drop as drop:
                if drop.reason is Reason.ARTICLE_UNREACHABLE:
                    raise
        return found

    async def _metadata(self, fetcher: Fetcher, turn: int, handle: str) -> ArticleMetadata:
        for key in self._metadata_keys(handle):
            result = await fetcher.get(FetchRequest(key, max_bytes=MAX_METADATA_BYTES), turn=turn)
            await fetcher.release(len(result.data))
            if result.problem not in (FetchProblem.MISSING, FetchProblem.NOT_A_FILE):
                break
        if result.problem is FetchProblem.UNREACHABLE:
            raise Drop(Reason.ARTICLE_UNREACHABLE, result.detail)
        if result.problem:
            raise Drop(Reason.METADATA_UNREADABLE, result.detail or result.problem.value)
        return ArticleMetadata.parse(handle, result.data)

    def _metadata_keys(self, handle: str) -> list[str]:
        """The two places of an article's metadata; in a folder, the one that was clearly changed later comes first."""
        beside, apart = f"{handle}/{handle}.json", f"metadata/{handle}.json"
        folder = self.location.folder
        if folder and _time_of_change(folder / apart) > _time_of_change(folder / beside) + _SAME_TIME:
            return [apart, beside]
        return [beside, apart]


def _current_first(highest: ArticleMetadata, older: Iterable[ArticleMetadata]) -> list[ArticleMetadata]:
    """The versions of an article from which images may be had, the current one first; the highest if there are none.

    PMC counts an author manuscript and the published article as versions of one PMCID: the published one is current,
    whatever its number.
    """
    versions = [version for version in (highest, *older) if version.offers_media and not version.retracted]
    return sorted(versions, key=lambda version: version.manuscript) or [highest]


def _source_article(version: ArticleMetadata, xml: bytes = b"") -> SourceArticle:
    return SourceArticle(version.handle, xml, version.media, version.pmcid, version.pmid, version.license)


def _time_of_change(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0


def has_bucket_layout(folder: Path) -> bool:
    """Whether a folder is laid out as the PMC bucket is.

    Raises:
        OSError: it cannot be read.
    """
    return any(
        re.fullmatch(r"PMC\d+\.\d+|metadata|inventory-reports", entry.name) and entry.is_dir()
        for entry in folder.iterdir()
    )


def _require_bucket_layout(location: BucketLocation, folder: Path) -> None:
    try:
        if has_bucket_layout(folder):
            return
        names = sorted(entry.name for entry in folder.iterdir())
    except OSError as error:
        raise UsageError(f"{location.given} cannot be read: {error.strerror}") from error
    for kind, suffixes in (("packages", (".tar.gz", ".tgz")), ("jats", (".xml", ".nxml"))):
        if any(name.lower().endswith(suffixes) for name in names):
            raise UsageError(f"{location.given} holds {suffixes[0]} files: use {kind}:{location.given}")
    raise UsageError(
        f"{location.given} holds no article in the layout of the PMC bucket (PMC….N/): check the path, or use "
        f"packages:{location.given} for old archives and jats:{location.given} for bare XML"
    )


def _iterate_in_thread(items: AsyncGenerator[T, None]) -> Iterator[T]:
    """Yields the items of an asynchronous generator, whose event loop runs in a thread while the caller works."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="bucket-reader", daemon=True)
    thread.start()
    end = object()

    async def step() -> T | object:
        return await anext(items, end)

    async def close() -> None:
        # an interrupt may have left a step running, which must end before the generator can
        running = asyncio.all_tasks() - {asyncio.current_task()}
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await items.aclose()

    try:
        while True:
            item = asyncio.run_coroutine_threadsafe(step(), loop).result()
            if item is end:
                return
            yield item  # type: ignore[misc]  # it is not `end`, so it is a T
    finally:
        if not sys.is_finalizing():  # the thread has ended then, and waiting for it would never end
            asyncio.run_coroutine_threadsafe(close(), loop).result()
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()
