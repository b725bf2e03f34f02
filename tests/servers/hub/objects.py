"""The bytes that a Hub holds: small files, LFS objects and Xet xorbs, each under its own hash and once."""

import hashlib
import json
import os
import threading
from bisect import bisect_right
from collections.abc import Iterator
from functools import lru_cache
from itertools import accumulate
from pathlib import Path

from tests.servers.hub.xet import Chunk, File, Term, chunks_of, files_of, unpack


def write_whole(path: Path, data: bytes) -> None:
    """Writes a file that is there whole or not at all, whenever the server dies."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{threading.get_ident()}")
    with partial.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    partial.rename(path)


def blob_oid(data: bytes) -> str:
    """The name that git gives to a file."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def pointer(sha256: str, size: int) -> bytes:
    """What git holds in place of an LFS object."""
    return f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n".encode()


class Objects:
    """A folder of objects."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for name in ("blobs", "lfs", "xorbs", "xet", "incoming"):
            (root / name).mkdir(parents=True, exist_ok=True)

    def put_blob(self, data: bytes) -> str:
        oid = blob_oid(data)
        if not (self.root / "blobs" / oid).exists():
            write_whole(self.root / "blobs" / oid, data)
        return oid

    def blob(self, oid: str) -> bytes:
        return (self.root / "blobs" / oid).read_bytes()

    def incoming(self, name: str) -> Path:
        """A file to write an upload into, before its hash is known to be right."""
        return self.root / "incoming" / f"{name}.{threading.get_ident()}"

    def keep_lfs(self, sha256: str, incoming: Path) -> bool:
        """Takes an uploaded object in, if its bytes are what it is called."""
        with incoming.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != sha256:
            incoming.unlink()
            return False
        incoming.rename(self.root / "lfs" / sha256)
        return True

    def size_of(self, sha256: str) -> int | None:
        """Bytes of a large object, however it came; None if there is none."""
        path = self.root / "lfs" / sha256
        if path.exists():
            return path.stat().st_size
        file = self.xet_file(sha256)
        return file.size if file else None

    def put_xorb(self, name: str, data: bytes) -> bool:
        """Takes a xorb in; False if it was there."""
        chunks_of(data)
        path = self.root / "xorbs" / name
        if path.exists():
            return False
        write_whole(path, data)
        return True

    def put_shard(self, shard: bytes) -> None:
        """Takes in the files that a shard lists, if their xorbs are there and give the stated bytes."""
        for file in files_of(shard):
            digest = hashlib.sha256()
            for part in self._from_xorbs(file, 0, file.size):
                digest.update(part)
            if digest.hexdigest() != file.sha256:
                raise ValueError(f"the file {file.xet_hash} does not have the SHA-256 {file.sha256}")
            terms = [[term.xorb, term.first, term.last, term.size] for term in file.terms]
            stated = json.dumps({"xet": file.xet_hash, "sha256": file.sha256, "terms": terms})
            write_whole(self.root / "xet" / file.sha256, stated.encode())
            write_whole(self.root / "xet" / f"{file.xet_hash}.name", file.sha256.encode())

    def xet_file(self, sha256: str) -> File | None:
        path = self.root / "xet" / sha256
        if not path.exists():
            return None
        stated = json.loads(path.read_text())
        return File(stated["xet"], stated["sha256"], tuple(Term(*term) for term in stated["terms"]))

    def xet_file_by_hash(self, xet_hash: str) -> File | None:
        path = self.root / "xet" / f"{xet_hash}.name"
        return self.xet_file(path.read_text()) if path.exists() else None

    def xorb(self, name: str) -> Path:
        return self.root / "xorbs" / name

    def span(self, xorb: str, first: int, last: int) -> tuple[int, int]:
        """First and last byte (inclusive) of chunks of a xorb."""
        chunks = self._chunks(xorb)
        return chunks[first].start, chunks[last - 1].stop - 1

    def large(self, sha256: str, start: int, stop: int) -> Iterator[bytes]:
        """The bytes `start` to `stop` of a large object."""
        file = self.xet_file(sha256)
        if file:
            yield from self._from_xorbs(file, start, stop)
            return
        with (self.root / "lfs" / sha256).open("rb") as held:
            held.seek(start)
            while start < stop and (part := held.read(min(1 << 20, stop - start))):
                yield part
                start += len(part)

    def _from_xorbs(self, file: File, start: int, stop: int) -> Iterator[bytes]:
        place = 0
        for term in file.terms:
            if place < stop and place + term.size > start:
                yield from self._from_term(term, max(start - place, 0), min(stop - place, term.size))
            place += term.size

    def _from_term(self, term: Term, start: int, stop: int) -> Iterator[bytes]:
        chunks = self._chunks(term.xorb)[term.first : term.last]
        ends = list(accumulate(chunk.size for chunk in chunks))
        with self.xorb(term.xorb).open("rb") as xorb:
            for index in range(bisect_right(ends, start), len(chunks)):
                place = ends[index] - chunks[index].size
                if place >= stop:
                    break
                xorb.seek(chunks[index].start)
                data = unpack(chunks[index], xorb.read(chunks[index].stop - chunks[index].start))
                yield data[max(start - place, 0) : stop - place]

    @lru_cache(maxsize=256)  # noqa: B019  (lives as long as the server)
    def _chunks(self, xorb: str) -> tuple[Chunk, ...]:
        return tuple(chunks_of(self.xorb(xorb).read_bytes()))
