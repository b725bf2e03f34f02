"""Old PMC packages, `PMC….tar.gz`: one folder with the `.nxml` and its images, as old mirrors keep them."""

import asyncio
import os
import re
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path, PurePosixPath
from urllib.parse import quote, unquote

from llavamed_data.reasons import Drop, Reason
from llavamed_data.sources.archive import Archive, ArchiveLimits, ArchiveMember
from llavamed_data.sources.article import SourceArticle, is_image_name, without_lone_thumbnails
from llavamed_data.sources.folders import FolderSource

_ARTICLE = re.compile(rb"<(?:[\w.-]+:)?article[\s/>]")


class Packages(FolderSource):
    """The packages in a folder and all folders below it, or one package; in the order of their PMCIDs.

    Nothing is ever written to disk: members are read from a stream, within `limits`. One member that no honest package
    holds (a path out of its folder, a link, a device) drops the whole article, because nothing in it can be trusted.

    Args:
        path: folder or file.
        limits: bounds on what an archive may unpack to.

    Raises:
        UsageError: `path` does not exist.
    """

    name = "packages"
    suffixes = (".tar.gz", ".tgz")

    def __init__(self, path: str | os.PathLike[str], *, limits: ArchiveLimits | None = None) -> None:
        super().__init__(path)
        self.limits = limits or ArchiveLimits()

    def images_version(self) -> str:
        """Changes with any archive, because a locator does not determine the bytes behind it."""
        return self.fingerprint()[:16]

    async def images(self, locators: Sequence[str]) -> AsyncIterator[tuple[str, bytes | Drop]]:
        """Yields the bytes of each locator; every archive is read once, from start to end."""
        by_handle: dict[str, dict[str, list[str]]] = {}
        for locator in dict.fromkeys(locators):
            handle, _, quoted = locator.partition("#")
            member = unquote(quoted, errors="surrogateescape")
            by_handle.setdefault(handle, {}).setdefault(member, []).append(locator)
        for handle, locators_of in by_handle.items():
            images = self._images(handle, locators_of)
            while got := await asyncio.to_thread(next, images, None):
                yield got

    def _order(self, handle: str) -> tuple[int, str]:
        return int((_pmcid(handle) or "PMC0")[3:]), handle

    def _article(self, handle: str) -> SourceArticle:
        archive = Archive(self._locate(handle), self.limits)
        documents: dict[str, list[bytes]] = {".nxml": [], ".xml": []}
        media: dict[str, str] = {}
        for member in archive:
            name = PurePosixPath(member.name).name
            suffix = PurePosixPath(name).suffix.lower()
            if suffix in documents and not name.startswith("."):
                _add_document(member, documents[suffix], self.limits.xml_bytes)
            elif is_image_name(name):
                media.setdefault(name, f"{handle}#{quote(member.name, safe='/ ', errors='surrogateescape')}")
        found = documents[".nxml"] or documents[".xml"]
        if not found:
            raise Drop(Reason.ARCHIVE_TRUNCATED if archive.broken else Reason.NO_XML, archive.broken)
        if len(found) > 1:
            raise Drop(Reason.SEVERAL_ARTICLES, "unpack it and give the folder as jats:FOLDER")
        if archive.broken:
            media = without_lone_thumbnails(media)
        return SourceArticle(handle, found[0], media, pmcid=_pmcid(handle), incomplete=bool(archive.broken))

    def _images(self, handle: str, locators_of: dict[str, list[str]]) -> Iterator[tuple[str, bytes | Drop]]:
        """Reads one archive; `locators_of` holds the locators of each member wanted."""
        left = dict(locators_of)
        archive = Archive(self._locate(handle), self.limits)
        try:
            for member in archive:
                if member.name not in left:
                    continue
                got: bytes | Drop
                try:
                    got = member.read(self.limits.image_bytes, Reason.IMAGE_TOO_LARGE)
                except Drop as drop:
                    got = drop
                yield from ((locator, got) for locator in left.pop(member.name))
                if not left:
                    return
            rest = Drop(Reason.ARCHIVE_TRUNCATED if archive.broken else Reason.IMAGE_MISSING, archive.broken)
        except Drop as drop:
            rest = drop
        yield from ((locator, rest) for locators in left.values() for locator in locators)


def _add_document(member: ArchiveMember, documents: list[bytes], max_bytes: int) -> None:
    """Adds the first document of an archive, and those after it that hold an article; two are too many already."""
    if not documents:
        documents.append(member.read(max_bytes, Reason.XML_TOO_LARGE))
    elif len(documents) < 2:
        try:
            xml = member.read(max_bytes, Reason.XML_TOO_LARGE)
        except Drop:  # a supplement
            return
        if _ARTICLE.search(xml):
            if not _ARTICLE.search(documents[0]):
                documents.clear()
            documents.append(xml)


def _pmcid(handle: str) -> str | None:
    """The PMCID in the file's name, or in the name of the nearest folder that has one."""
    for part in reversed(Path(handle).parts):
        if found := re.search(r"PMC\d+", part):
            return found.group()
    return None
