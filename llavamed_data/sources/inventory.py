"""Which articles a bucket holds: from its newest S3 inventory, or by listing it.

An inventory is a `manifest.json` that names gzipped CSV parts (Amazon S3 User Guide, "Amazon S3 Inventory"): for PMC
one line for each `metadata/PMC….json`, about 8 million. They are read as a stream; 8 bytes an article are kept, 24
with ETags.
"""

import csv
import gzip
import hashlib
import itertools
import json
import re
import time
import urllib.error
import urllib.request
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_plus

import numpy as np
import obstore
from obstore.exceptions import BaseError

from llavamed_data.errors import LlavaMedError, UsageError
from llavamed_data.sources.folders import digest_of_files, files_below
from llavamed_data.sources.locations import CHUNK_BYTES, BucketLocation, file_of_chunks, first_line

if TYPE_CHECKING:
    from obstore import ObjectMeta

REPORTS = "inventory-reports/pmc-oa-opendata/metadata"
_DATED_FOLDER = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}-\d{2}Z")
_METADATA_KEY = re.compile(r"(?:metadata/|(PMC\d+\.\d+)/(?=\1\.json))PMC(\d+)\.(\d+)\.json")
_OWN_KEY = re.compile(r"PMC|(metadata|inventory-reports)(/|$)")
"""How the keys of a bucket's own objects begin; a folder may also hold other things, such as a work folder."""

_VERSION_BITS = 16
_BATCH = 10_000
_INDEX_PAGE_BYTES = 2**20
_MAX_BROKEN_LISTINGS = 5
_FIRST_CONTACT_SECONDS = 20
_OUTAGE_SECONDS = 900
_NO_LISTING = re.compile(r"InvalidListResponse|non-2xx status code: 4\d\d")
"""How obstore reports that a server answers, but not as S3 does."""


@dataclass(frozen=True, slots=True)
class Inventory:
    """One dated inventory.

    Attributes:
        date: ISO date of it.
        digest: hex digest of its manifest, which holds the checksums of its parts.
        parts: key and MD5 of each part.
        columns: of its CSV parts.
    """

    date: str
    digest: str
    parts: tuple[tuple[str, str | None], ...]
    columns: tuple[str, ...]

    def rows(self, location: BucketLocation) -> Iterator[tuple[str, str]]:
        """Yields the key and ETag of every line, as a stream.

        Raises:
            LlavaMedError: a part is missing or damaged.
        """
        key_at, etag_at = self.columns.index("Key"), self.columns.index("ETag")
        store = location.store(retry_seconds=_OUTAGE_SECONDS)
        for part, md5 in self.parts:
            digest = hashlib.md5(usedforsecurity=False)
            try:
                chunks = _passed_to(
                    digest.update, obstore.get(store, part).stream(min_chunk_size=CHUNK_BYTES)
                )
                with gzip.open(file_of_chunks(chunks), "rt", encoding="utf-8", newline="") as lines:
                    for row in csv.reader(lines):
                        yield unquote_plus(row[key_at]), row[etag_at]
                if md5 and digest.hexdigest() != md5:
                    raise ValueError("its checksum differs")
            except (BaseError, OSError, EOFError, zlib.error, ValueError, IndexError, csv.Error) as error:
                raise LlavaMedError(
                    f"part {part} of the inventory of {location.given} cannot be read ({first_line(error)}): "
                    "rerun the same command later"
                ) from error


def newest_inventory(location: BucketLocation) -> Inventory | None:
    """The newest complete inventory of a bucket, or None if it has none.

    Raises:
        UsageError: the bucket cannot be reached, or its newest inventory cannot be read.
    """
    store = location.store(retry_seconds=_OUTAGE_SECONDS)
    for dated in sorted(_dated_folders(location), reverse=True):
        try:
            manifest = bytes(obstore.get(store, f"{REPORTS}/{dated}/manifest.json").bytes())
        except FileNotFoundError:  # the newest one's folder may be there before its manifest
            continue
        except (BaseError, OSError) as error:
            raise _unreachable(location, error) from error
        try:
            content = json.loads(manifest)
            if content["fileFormat"] != "CSV":
                raise ValueError(f"its parts are {content['fileFormat']}, not CSV")
            columns = tuple(name.strip() for name in content["fileSchema"].split(","))
            parts = tuple((part["key"], part.get("MD5checksum")) for part in content["files"])
            if not {"Key", "ETag"} <= set(columns):
                raise ValueError("its parts lack Key or ETag")
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UsageError(f"the inventory {dated} of {location.given} cannot be read: {error}") from error
        return Inventory(dated[:10], hashlib.sha256(manifest).hexdigest(), parts, columns)
    return None


def current_versions(location: BucketLocation, inventory: Inventory | None) -> Iterator[str]:
    """Yields the highest version of each article, `PMC9000013.2`, by number.

    Raises:
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
    """As `current_versions`, each with 32 hex digits that change when its metadata do.

    They are the ETag of the metadata JSON, or the MD5 of that ETag if it has another form.
    """
    kind = np.dtype([("code", np.uint64), ("etag", "V16")])
    rows = ((code, _etag_bytes(etag)) for code, etag in _coded(location, inventory))
    table = np.fromiter(rows, dtype=kind)
    order = np.argsort(table["code"], kind="stable")
    order = order[_is_highest(table["code"][order])]
    for start in range(0, len(order), _BATCH):
        part = table[order[start : start + _BATCH]]
        for code, etag in zip(part["code"].tolist(), part["etag"].tolist(), strict=True):
            yield _handle(code), etag.hex()


def _coded(location: BucketLocation, inventory: Inventory | None) -> Iterator[tuple[int, str]]:
    """Every article version as one number, the PMCID above the version, and the ETag of its metadata."""
    for key, etag in inventory.rows(location) if inventory else _listed(location):
        if found := _METADATA_KEY.fullmatch(key):
            yield int(found.group(2)) << _VERSION_BITS | int(found.group(3)), etag


def _listed(location: BucketLocation) -> Iterator[tuple[str, str]]:
    empty = True
    for entry in list_objects(location, "metadata"):
        empty = False
        yield entry["path"], entry["e_tag"] or ""
    if empty:
        for entry in list_objects(location):
            yield entry["path"], entry["e_tag"] or ""


def _is_highest(codes: Any) -> Any:
    """Of sorted codes, which are the last of their article."""
    articles = codes >> np.uint64(_VERSION_BITS)
    return np.append(articles[1:] != articles[:-1], True)[: len(codes)]


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
        files = files_below(location.folder, enter=lambda path: bool(_OWN_KEY.match(path)), follow_links=True)
        try:
            return digest_of_files((path, entry) for path, entry in files if _OWN_KEY.match(path))
        except OSError as error:
            raise UsageError(f"{error.filename} cannot be read: {error.strerror}") from error
    total = 0
    for entry in list_objects(location):
        if _OWN_KEY.match(entry["path"]):
            state = f"{entry['path']} {entry['size']} {entry['e_tag']} {entry['last_modified']}"
            total += int.from_bytes(hashlib.sha256(state.encode()).digest())
    return f"{total % 2**256:064x}"


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
