"""The PMC bucket: one prefix `PMC<id>.<version>/` an article version, metadata in JSON, a daily inventory.

The same code reads NLM's own bucket, mirrors of it, and folders in its layout, the bundled sample among them.
"""

import asyncio
import copy
import hashlib
import json
import os
import re
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from llavamed_data.console.progress import FetchCounts
from llavamed_data.errors import UsageError
from llavamed_data.reasons import Drop, Reason
from llavamed_data.sources.background import in_background
from llavamed_data.sources.base import SourceArticle
from llavamed_data.sources.fetch import Fetched, Fetcher, Manners, Problem, Wanted, fetch
from llavamed_data.sources.inventory import Inventory, newest, objects, versions, versions_with_etags
from llavamed_data.sources.media import is_image_name
from llavamed_data.sources.stores import PMC_CLOUD, Place

LICENSES = ("cc0", "cc-by", "cc-by-sa", "cc-by-nd", "cc-by-nc", "cc-by-nc-sa", "cc-by-nc-nd")
"""Names of the licences under which PMC offers articles for reuse, as `--license` takes them."""

MAX_XML_BYTES = 64 * 2**20
MAX_METADATA_BYTES = 4 * 2**20
TEXT_MINING_ONLY = "tdm"

_ARTICLE_DROPS = {
    Problem.MISSING: Reason.NO_XML,
    Problem.TOO_LARGE: Reason.XML_TOO_LARGE,
    Problem.CHECKSUM: Reason.XML_CHECKSUM,
    Problem.UNREACHABLE: Reason.ARTICLE_UNREACHABLE,
}
_IMAGE_DROPS = {
    Problem.MISSING: Reason.IMAGE_MISSING,
    Problem.TOO_LARGE: Reason.IMAGE_TOO_LARGE,
    Problem.CHECKSUM: Reason.IMAGE_CHECKSUM,
    Problem.UNREACHABLE: Reason.IMAGE_UNREACHABLE,
}


