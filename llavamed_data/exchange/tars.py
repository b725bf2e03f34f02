"""WebDataset tar files: the members of a sample stand together, and their names are alike up to the first dot."""

import io
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Self

from llavamed_data.errors import LlavaMedError

SHARD_BYTES = 300_000_000
"""Bytes after which a new tar file begins."""

MEMBER_BYTES = 64 << 20
"""Most bytes of a member that are read."""


class TarShards:
    """Writes `<split>-000000.tar`, …; the same samples give the same bytes."""

    def __init__(self, folder: Path, split: str, *, shard_bytes: int = SHARD_BYTES) -> None:
        self._folder, self._split, self._limit = folder, split, shard_bytes
        self._count, self._held = 0, 0
        self._tar: tarfile.TarFile | None = None

    def __enter__(self) -> Self:
        self._next()
        return self

    def add(self, members: Mapping[str, bytes]) -> None:
        """Adds a sample; one is never split over two files."""
        size = sum(map(len, members.values()))
        if self._held and self._held + size > self._limit:
            self._next()
        for name, data in members.items():
            header = tarfile.TarInfo(name)
            header.size, header.mode = len(data), 0o644
            self._open().addfile(header, io.BytesIO(data))
        self._held += size

    def __exit__(self, *_: object) -> None:
        self._open().close()

    def _next(self) -> None:
        if self._tar is not None:
            self._tar.close()
        self._tar = tarfile.open(  # noqa: SIM115  (closed by the next one, or at the end)
            self._folder / f"{self._split}-{self._count:06d}.tar", "w", format=tarfile.USTAR_FORMAT
        )
        self._count, self._held = self._count + 1, 0

    def _open(self) -> tarfile.TarFile:
        if self._tar is None:
            raise RuntimeError("used outside its with block")
        return self._tar


def samples(path: Path) -> Iterator[tuple[str, dict[str, bytes | None]]]:
    """(key, member name → bytes) of each sample; nothing is unpacked to disk.

    Links, devices and folders are passed over; a member of more than 64 MB is None.

    Raises:
        LlavaMedError: the file is no tar file, or is cut off.
    """
    key, members = "", dict[str, bytes | None]()
    try:
        with tarfile.open(path, "r|") as tar:
            for header in tar:
                if not header.isreg():
                    continue
                of = header.name.rpartition("/")
                this = f"{of[0]}{of[1]}{of[2].partition('.')[0]}"
                if members and this != key:
                    yield key, members
                    members = {}
                key = this
                file = tar.extractfile(header)
                members[header.name] = file.read() if file and header.size <= MEMBER_BYTES else None
    except (tarfile.TarError, EOFError, ValueError) as error:
        raise LlavaMedError(f"{path.name} is no whole tar file: {' '.join(str(error).split())}") from error
    if members:
        yield key, members
