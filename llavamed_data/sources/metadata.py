"""The metadata JSON that the PMC bucket keeps with every article version."""

import hashlib
import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote

from llavamed_data.errors import UsageError
from llavamed_data.reasons import Drop, Reason
from llavamed_data.sources.article import MAX_XML_BYTES, is_image_name
from llavamed_data.sources.fetch import FetchRequest

LICENSES = ("cc0", "cc-by", "cc-by-sa", "cc-by-nd", "cc-by-nc", "cc-by-nc-sa", "cc-by-nc-nd")
"""Names of the licences under which PMC offers articles for reuse, as `--license` takes them."""

TEXT_MINING_ONLY = "tdm"

_NO_LICENSE = frozenset({"", "none", "null", "n/a", "na", "unknown", "no-cc-code"})
"""Names of licences that state none; `NO-CC CODE` is that of PMC's older file lists."""

_TRUTH = {True: True, False: False, "true": True, "false": False, "1": True, "0": False}
_ADDRESS = re.compile(r"(?:[a-z][a-z0-9+.-]*:)?//[^/]*/", re.IGNORECASE)
_QUERY = re.compile(r"\?(?=[\w-]+=)")
"""Where the query of an address begins; a question mark that no parameter follows belongs to the file's name."""


def known_licenses(names: Iterable[str]) -> frozenset[str]:
    """Names of `LICENSES`, which may be given in either case.

    Raises:
        UsageError: one is unknown.
    """
    chosen = frozenset(_license_name(name) for name in names)
    if unknown := sorted(chosen - set(LICENSES)):
        raise UsageError(f"unknown licence {', '.join(unknown)}: choose from {', '.join(LICENSES)}")
    return chosen


def _license_name(code: str) -> str:
    """`CC BY-NC 4.0` → `cc-by-nc`."""
    return re.sub(r"-\d+(\.\d+)?$", "", re.sub(r"[\s_-]+", "-", code.strip().lower()))


@dataclass(frozen=True, slots=True)
class ArticleMetadata:
    """What is used of the metadata of an article version.

    Attributes:
        handle: the version, `PMC9000013.2`.
        xml: the request for the JATS document.
        retracted: whether the article has been retracted.
        open_access: whether it is in the open-access subset, which alone has media.
        manuscript: whether it is an author manuscript and not the published article.
        historical: whether its text was read from a scan of an old journal by OCR.
        pmcid, pmid, license: as in `SourceArticle`; `license` is empty where the metadata state none.
        media: file name → image locator: the key of the file, with `?md5=<hex>` of its bytes, or with
            `?metadata=<hex>` of these metadata if they state no checksum of it.
    """

    handle: str
    xml: FetchRequest
    retracted: bool
    open_access: bool
    manuscript: bool = False
    historical: bool = False
    pmcid: str | None = None
    pmid: str | None = None
    license: str = ""
    media: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, handle: str, data: bytes) -> "ArticleMetadata":
        """Reads the JSON of the article version `handle`.

        An odd value is read as what it plainly means (`"35"` as 35, a list of one as its entry), or left out where the
        article can be used without it. Only what decides on its use must be stated.

        Raises:
            Drop: METADATA_UNREADABLE.
        """
        try:
            content = json.loads(data, strict=False)
            if isinstance(content, list) and len(content) == 1:
                content = content[0]
            if not isinstance(content, dict):
                raise TypeError("they are no JSON object")
            article = handle.partition(".")[0]
            stated = re.sub(r"^PMC|\.\d+$", "", _text(content.get("pmcid")).upper())
            if stated and stated != article[3:]:
                raise ValueError(f"pmcid is not {article}, as in the name of the file")
            in_folder = (_key_and_md5(handle, url) for url in _texts(content.get("xml_url")))
            xml_key, xml_md5 = next(filter(None, in_folder), (f"{handle}/{handle}.xml", None))
            stated_license = _text(content.get("license_code"))
            return cls(
                handle=handle,
                xml=FetchRequest(xml_key, xml_md5, max_bytes=MAX_XML_BYTES),
                retracted=_truth(content, "is_retracted"),
                open_access=_truth(content, "is_pmc_openaccess"),
                manuscript=_truth(content, "is_manuscript", missing=False),
                historical=_truth(content, "is_historical_ocr", missing=False),
                pmcid=article,
                pmid=_pmid(_text(content.get("pmid"))),
                license="" if _license_name(stated_license) in _NO_LICENSE else stated_license,
                media=_media(handle, content.get("media_urls"), data),
            )
        except (ValueError, TypeError, RecursionError) as error:
            raise Drop(Reason.METADATA_UNREADABLE, str(error)) from error

    @property
    def offers_media(self) -> bool:
        """Whether this version may have images: it is open access, and not for text mining alone."""
        return self.open_access and _license_name(self.license) != TEXT_MINING_ONLY

    def require_usable(self, licenses: Collection[str], *, historical: bool) -> None:
        """Checks that the article may give training data.

        Args:
            licenses: names of `LICENSES`, one of which it must be under; any licence if empty.
            historical: whether a text that OCR has read from an old journal may be used.

        Raises:
            Drop: RETRACTED, NOT_OPEN_ACCESS, HISTORICAL_OCR or LICENSE_EXCLUDED.
        """
        if self.retracted:
            raise Drop(Reason.RETRACTED)
        if not self.offers_media:
            raise Drop(Reason.NOT_OPEN_ACCESS, self.license)
        if self.historical and not historical:
            raise Drop(Reason.HISTORICAL_OCR, "--historical-ocr takes it")
        if licenses and _license_name(self.license) not in licenses:
            raise Drop(Reason.LICENSE_EXCLUDED, self.license or "no licence is stated")


