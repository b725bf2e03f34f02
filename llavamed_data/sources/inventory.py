"""Which articles a bucket holds: from its newest S3 inventory that can be used, or by listing it.

A folder is always listed, too: a copy of a part of a bucket may hold other articles than the inventory beside it.

An inventory is a `manifest.json` that names gzipped CSV parts (Amazon S3 User Guide, "Amazon S3 Inventory"): for PMC
one line for each `metadata/PMC….json`, about 8 million. They are read as a stream; 8 bytes a version are kept, 24
with ETags.
"""

import csv
import gzip
import hashlib
import itertools
import json
import os
import re
import time
import urllib.error
import urllib.request
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_plus

import numpy as np
import obstore
from obstore.exceptions import BaseError, PermissionDeniedError

from llavamed_data.errors import LlavaMedError, UsageError
from llavamed_data.io.regular_files import NotAFileError, require_file
from llavamed_data.sources.folders import digest_of_files, files_below
from llavamed_data.sources.locations import CHUNK_BYTES, BucketLocation, file_of_chunks, first_line

if TYPE_CHECKING:
    from obstore import ObjectMeta

REPORTS = "inventory-reports/pmc-oa-opendata/metadata"
_DATED_FOLDER = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}-\d{2}Z")
_HANDLE = r"PMC(?P<article>[1-9]\d{0,12})\.(?P<version>0|[1-9]\d{0,3})"
_METADATA_KEY = re.compile(rf"(?:metadata/|(?P<folder>PMC[\d.]+)/(?=(?P=folder)\.json)){_HANDLE}\.json")
_ARTICLE_KEY = re.compile(rf"{_HANDLE}/")
_OWN_KEY = re.compile(r"(PMC\d+\.\d+|metadata|inventory-reports)(/|$)")
"""How the keys of a bucket's own objects begin; a folder may also hold other things, such as a work folder."""

_VERSION_BITS = 16
_BATCH = 10_000
_INDEX_PAGE_BYTES = 2**20
_MAX_BROKEN_LISTINGS = 5
_FIRST_CONTACT_SECONDS = 20
_OUTAGE_SECONDS = 900
_NO_LISTING = re.compile(r"InvalidListResponse|non-2xx status code: 4\d\d")
"""How obstore reports that a server answers, but not as S3 does."""


class UnusableInventoryError(UsageError):
    """An inventory is of another form, incomplete or damaged; an older one, or listing, may serve in its place."""


@dataclass(frozen=True, slots=True)
class Inventory:
    """One dated inventory.

    Attributes:
        folder: its name, which begins with its ISO date.
        digest: hex digest of its manifest, which holds the checksums of its parts.
        parts: key and MD5 of each part.
        columns: of its CSV parts.
    """

    folder: str
    digest: str
    parts: tuple[tuple[str, str | None], ...]
    columns: tuple[str, ...]

    @classmethod
    def of(cls, folder: str, manifest: bytes) -> "Inventory":
        """The inventory with this manifest.

        Raises:
            ValueError, KeyError, TypeError, AttributeError: it is of no use.
        """
        content = json.loads(manifest)
        if str(content["fileFormat"]).upper() != "CSV":
            raise ValueError(f"its parts are {content['fileFormat']}, not CSV")
        columns = tuple(name.strip() for name in content["fileSchema"].split(","))
        parts = tuple((str(part["key"]), part.get("MD5checksum")) for part in content["files"])
        if not parts or not {"Key", "ETag"} <= set(columns):
            raise ValueError("its parts lack Key or ETag" if parts else "it names no parts")
        return cls(folder, hashlib.sha256(manifest).hexdigest(), parts, columns)

    @property
    def date(self) -> str:
        """Its ISO date."""
        return self.folder[:10]

    def rows(self, location: BucketLocation) -> Iterator[tuple[str, str]]:
        """Yields the key and ETag of every object, as a stream; versions that have been replaced are left out.

        Raises:
            UnusableInventoryError: a part is missing or damaged.
            LlavaMedError: the bucket cannot be reached.
        """
        key_at, etag_at = self.columns.index("Key"), self.columns.index("ETag")
        replaced = [
            (self.columns.index(name), value)
            for name, value in (("IsLatest", "false"), ("IsDeleteMarker", "true"))
            if name in self.columns
        ]
        store = location.store(retry_seconds=_OUTAGE_SECONDS)
        for part, md5 in self.parts:
            digest = hashlib.md5(usedforsecurity=False)
            try:
                if location.folder is not None:
                    require_file(location.folder / part)
                chunks = _passed_to(
                    digest.update, obstore.get(store, part).stream(min_chunk_size=CHUNK_BYTES)
                )
                with gzip.open(file_of_chunks(chunks), "rt", encoding="utf-8", newline="") as lines:
                    for row in filter(None, csv.reader(lines)):
                        if not any(row[at].lower() == value for at, value in replaced):
                            yield unquote_plus(row[key_at]), row[etag_at]
                if md5 and digest.hexdigest() != str(md5).lower():
                    raise ValueError("its checksum differs")
            except (*_DAMAGED, BaseError, OSError) as error:
                kind = UnusableInventoryError if isinstance(error, _DAMAGED) else LlavaMedError
                raise kind(
                    f"part {part} of the inventory of {location.given} cannot be read ({first_line(error)}): "
                    "rerun the same command later"
                ) from error


