"""Which articles a bucket holds: from its newest S3 inventory, or by listing it.

An inventory is a `manifest.json` that names gzipped CSV parts (Amazon S3 User Guide, "Amazon S3 Inventory"): for PMC
one line for each `metadata/PMC….json`, about 8 million. They are read as a stream; 8 bytes an article are kept, 24
where ETags are wanted.
"""

import csv
import gzip
import hashlib
import io
import itertools
import json
import re
import time
import urllib.error
import urllib.request
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_plus

import numpy as np
import obstore
from obstore.exceptions import BaseError

from llavamed_data.errors import LlavaMedError, UsageError
from llavamed_data.sources.stores import Place

if TYPE_CHECKING:
    from obstore import ObjectMeta

REPORTS = "inventory-reports/pmc-oa-opendata/metadata"
_DATED = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}-\d{2}Z")
_VERSION = re.compile(r"(?:metadata/|(PMC\d+\.\d+)/(?=\1\.json))PMC(\d+)\.(\d+)\.json")
_VERSION_BITS = 16
_BATCH = 10_000
_INDEX_BYTES = 2**20
_CHUNK = 2**20
_BROKEN_LISTS = 5
_FIRST_CONTACT_SECONDS = 20
_OUTAGE_SECONDS = 900
_NO_LISTING = re.compile(r"InvalidListResponse|non-2xx status code: 4\d\d")
"""How obstore says that a server answers, but not as S3 does."""


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

    def rows(self, place: Place) -> Iterator[tuple[str, str]]:
        """Key and ETag of every line, as a stream.

        Raises:
            LlavaMedError: a part is missing or damaged.
        """
        key_at, etag_at = self.columns.index("Key"), self.columns.index("ETag")
        store = place.store(retry_seconds=_OUTAGE_SECONDS)
        for part, md5 in self.parts:
            try:
                packed = _Hashed(obstore.get(store, part).stream(min_chunk_size=_CHUNK))
                unpacked = gzip.GzipFile(fileobj=packed, mode="rb")
                with io.TextIOWrapper(unpacked, encoding="utf-8", newline="") as lines:
                    for row in csv.reader(lines):
                        yield unquote_plus(row[key_at]), row[etag_at]
                if md5 and packed.md5.hexdigest() != md5:
                    raise ValueError("its checksum differs")
            except (BaseError, OSError, EOFError, zlib.error, ValueError, IndexError, csv.Error) as error:
                why = str(error).partition("\n")[0]
                raise LlavaMedError(
                    f"part {part} of the inventory of {place.given} cannot be read ({why}): try again later"
                ) from error


def newest(place: Place) -> Inventory | None:
    """The newest whole inventory of a bucket, or None where it has none.

    Raises:
        UsageError: the place cannot be reached, or what it says of its inventories cannot be read.
    """
    store = place.store(retry_seconds=_OUTAGE_SECONDS)
    for dated in sorted(_dates(place), reverse=True):
        try:
            manifest = bytes(obstore.get(store, f"{REPORTS}/{dated}/manifest.json").bytes())
        except FileNotFoundError:  # the newest one's folder may be there before its manifest
            continue
        except (BaseError, OSError) as error:
            raise _unreachable(place, error) from error
        return _inventory(place, dated, manifest)
    return None


def versions(place: Place, inventory: Inventory | None) -> Iterator[str]:
    """The highest version of each article, `PMC9000013.2`, by number.

    Raises:
        UsageError: the bucket has no inventory and cannot be listed.
    """
    rows = (code for code, _ in _coded(place, inventory))
    codes = np.fromiter(rows, dtype=np.uint64)
    codes.sort()
    for code in _in_turn(codes[_highest(codes)]):
        yield _name(code)


def versions_with_etags(place: Place, inventory: Inventory | None) -> Iterator[tuple[str, str]]:
    """As `versions`, each with 32 hex digits that change when its metadata do.

    They are the ETag of the metadata JSON, or the MD5 of that where it has another form.
    """
    kind = np.dtype([("code", np.uint64), ("etag", "V16")])
    rows = ((code, _digest(etag)) for code, etag in _coded(place, inventory))
    table = np.fromiter(rows, dtype=kind)
    order = np.argsort(table["code"], kind="stable")
    order = order[_highest(table["code"][order])]
    for start in range(0, len(order), _BATCH):
        part = table[order[start : start + _BATCH]]
        for code, etag in zip(part["code"].tolist(), part["etag"].tolist(), strict=True):
            yield _name(code), etag.hex()


