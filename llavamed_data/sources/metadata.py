"""The metadata JSON that the PMC bucket keeps with every article version."""

import hashlib
import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from llavamed_data.errors import UsageError
from llavamed_data.reasons import Drop, Reason
from llavamed_data.sources.article import MAX_XML_BYTES, is_image_name
from llavamed_data.sources.fetch import FetchRequest

LICENSES = ("cc0", "cc-by", "cc-by-sa", "cc-by-nd", "cc-by-nc", "cc-by-nc-sa", "cc-by-nc-nd")
"""Names of the licences under which PMC offers articles for reuse, as `--license` takes them."""

TEXT_MINING_ONLY = "tdm"


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
    """What is used of an article's metadata.

    Attributes:
        xml: the request for the JATS document.
        retracted: whether the article has been retracted.
        open_access: whether it is in the open-access subset, which alone has media.
        pmcid, pmid, license: as in `SourceArticle`.
        media: file name → image locator: the key of the file, with `?md5=<hex>` of its bytes, or with
            `?metadata=<hex>` of these metadata if they state no checksum of it.
    """

    xml: FetchRequest
    retracted: bool
    open_access: bool
    pmcid: str | None = None
    pmid: str | None = None
    license: str | None = None
    media: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, handle: str, data: bytes) -> "ArticleMetadata":
        """Reads the JSON of the article version `handle`.

        Raises:
            Drop: METADATA_UNREADABLE.
        """
        try:
            content = json.loads(data)
            retracted, open_access = content["is_retracted"], content["is_pmc_openaccess"]
            if not (isinstance(retracted, bool) and isinstance(open_access, bool)):
                raise TypeError("is_retracted and is_pmc_openaccess must be true or false")
            article = handle.partition(".")[0]
            if _text(content, "pmcid") not in (None, article):
                raise ValueError(f"pmcid is not {article}, as in the name of the file")
            if not (_text(content, "pmid") or "0").isdecimal():
                raise ValueError("pmid is not made of digits")
            xml_key, xml_md5 = _key_and_md5(content.get("xml_url") or "")
            if not _is_in_folder(xml_key, handle):
                xml_key = f"{handle}/{handle}.xml"
            version = hashlib.md5(data, usedforsecurity=False).hexdigest()
            return cls(
                xml=FetchRequest(xml_key, xml_md5, max_bytes=MAX_XML_BYTES),
                retracted=retracted,
                open_access=open_access,
                pmcid=article,
                pmid=_text(content, "pmid"),
                license=_text(content, "license_code"),
                media=_media(handle, content.get("media_urls") or [], version),
            )
        except KeyError as error:
            raise Drop(Reason.METADATA_UNREADABLE, f"{error.args[0]} is not stated") from error
        except (ValueError, TypeError, AttributeError, RecursionError) as error:
            raise Drop(Reason.METADATA_UNREADABLE, str(error)) from error

    def require_usable(self, licenses: Collection[str]) -> None:
        """Checks that the article may give training data.

        Args:
            licenses: names of `LICENSES`, one of which it must be under; any licence if empty.

        Raises:
            Drop: RETRACTED, NOT_OPEN_ACCESS or LICENSE_EXCLUDED.
        """
        if self.retracted:
            raise Drop(Reason.RETRACTED)
        name = _license_name(self.license or "")
        if not self.open_access or name == TEXT_MINING_ONLY:
            raise Drop(Reason.NOT_OPEN_ACCESS, self.license or "")
        if licenses and name not in licenses:
            raise Drop(Reason.LICENSE_EXCLUDED, self.license or "no licence is stated")


def image_request(locator: str) -> FetchRequest:
    """The request for the image of a locator of `ArticleMetadata.media`."""
    key, _, query = locator.rpartition("?")
    md5 = query.removeprefix("md5=") if query.startswith("md5=") else None
    return FetchRequest(key if query.startswith(("md5=", "metadata=")) else locator, md5, label=locator)


def _media(handle: str, urls: Sequence[str], version: str) -> dict[str, str]:
    media = {}
    for url in urls:
        key, md5 = _key_and_md5(url)
        if is_image_name(key) and _is_in_folder(key, handle):
            media[key.rpartition("/")[2]] = f"{key}?md5={md5}" if md5 else f"{key}?metadata={version}"
    return media


def _text(content: Mapping[str, Any], name: str) -> str | None:
    value = content.get(name)
    return str(value) if isinstance(value, str | int) and value != "" else None


def _key_and_md5(url: str) -> tuple[str, str | None]:
    """Splits `s3://bucket/key?md5=hex`; the bucket's name is ignored, because mirrors keep that of the original."""
    found = re.fullmatch(r"(?:s3://[^/]+/)?(.*?)(?:\?md5=([0-9A-Fa-f]{32}))?", url, re.DOTALL)
    return (found.group(1), found.group(2) and found.group(2).lower()) if found else ("", None)


def _is_in_folder(key: str, folder: str) -> bool:
    parent, _, name = key.rpartition("/")
    return parent == folder and bool(name)
