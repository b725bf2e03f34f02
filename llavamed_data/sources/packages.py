"""Old PMC packages, `PMC….tar.gz`: one folder with the `.nxml` and its images, as old mirrors keep them."""

import asyncio
import os
import re
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path, PurePosixPath
from urllib.parse import quote, unquote

from llavamed_data.errors import UsageError
from llavamed_data.reasons import Drop, Reason
from llavamed_data.sources.archive import Archive, Limits
from llavamed_data.sources.base import SourceArticle
from llavamed_data.sources.jats_files import FolderFiles
from llavamed_data.sources.media import is_image_name, without_lone_thumbnails

SUFFIXES = (".tar.gz", ".tgz")


class Packages:
    """A folder of packages, searched through all its folders, or one package.

    Nothing is ever written: members are read from a stream, within `limits`. One member that no honest package
    holds (a path out of its folder, a link, a device) drops the whole article, for who made one made the rest.

    Args:
        path: folder or file.
        limits: bounds on what an archive may unpack to.

    Raises:
        UsageError: `path` does not exist or cannot be read.
    """

    name = "packages"
    date = None

    def __init__(self, path: str | os.PathLike[str], *, limits: Limits | None = None) -> None:
        self.files = FolderFiles(path, SUFFIXES)
        self.limits = limits or Limits()

    def fingerprint(self) -> str:
        """Hex digest of the names, sizes and times of the archives."""
        return self.files.fingerprint()

    def images_version(self) -> str:
        """Changes with any archive: a locator does not tell the bytes behind it."""
        return self.fingerprint()[:16]

    def handles(self) -> Iterator[str]:
        """The path of each archive below the folder, by the number of its PMCID.

        Raises:
            UsageError: there is no archive.
        """
        handles = sorted(self.files, key=lambda handle: (_number(handle), handle))
        if not handles:
            raise UsageError(f"no .tar.gz package in {self.files.path}: give the folder that holds them")
        yield from handles

    def read(self, handles: Sequence[str]) -> Iterator[SourceArticle | tuple[str, Drop]]:
        """The articles of `handles`, in that order."""
        for handle in handles:
            try:
                yield self._article(handle)
            except Drop as drop:
                yield handle, drop

    async def images(self, locators: Sequence[str]) -> AsyncIterator[tuple[str, bytes | Drop]]:
        """The bytes of each locator; every archive is read once, from front to end."""
        wanted: dict[str, dict[str, list[str]]] = {}
        for locator in dict.fromkeys(locators):
            handle, _, member = locator.partition("#")
            wanted.setdefault(handle, {}).setdefault(unquote(member, errors="surrogateescape"), []).append(
                locator
            )
        for handle, members in wanted.items():
            images = self._images(handle, members)
            while got := await asyncio.to_thread(next, images, None):
                yield got

    def _article(self, handle: str) -> SourceArticle:
        archive = Archive(self.files.locate(handle), self.limits)
        documents: dict[str, bytes] = {}
        media: dict[str, str] = {}
        for member in archive:
            name = PurePosixPath(member.name).name
            suffix = PurePosixPath(name).suffix.lower()
            if suffix in (".nxml", ".xml") and not name.startswith("."):
                if suffix not in documents:
                    documents[suffix] = member.read(self.limits.xml_bytes, Reason.XML_TOO_LARGE)
            elif is_image_name(name):
                media.setdefault(name, f"{handle}#{quote(member.name, safe='/ ', errors='surrogateescape')}")
        xml = documents.get(".nxml") or documents.get(".xml")
        if xml is None:
            raise Drop(Reason.ARCHIVE_TRUNCATED if archive.broken else Reason.NO_XML, archive.broken)
        if archive.broken:
            media = without_lone_thumbnails(media)
        return SourceArticle(handle, xml, media, pmcid=_pmcid(handle), incomplete=bool(archive.broken))

    def _images(self, handle: str, wanted: dict[str, list[str]]) -> Iterator[tuple[str, bytes | Drop]]:
        left = dict(wanted)
        archive = Archive(self.files.locate(handle), self.limits)
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


def _pmcid(handle: str) -> str | None:
    """From the file's name, else from the folders that hold it, the nearest first."""
    for part in reversed(Path(handle).parts):
        if found := re.search(r"PMC\d+", part):
            return found.group()
    return None


def _number(handle: str) -> int:
    return int((_pmcid(handle) or "PMC0")[3:])