_DAMAGED = (
    FileNotFoundError, NotAFileError, PermissionDeniedError, gzip.BadGzipFile, EOFError, zlib.error, ValueError,
    IndexError, csv.Error,
)  # fmt: skip
"""What reading a part of an inventory raises that is missing or damaged."""


def newest_inventory(location: BucketLocation, *, before: Inventory | None = None) -> Inventory | None:
    """The newest inventory of a bucket whose manifest can be used, or None if it has no inventory at all.

    Args:
        location: the bucket.
        before: only inventories that are older than this one count.

    Raises:
        UnusableInventoryError: it has inventories, and none can be used; the message tells of the newest.
        UsageError: the bucket cannot be reached.
    """
    store = location.store(retry_seconds=_OUTAGE_SECONDS)
    problem: UnusableInventoryError | None = None
    for dated in sorted(_dated_folders(location), reverse=True):
        if before and dated >= before.folder:
            continue
        key = f"{REPORTS}/{dated}/manifest.json"
        try:
            if location.folder is not None:
                require_file(location.folder / key)
            manifest = bytes(obstore.get(store, key).bytes())
        except (FileNotFoundError, NotAFileError, PermissionDeniedError):
            continue  # the newest one's folder may be there before its manifest
        except (BaseError, OSError) as error:
            raise _unreachable(location, error) from error
        try:
            return Inventory.of(dated, manifest)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            text = f"the inventory {dated} of {location.given} cannot be read: {error}"
            problem = problem or UnusableInventoryError(text)
    if problem:
        raise problem
    return None


def current_versions(location: BucketLocation, inventory: Inventory | None) -> Iterator[str]:
    """Yields the highest version of each article, `PMC9000013.2`, by number.

    Raises:
        UnusableInventoryError: the inventory is damaged; nothing has been yielded then.
        UsageError: the bucket has no inventory and cannot be listed.
    """
    codes = np.fromiter((code for code, _ in _coded(location, inventory)), dtype=np.uint64)
    codes.sort()
    codes = codes[_is_highest(codes)]
    for start in range(0, len(codes), _BATCH):
        yield from map(_handle, codes[start : start + _BATCH].tolist())


def current_versions_with_etags(
    location: BucketLocation, inventory: Inventory | None
) -> Iterator[tuple[str, str]]:
    """As `current_versions`, each with 32 hex digits that change when anything of any version of the article does.

    They are the ETag of the metadata JSON, from which follows the rest, or the MD5 of that ETag if it has another form;
    the MD5 of all ETags if there are several versions; and for a folder, where files may be edited one by one, the MD5
    of the states of all files.
    """
    kind = np.dtype([("code", np.uint64), ("high", np.uint64), ("low", np.uint64)])
    rows = (
        (code, int.from_bytes(etag[:8]), int.from_bytes(etag[8:]))
        for code, etag in _coded(location, inventory)
    )
    table = np.fromiter(rows, dtype=kind)
    table = table[np.lexsort((table["low"], table["high"], table["code"]))]
    table = table[np.append(table[1:] != table[:-1], True)[: len(table)]]
    ends = np.flatnonzero(_is_highest(table["code"])) + 1
    for batch in range(0, len(ends), _BATCH):
        stops = ends[batch : batch + _BATCH].tolist()
        starts = [int(ends[batch - 1]) if batch else 0, *stops[:-1]]
        for start, stop in zip(starts, stops, strict=True):
            code, high, low = table[stop - 1].tolist()
            several = hashlib.md5(table[start:stop].tobytes(), usedforsecurity=False)
            yield _handle(code), f"{high:016x}{low:016x}" if stop - start == 1 else several.hexdigest()


def _coded(location: BucketLocation, inventory: Inventory | None) -> Iterator[tuple[int, bytes]]:
    """Article versions as one number, the PMCID above the version, each with 16 bytes that change when it does.

    A version comes once for every ETag that tells of it; with zeros if only its folder does.
    """
    if inventory:
        empty = True
        for key, etag in inventory.rows(location):
            if found := _METADATA_KEY.fullmatch(key):
                empty = False
                yield _code(found), _etag_bytes(etag)
        if empty:
            raise UnusableInventoryError(
                f"the inventory {inventory.folder} of {location.given} names no article"
            )
    if location.folder is not None:
        yield from _in_folder(location.folder)
    elif not inventory:
        yield from _listed(location)


def _in_folder(folder: Path) -> Iterator[tuple[int, bytes]]:
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if (found := _ARTICLE_KEY.fullmatch(f"{entry.name}/")) and entry.is_dir():
                    yield _code(found), bytes(16)
        for path, entry in files_below(folder, enter=_is_own, follow_links=True, also_no_files=True):
            if found := _METADATA_KEY.fullmatch(path) or _ARTICLE_KEY.match(path):
                yield _code(found), bytes.fromhex(digest_of_files([(path, entry)]))[:16]
    except OSError as error:
        raise UsageError(f"{error.filename} cannot be read: {error.strerror}") from error