class Bucket:
    """A bucket in the layout of `pmc-oa-opendata`.

    Args:
        place: folder, `s3://bucket/prefix`, or the `https://` address of an S3-compatible bucket or of a plain mirror.
        name: how provenance names it; `pmc-cloud` for NLM's bucket and `pmc-mirror` for any other by default.
        licenses: names of `LICENSES`, in either case, that an article must be under; any where empty or None.
        manners: how hard to try, and how much at once.
        progress: told after every object; must be picklable where the bucket is sent to workers.

    Raises:
        UsageError: there is no such folder, it has another layout, the address or a licence is wrong.
    """

    def __init__(
        self,
        place: str | os.PathLike[str],
        *,
        name: str | None = None,
        licenses: Iterable[str] | None = None,
        manners: Manners | None = None,
        progress: Callable[[FetchCounts], None] | None = None,
    ) -> None:
        self.place = Place.of(place)
        self.name = name or ("pmc-cloud" if self.place.given.rstrip("/") == PMC_CLOUD else "pmc-mirror")
        self.licenses = _known_licenses(licenses or ())
        self.manners = manners or Manners()
        self.progress = progress
        if self.place.folder is not None:
            _refuse_other_layout(self.place, self.place.folder)
            self.manners = replace(self.manners, attempts=1)  # a disk that fails does so again

    def reporting(self, progress: Callable[[FetchCounts], None]) -> "Bucket":
        """The same bucket, which tells `progress`."""
        same = copy.copy(self)
        same.progress = progress
        return same

    @property
    def date(self) -> str | None:
        """ISO date of the newest inventory."""
        return self.inventory.date if self.inventory else None

    @cached_property
    def inventory(self) -> Inventory | None:
        """The newest inventory, looked up once."""
        return newest(self.place)

    def fingerprint(self) -> str:
        """Hex digest of the licences wanted and the inventory; without one, and of a folder, of all objects."""
        dated = self.inventory if self.place.folder is None else None  # files change without their inventory
        held = dated.digest if dated else _sum_of_objects(self.place)
        return hashlib.sha256(f"{sorted(self.licenses)} {held}".encode()).hexdigest()

    def images_version(self) -> str:
        """One for all: a locator carries the checksum of its bytes, or that of the metadata that name it."""
        return "bucket"

    def handles(self) -> Iterator[str]:
        """The highest version of each article, by number.

        Raises:
            UsageError: the bucket cannot be reached or listed, or holds no article.
        """
        empty = True
        for handle in versions(self.place, self.inventory):
            empty = False
            yield handle
        if empty:
            raise UsageError(
                f"{self.place.given} holds no article: it needs PMC….N/ and metadata/ as PMC has them"
            )

    def etags(self) -> Iterator[tuple[str, str]]:
        """`handles`, each with 32 hex digits that change when anything of the article does."""
        return versions_with_etags(self.place, self.inventory)

    def read(self, handles: Sequence[str]) -> Iterator[SourceArticle | tuple[str, Drop]]:
        """The articles of `handles`, in that order, as many at once as `manners` allow."""
        return in_background(self._articles(handles))

    def describe(self, handles: Sequence[str]) -> Iterator[SourceArticle | tuple[str, Drop]]:
        """As `read`, by their metadata alone: no XML is fetched, and `xml` is empty."""
        return in_background(self._articles(handles, with_xml=False))

    async def images(self, locators: Sequence[str]) -> AsyncIterator[tuple[str, bytes | Drop]]:
        """The bytes of each locator, their checksum tested, as they arrive."""
        wanted = map(_wanted_image, dict.fromkeys(locators))
        async for fetched in fetch(
            self.place.store(),
            wanted,
            manners=self.manners,
            address=self.place.url() or None,
            progress=self.progress,
        ):
            problem = fetched.problem
            yield (
                fetched.wanted.label,
                Drop(_IMAGE_DROPS[problem], fetched.detail) if problem else fetched.data,
            )

    async def _articles(
        self, handles: Sequence[str], *, with_xml: bool = True
    ) -> AsyncGenerator[SourceArticle | tuple[str, Drop], None]:
        fetcher = Fetcher(
            self.place.store(),
            manners=self.manners,
            address=self.place.url() or None,
            progress=self.progress,
        )
        ahead: deque[asyncio.Task[SourceArticle | tuple[str, Drop]]] = deque()
        left = enumerate(handles)
        try:
            for turn in range(len(handles)):
                while len(ahead) < self.manners.concurrency and (following := next(left, None)):
                    ahead.append(asyncio.create_task(self._article(fetcher, *following, with_xml)))
                got = await ahead.popleft()
                await fetcher.taken(len(got.xml) if isinstance(got, SourceArticle) else 0, next_turn=turn + 1)
                yield got
        finally:
            for task in ahead:
                task.cancel()
            await asyncio.gather(*ahead, return_exceptions=True)

    async def _article(
        self, fetcher: Fetcher, turn: int, handle: str, with_xml: bool
    ) -> SourceArticle | tuple[str, Drop]:
        try:
            metadata = await self._metadata(fetcher, turn, handle)
            self._refuse_unfit(metadata)
            xml = await fetcher.get(metadata.xml, turn=turn) if with_xml else Fetched(metadata.xml)
            if xml.problem:
                raise Drop(_ARTICLE_DROPS[xml.problem], xml.detail)
        except Drop as drop:
            return handle, drop
        return SourceArticle(
            handle, xml.data, metadata.media, metadata.pmcid, metadata.pmid, metadata.license
        )

    async def _metadata(self, fetcher: Fetcher, turn: int, handle: str) -> "_Metadata":
        fetched = Fetched(Wanted(""), problem=Problem.MISSING)
        for key in (f"{handle}/{handle}.json", f"metadata/{handle}.json"):
            fetched = await fetcher.get(Wanted(key, max_bytes=MAX_METADATA_BYTES), turn=turn)
            await fetcher.taken(len(fetched.data))
            if fetched.problem is not Problem.MISSING:
                break
        if fetched.problem is Problem.UNREACHABLE:
            raise Drop(Reason.ARTICLE_UNREACHABLE, fetched.detail)
        if fetched.problem:
            raise Drop(Reason.METADATA_UNREADABLE, fetched.detail or fetched.problem.value)
        return _Metadata.of(handle, fetched.data)

    def _refuse_unfit(self, metadata: "_Metadata") -> None:
        if metadata.retracted:
            raise Drop(Reason.RETRACTED)
        license_name = _license_name(metadata.license or "")
        if not metadata.open_access or license_name == TEXT_MINING_ONLY:
            raise Drop(Reason.NOT_OPEN_ACCESS, metadata.license or "")
        if self.licenses and license_name not in self.licenses:
            raise Drop(Reason.LICENSE_EXCLUDED, metadata.license or "no licence is stated")