def _coded(place: Place, inventory: Inventory | None) -> Iterator[tuple[int, str]]:
    for key, etag in inventory.rows(place) if inventory else _listed(place):
        if found := _VERSION.fullmatch(key):
            yield int(found.group(2)) << _VERSION_BITS | int(found.group(3)), etag


def _highest(codes: Any) -> Any:
    """Of sorted codes, the last of each article."""
    articles = codes >> np.uint64(_VERSION_BITS)
    return np.append(articles[1:] != articles[:-1], True)[: len(codes)]


def _in_turn(codes: Any) -> Iterator[int]:
    for start in range(0, len(codes), _BATCH):
        yield from codes[start : start + _BATCH].tolist()


def _name(code: int) -> str:
    return f"PMC{code >> _VERSION_BITS}.{code & (1 << _VERSION_BITS) - 1}"


def _digest(etag: str) -> bytes:
    plain = etag.strip('"')
    if re.fullmatch(r"[0-9a-f]{32}", plain):
        return bytes.fromhex(plain)
    return hashlib.md5(etag.encode(), usedforsecurity=False).digest()


def objects(place: Place, prefix: str | None = None) -> Iterator["ObjectMeta"]:
    """obstore's metadata of every object below `prefix`, as a stream; of a folder in any order.

    Raises:
        UsageError: the place cannot be listed.
    """
    store = place.store(retry_seconds=_OUTAGE_SECONDS)
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
                    f"{place.given} has no inventory and cannot be listed: use an S3 address, or copy its "
                    f"{REPORTS} too"
                ) from error
            _pause_or_give_up(place, error, broken)


def _pause_or_give_up(place: Place, error: Exception, broken: int) -> None:
    """obstore repeats a request without an answer by itself, but not a list that breaks off within."""
    if broken > _BROKEN_LISTS or "ListResponseBody" not in str(error):
        raise _unreachable(place, error) from error
    time.sleep(broken)


def _listed(place: Place) -> Iterator[tuple[str, str]]:
    empty = True
    for entry in objects(place, "metadata"):
        empty = False
        yield entry["path"], entry["e_tag"] or ""
    if empty:
        for entry in objects(place):
            yield entry["path"], entry["e_tag"] or ""


def _dates(place: Place) -> set[str]:
    store = place.store(retry_seconds=_FIRST_CONTACT_SECONDS)
    for broken in itertools.count(1):
        try:
            prefixes = obstore.list_with_delimiter(store, REPORTS)["common_prefixes"]
            return {name for prefix in prefixes if _DATED.fullmatch(name := prefix.rpartition("/")[2])}
        except (BaseError, OSError) as error:
            if _NO_LISTING.search(str(error)):
                break
            _pause_or_give_up(place, error, broken)
    return _dates_of_index(place)


def _dates_of_index(place: Place) -> set[str]:
    """A plain web server cannot list in S3's way; it may show an index page, whose links are read."""
    try:
        with urllib.request.urlopen(place.url(REPORTS) + "/", timeout=60) as page:  # noqa: S310  (http or https)
            return set(_DATED.findall(page.read(_INDEX_BYTES).decode("utf-8", "replace")))
    except OSError as error:
        if isinstance(error, urllib.error.HTTPError) and error.code < 500:
            return set()
        raise _unreachable(place, error) from error


def _inventory(place: Place, dated: str, manifest: bytes) -> Inventory:
    try:
        content = json.loads(manifest)
        if content["fileFormat"] != "CSV":
            raise ValueError(f"its parts are {content['fileFormat']}, not CSV")
        columns = tuple(name.strip() for name in content["fileSchema"].split(","))
        parts = tuple((part["key"], part.get("MD5checksum")) for part in content["files"])
        if not {"Key", "ETag"} <= set(columns):
            raise ValueError("its parts lack Key or ETag")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"the inventory {dated} of {place.given} cannot be read: {error}") from error
    return Inventory(dated[:10], hashlib.sha256(manifest).hexdigest(), parts, columns)


def _unreachable(place: Place, error: Exception) -> UsageError:
    why = str(error).partition("\n")[0]
    return UsageError(f"{place.given} cannot be reached ({why}): check the address and the network")


class _Hashed(io.RawIOBase):
    """Chunks as a file that is read once from front to end, and their checksum taken on the way."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._rest = b""
        self.md5 = hashlib.md5(usedforsecurity=False)

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        if not self._rest:
            self._rest = next(self._chunks, b"")
            self.md5.update(self._rest)
        data, self._rest = self._rest[:size], self._rest[size:]
        return data