def _listed(location: BucketLocation) -> Iterator[tuple[int, bytes]]:
    """The versions of a bucket without an inventory, from the keys of all its objects."""
    stated = last = -1
    for entry in list_objects(location):
        if found := _METADATA_KEY.fullmatch(entry["path"]):
            stated = _code(found)
            yield stated, _etag_bytes(entry["e_tag"] or "")
        elif (found := _ARTICLE_KEY.match(entry["path"])) and _code(found) not in (stated, last):
            last = _code(found)
            yield last, bytes(16)


def _is_highest(codes: Any) -> Any:
    """Of sorted codes, which are the last of their article."""
    articles = codes >> np.uint64(_VERSION_BITS)
    return np.append(articles[1:] != articles[:-1], True)[: len(codes)]


def _code(handle: re.Match[str]) -> int:
    return int(handle["article"]) << _VERSION_BITS | int(handle["version"])


def _handle(code: int) -> str:
    return f"PMC{code >> _VERSION_BITS}.{code & (1 << _VERSION_BITS) - 1}"


def _etag_bytes(etag: str) -> bytes:
    plain = etag.strip('"')
    if re.fullmatch(r"[0-9a-f]{32}", plain):
        return bytes.fromhex(plain)
    return hashlib.md5(etag.encode(), usedforsecurity=False).digest()


def digest_of_objects(location: BucketLocation) -> str:
    """Hex digest that changes when any of the bucket's own objects does; their contents are not read.

    Raises:
        UsageError: the bucket cannot be listed.
    """
    if location.folder is not None:
        files = files_below(location.folder, enter=_is_own, follow_links=True)
        try:
            return digest_of_files((path, entry) for path, entry in files if _is_own(path))
        except OSError as error:
            raise UsageError(f"{error.filename} cannot be read: {error.strerror}") from error
    total = 0
    for entry in list_objects(location):
        if _OWN_KEY.match(entry["path"]):
            state = f"{entry['path']} {entry['size']} {entry['e_tag']} {entry['last_modified']}"
            total += int.from_bytes(hashlib.sha256(state.encode()).digest())
    return f"{total % 2**256:064x}"


def _is_own(path: str) -> bool:
    """Whether a file or folder of a bucket belongs to it."""
    return _OWN_KEY.match(path) is not None


def list_objects(location: BucketLocation, prefix: str | None = None) -> Iterator["ObjectMeta"]:
    """Yields obstore's metadata of every object below `prefix`, as a stream; of a folder in any order.

    Raises:
        UsageError: the bucket cannot be listed.
    """
    store = location.store(retry_seconds=_OUTAGE_SECONDS)
    last: str | None = None
    broken = 0
    while True:
        try:
            for batch in obstore.list(store, prefix, offset=last, chunk_size=1_000):
                yield from batch
                last, broken = batch[-1]["path"], 0
            return
        except (BaseError, OSError) as error:
            broken += 1
            if _NO_LISTING.search(str(error)):
                raise UsageError(
                    f"{location.given} has no inventory and cannot be listed: use an S3 address, or copy its "
                    f"{REPORTS} too"
                ) from error
            _pause_or_give_up(location, error, broken)


def _pause_or_give_up(location: BucketLocation, error: Exception, broken: int) -> None:
    """obstore itself repeats a request without a response, but not a listing that breaks off in the middle."""
    if broken > _MAX_BROKEN_LISTINGS or "ListResponseBody" not in str(error):
        raise _unreachable(location, error) from error
    time.sleep(broken)


def _dated_folders(location: BucketLocation) -> set[str]:
    store = location.store(retry_seconds=_FIRST_CONTACT_SECONDS)
    for broken in itertools.count(1):
        try:
            prefixes = obstore.list_with_delimiter(store, REPORTS)["common_prefixes"]
            return {name for prefix in prefixes if _DATED_FOLDER.fullmatch(name := prefix.rpartition("/")[2])}
        except (BaseError, OSError) as error:
            if _NO_LISTING.search(str(error)):
                break
            _pause_or_give_up(location, error, broken)
    # a plain web server cannot list in S3's way, but may show an index page with links
    try:
        with urllib.request.urlopen(location.url(REPORTS) + "/", timeout=60) as page:  # noqa: S310  (http or https)
            return set(_DATED_FOLDER.findall(page.read(_INDEX_PAGE_BYTES).decode("utf-8", "replace")))
    except OSError as error:
        if isinstance(error, urllib.error.HTTPError) and error.code < 500:
            return set()
        raise _unreachable(location, error) from error


def _unreachable(location: BucketLocation, error: Exception) -> UsageError:
    return UsageError(
        f"{location.given} cannot be reached ({first_line(error)}): check the address and the network"
    )


def _passed_to(take: Callable[[bytes], None], chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yields the chunks; each is given to `take` first."""
    for chunk in chunks:
        take(chunk)
        yield chunk