@dataclass(frozen=True, slots=True)
class _Metadata:
    """What is used of an article's metadata JSON."""

    xml: Wanted
    retracted: bool
    open_access: bool
    pmcid: str | None = None
    pmid: str | None = None
    license: str | None = None
    media: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, handle: str, data: bytes) -> "_Metadata":
        try:
            content = json.loads(data)
            retracted, open_access = content["is_retracted"], content["is_pmc_openaccess"]
            if not (isinstance(retracted, bool) and isinstance(open_access, bool)):
                raise TypeError("is_retracted and is_pmc_openaccess must be true or false")
            article = handle.partition(".")[0]
            if _text(content, "pmcid") not in (None, article):
                raise ValueError(f"pmcid is not {article}, of which the file speaks")
            if not (_text(content, "pmid") or "0").isdecimal():
                raise ValueError("pmid is not made of digits")
            xml_key, xml_md5 = _key_and_md5(content.get("xml_url") or "")
            stamp = hashlib.md5(data, usedforsecurity=False).hexdigest()
            return cls(
                xml=Wanted(
                    xml_key if _inside(handle, xml_key) else f"{handle}/{handle}.xml",
                    xml_md5,
                    max_bytes=MAX_XML_BYTES,
                ),
                retracted=retracted,
                open_access=open_access,
                pmcid=article,
                pmid=_text(content, "pmid"),
                license=_text(content, "license_code"),
                media=_media(handle, content.get("media_urls") or [], stamp),
            )
        except KeyError as error:
            raise Drop(Reason.METADATA_UNREADABLE, f"{error.args[0]} is not stated") from error
        except (ValueError, TypeError, AttributeError, RecursionError) as error:
            raise Drop(Reason.METADATA_UNREADABLE, str(error)) from error


def _sum_of_objects(place: Place) -> str:
    """Of the bucket's own objects, added up so that neither their order counts nor a list of them is kept."""
    total = 0
    for entry in objects(place):
        if entry["path"].startswith(("PMC", "metadata/", "inventory-reports/")):
            state = f"{entry['path']} {entry['size']} {entry['e_tag']} {entry['last_modified']}"
            total += int.from_bytes(hashlib.sha256(state.encode()).digest(), "big")
    return f"{total % 2**256:064x}"


def _text(content: Mapping[str, Any], name: str) -> str | None:
    value = content.get(name)
    return str(value) if isinstance(value, str | int) and value != "" else None


def _media(handle: str, urls: Sequence[str], stamp: str) -> dict[str, str]:
    media = {}
    for url in urls:
        key, md5 = _key_and_md5(url)
        if is_image_name(key) and _inside(handle, key):
            media[key.rpartition("/")[2]] = f"{key}?md5={md5}" if md5 else f"{key}?metadata={stamp}"
    return media


def _key_and_md5(url: str) -> tuple[str, str | None]:
    """`s3://bucket/key?md5=hex`; the bucket's name is not looked at, for mirrors keep that of the original."""
    found = re.fullmatch(r"(?:s3://[^/]+/)?(.*?)(?:\?md5=([0-9A-Fa-f]{32}))?", url, re.DOTALL)
    return (found.group(1), found.group(2) and found.group(2).lower()) if found else ("", None)


def _inside(handle: str, key: str) -> bool:
    folder, _, name = key.rpartition("/")
    return folder == handle and bool(name)


def _wanted_image(locator: str) -> Wanted:
    key, _, query = locator.rpartition("?")
    md5 = query.removeprefix("md5=") if query.startswith("md5=") else None
    return Wanted(key if query.startswith(("md5=", "metadata=")) else locator, md5, label=locator)


def _license_name(code: str) -> str:
    """`CC BY-NC 4.0` → `cc-by-nc`."""
    return re.sub(r"-\d+(\.\d+)?$", "", re.sub(r"[\s_-]+", "-", code.strip().lower()))


def _known_licenses(names: Iterable[str]) -> frozenset[str]:
    wanted = frozenset(_license_name(name) for name in names)
    if unknown := sorted(wanted - set(LICENSES)):
        raise UsageError(f"unknown licence {', '.join(unknown)}: choose from {', '.join(LICENSES)}")
    return wanted


def has_bucket_layout(folder: Path) -> bool:
    """Whether a folder is laid out as the PMC bucket is.

    Raises:
        OSError: it cannot be read.
    """
    return any(
        re.fullmatch(r"PMC\d+\.\d+|metadata|inventory-reports", entry.name) and entry.is_dir()
        for entry in folder.iterdir()
    )


def _refuse_other_layout(place: Place, folder: Path) -> None:
    try:
        if has_bucket_layout(folder):
            return
        names = sorted(entry.name for entry in folder.iterdir())
    except OSError as error:
        raise UsageError(f"{place.given} cannot be read: {error.strerror}") from error
    for kind, suffixes in (("packages", (".tar.gz", ".tgz")), ("jats", (".xml", ".nxml"))):
        if any(name.lower().endswith(suffixes) for name in names):
            raise UsageError(f"{place.given} holds {suffixes[0]} files: use {kind}:{place.given}")
    raise UsageError(
        f"{place.given} holds no article in the layout of the PMC bucket (PMC….N/): check the path, or use "
        f"packages:{place.given} for old archives and jats:{place.given} for bare XML"
    )