def image_request(locator: str) -> FetchRequest:
    """The request for the image of a locator of `ArticleMetadata.media`."""
    key, _, query = locator.rpartition("?")
    md5 = query.removeprefix("md5=") if query.startswith("md5=") else None
    return FetchRequest(key if query.startswith(("md5=", "metadata=")) else locator, md5, label=locator)


def _media(handle: str, urls: object, metadata: bytes) -> dict[str, str]:
    if not isinstance(urls, str | list | dict | None):
        raise TypeError("media_urls is no list")
    version = hashlib.md5(metadata, usedforsecurity=False).hexdigest()
    media = {}
    for key, md5 in filter(None, (_key_and_md5(handle, url) for url in _texts(urls))):
        if is_image_name(key):
            media[key.rpartition("/")[2]] = f"{key}?md5={md5}" if md5 else f"{key}?metadata={version}"
    return media


def _key_and_md5(handle: str, url: str) -> tuple[str, str | None] | None:
    """The key of a file in the folder of `handle`, and the MD5 that its address states; None for any other file.

    The bucket's name and all that stands before the folder are ignored, because mirrors keep those of the original.

    >>> _key_and_md5("PMC1.1", "https://HOST/pmc/PMC1.1/Fig%201.jpg?versionId=x")
    ('PMC1.1/Fig 1.jpg', None)
    """
    address, *query = _QUERY.split(url.strip(), maxsplit=1)
    folders, _, name = unquote(_ADDRESS.sub("", address, count=1)).rpartition("/")
    if not name or folders.rpartition("/")[2] != handle or ".." in folders.split("/"):
        return None
    stated = {key.lower(): value.lower() for key, value in parse_qsl("".join(query))}
    md5 = stated.get("md5", "")
    return f"{handle}/{name}", md5 if re.fullmatch(r"[0-9a-f]{32}", md5) else None


def _texts(value: object) -> Iterator[str]:
    """Yields the texts in a value: itself, or those of its entries; what is no text is skipped."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | dict):
        for entry in value.values() if isinstance(value, dict) else value:
            yield from _texts(entry)


def _text(value: object) -> str:
    """A text or number, or the one entry of a list, as a text; empty for anything else."""
    if isinstance(value, list) and len(value) == 1:
        return _text(value[0])
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).strip() if isinstance(value, str | int) and not isinstance(value, bool) else ""


def _pmid(stated: str) -> str | None:
    """The digits of a PMID; None where it is none, and the XML may tell it."""
    found = re.fullmatch(r"(?:PMID:?\s*)?0*([1-9]\d{0,14})", stated, re.ASCII | re.IGNORECASE)
    return found.group(1) if found else None


def _truth(content: Mapping[str, Any], name: str, *, missing: bool | None = None) -> bool:
    """A value that is true or false, however it is written; `missing` where it is not stated."""
    value = content.get(name)
    if value is None and missing is not None:
        return missing
    if value is None:
        raise ValueError(f"{name} is not stated")
    known = (
        _TRUTH.get(value.strip().lower() if isinstance(value, str) else value)
        if isinstance(value, str | int)
        else None
    )
    if known is None:
        raise ValueError(f"{name} must be true or false")
    return known
