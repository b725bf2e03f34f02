"""Repositories: their commits, branches and tags, in files that survive when the server is killed."""

import base64
import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.servers.hub.objects import Objects, blob_oid, pointer, write_atomically

MAIN = "main"
_LARGE = (".parquet", ".arrow", ".bin", ".safetensors", ".zip", ".tar", ".gz", ".png", ".jpg", ".jpeg")
_LARGE_BYTES = 10_000_000
_ATTRIBUTES = "".join(f"*{end} filter=lfs diff=lfs merge=lfs -text\n" for end in _LARGE).encode()


class RefusedCommitError(Exception):
    """Why a commit is refused, with the HTTP status of the response."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Entry:
    """A file of a commit: git's oid, its size, and the SHA-256 of its LFS object if it is one."""

    oid: str
    size: int
    lfs: str | None = None


@dataclass(frozen=True)
class Commit:
    """A version of all files."""

    oid: str
    parent: str | None
    title: str
    message: str
    author: str
    date: str
    files: Mapping[str, Entry]


def is_large(path: str, size: int) -> bool:
    """Whether a file goes to the large objects."""
    return size > _LARGE_BYTES or (size > 0 and path.endswith(_LARGE))


class StoredRepository:
    """One repository of some type.

    Attributes:
        state: `private`, `gated`, `branches` and `tags` (name → commit), `created`.
    """

    def __init__(self, root: Path, kind: str, name: str, objects: Objects) -> None:
        self.kind, self.name = kind, name
        self.namespace = name.split("/")[0]
        self._root = root
        self._objects = objects
        self.state: dict[str, Any] = json.loads((root / "state.json").read_text()) if self.exists else {}

    @property
    def exists(self) -> bool:
        return (self._root / "state.json").exists()

    def create(self, *, private: bool, author: str) -> None:
        self.state = {"private": private, "gated": False, "branches": {}, "tags": {}, "created": _now()}
        attributes = Entry(self._objects.put_blob(_ATTRIBUTES), len(_ATTRIBUTES))
        self._add(MAIN, None, "initial commit", "", author, {".gitattributes": attributes})

    def save(self) -> None:
        write_atomically(self._root / "state.json", json.dumps(self.state).encode())

    def remove(self) -> None:
        """Forgets the repository; the objects stay."""
        shutil.rmtree(self._root)

    def resolve(self, revision: str) -> Commit | None:
        """The commit of a branch, a tag or an oid (at least 7 characters)."""
        revision = revision.removeprefix("refs/heads/").removeprefix("refs/tags/")
        oid = self.state["branches"].get(revision) or self.state["tags"].get(revision)
        if oid is None and len(revision) >= 7 and revision.isalnum():
            oid = next((path.stem for path in (self._root / "commits").glob(f"{revision}*.json")), None)
        return self._commit(oid) if oid else None

    def history(self, commit: Commit) -> Iterator[Commit]:
        """The commit and those before it, the newest first."""
        while True:
            yield commit
            if commit.parent is None:
                return
            commit = self._commit(commit.parent)

    def commit(self, branch: str, lines: list[dict[str, Any]], author: str) -> Commit:
        """Moves a branch by one commit, as the client's lines state it."""
        head = self.resolve(branch)
        if head is None or branch not in self.state["branches"]:
            raise RefusedCommitError(404, "Invalid rev id: " + branch)
        header = next(line["value"] for line in lines if line["key"] == "header")
        parent = header.get("parentCommit")
        if parent and not head.oid.startswith(parent):
            raise RefusedCommitError(412, "A commit has happened since. Please refresh and try again.")
        files = dict(head.files)
        for line in lines:
            self._apply(line["key"], line["value"], files)
        return self._add(branch, head.oid, header["summary"], header.get("description", ""), author, files)

    def _apply(self, key: str, value: dict[str, Any], files: dict[str, Entry]) -> None:
        path = value.get("path", "")
        if path.startswith("/") or ".." in path.split("/"):
            raise RefusedCommitError(400, f"Invalid path: {path}")
        match key:
            case "file":
                data = base64.b64decode(value["content"])
                files[path] = Entry(self._objects.put_blob(data), len(data))
            case "lfsFile":
                size = self._objects.size_of(value["oid"])
                if size is None:
                    raise RefusedCommitError(
                        400,
                        f"Your push was rejected because an LFS pointer pointed to a missing file: {path}",
                    )
                files[path] = Entry(blob_oid(pointer(value["oid"], size)), size, value["oid"])
            case "deletedFile":
                if files.pop(path, None) is None:
                    raise RefusedCommitError(404, "A file with this name doesn't exist")
            case "deletedFolder":
                for name in [name for name in files if name.startswith(path.rstrip("/") + "/")]:
                    del files[name]

    def _add(
        self,
        branch: str,
        parent: str | None,
        title: str,
        message: str,
        author: str,
        files: Mapping[str, Entry],
    ) -> Commit:
        plain = {path: asdict(entry) for path, entry in sorted(files.items())}
        stated = {"parent": parent, "title": title, "message": message, "author": author, "date": _now()}
        oid = hashlib.sha1(json.dumps([stated, plain]).encode()).hexdigest()
        write_atomically(
            self._root / "commits" / f"{oid}.json",
            json.dumps({"oid": oid, **stated, "files": plain}).encode(),
        )
        self.state["branches"][branch] = oid
        self.save()
        return self._commit(oid)

    def _commit(self, oid: str) -> Commit:
        stated = json.loads((self._root / "commits" / f"{oid}.json").read_text())
        files = {path: Entry(**entry) for path, entry in stated.pop("files").items()}
        return Commit(**stated, files=files)


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
