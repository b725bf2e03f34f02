"""The files of a dataset's folder, how they differ from those on the Hub, and sending the difference."""

import hashlib
import os
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from pathlib import Path

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi
from huggingface_hub.hf_api import RepoFile
from huggingface_hub.utils import disable_progress_bars  # type: ignore[attr-defined]  # documented, not re-exported

from llavamed_data.console.progress import ProgressCallback
from llavamed_data.dataset.layout import CARD
from llavamed_data.errors import LlavaMedError, UsageError
from llavamed_data.publish.hub import REPO_TYPE, explain_hub_errors
from llavamed_data.publish.repository import DEFAULT_BRANCH, HubRepository, PublishTarget

BATCH_BYTES = 250_000_000
"""Bytes that are sent and registered at a time, about a shard: a kill loses at most one batch."""


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A file to be published.

    Attributes:
        name: its path in the repository.
        content: its path here, or its bytes if what is published differs from the file here (the card).
        size: its size in bytes.
        changed: its time of change in nanoseconds, to notice a change after it was checked.
    """

    name: str
    content: Path | bytes
    size: int
    changed: int = 0

    def read(self) -> bytes:
        """Its bytes."""
        return self.content if isinstance(self.content, bytes) else self.content.read_bytes()

    def sha256(self) -> str:
        """The SHA-256 of its bytes, by which the Hub names large files."""
        return _sha256_of(self)

    def git_oid(self) -> str:
        """The hash by which git names a small file."""
        data = self.read()
        return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()

    def check_unchanged(self) -> None:
        """Raises LlavaMedError if the file is not what it was when it was listed."""
        if isinstance(self.content, bytes):
            return
        found = self.content.stat() if self.content.is_file() else None
        if found is None or (found.st_size, found.st_mtime_ns) != (self.size, self.changed):
            raise LlavaMedError(
                f"{self.content} changed while it was published, so nothing was published: rerun the same command"
            )


@lru_cache(maxsize=4096)
def _sha256_of(file: LocalFile) -> str:
    """Cached, because a file is compared with several branches and tags."""
    if isinstance(file.content, bytes):
        return hashlib.sha256(file.content).hexdigest()
    with file.content.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def is_dataset_folder(folder: Path) -> bool:
    """Whether a folder has a card and Parquet files in `data/`."""
    return (folder / CARD).is_file() and any(folder.glob("data/*.parquet"))


def list_files(folder: Path) -> list[LocalFile]:
    """All files of a dataset's folder but hidden ones, in alphabetical order.

    Raises:
        UsageError: `folder` is no dataset's folder, or holds what no repository should: links that lead out of it,
            names with characters that cannot be printed.
    """
    if not is_dataset_folder(folder):
        raise UsageError(f"{folder} is no dataset's folder: it needs {CARD} and data/*.parquet")
    root, files = folder.resolve(), []
    for place, folders, names in os.walk(folder, followlinks=True):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in (*folders, *(name for name in names if not name.startswith("."))):
            path = Path(place, name)
            inner = path.relative_to(folder).as_posix()
            if not inner.isprintable() or "\\" in inner:
                raise UsageError(f"the Hub takes no file named {inner!r} (in {folder}): rename or remove it")
            if not path.resolve().is_relative_to(root):
                raise UsageError(
                    f"{path} is a link that leads out of {folder}: put the file itself there, or remove it"
                )
            if not path.is_dir():
                found = path.stat()
                files.append(LocalFile(inner, path, found.st_size, found.st_mtime_ns))
    return sorted(files, key=lambda file: file.name)


class FileStatus(StrEnum):
    """How a file here relates to the branch on the Hub."""

    NEW = "new"
    CHANGED = "changed"
    MOVED = "moved"
    """The branch has the same content under another name."""
    SAME = "same"
    DELETED = "deleted"
    """The branch has a file that is not here; it is deleted."""
    KEPT = "kept"
    """The branch has a file that is not here and whose name is none of the toolkit's; it stays."""


@dataclass(frozen=True, slots=True)
class FileChange:
    """A file by its path in the repository, its size in bytes, and its status."""

    name: str
    size: int
    status: FileStatus


@dataclass(frozen=True, slots=True)
class UploadPlan:
    """What one publication does to the files of a branch.

    Attributes:
        changes: all files, here and on the branch, in alphabetical order.
        to_add: the files here that are new to the branch or to their name.
    """

    changes: Sequence[FileChange]
    to_add: Sequence[LocalFile]

    @property
    def to_delete(self) -> list[str]:
        """Files that the branch has and the new version does not have."""
        return [change.name for change in self.changes if change.status is FileStatus.DELETED]

    @property
    def empty(self) -> bool:
        """Whether the branch has exactly these files already."""
        return not self.to_add and not self.to_delete


def plan_upload(
    local: Iterable[LocalFile], remote: Mapping[str, RepoFile], kept: Collection[str] = ()
) -> UploadPlan:
    """Compares the files here with those of a branch; those named in `kept` are not deleted.

    Hidden files of the repository (`.gitattributes`) belong to the Hub and stay. A file is read only if one of the same
    size is on the Hub, so a first publication reads nothing here.
    """
    large: defaultdict[int, set[str]] = defaultdict(set)
    for file in remote.values():
        if file.lfs:
            large[file.size].add(file.lfs.sha256)
    changes, to_add = [], []
    for here in local:
        status = _status(here, remote.get(here.name), large)
        changes.append(FileChange(here.name, here.size, status))
        if status is not FileStatus.SAME:
            to_add.append(here)
    names = {change.name for change in changes}
    for name, file in remote.items():
        if name not in names and not any(part.startswith(".") for part in name.split("/")):
            gone = FileStatus.KEPT if name in kept else FileStatus.DELETED
            changes.append(FileChange(name, file.size, gone))
    return UploadPlan(sorted(changes, key=lambda change: change.name), to_add)


def _status(here: LocalFile, there: RepoFile | None, large: Mapping[int, set[str]]) -> FileStatus:
    """The status of a file; `large` is size → SHA-256 of the branch's large files."""
    if there and not there.lfs and there.size == here.size and there.blob_id == here.git_oid():
        return FileStatus.SAME
    if here.size in large:
        if there and there.lfs and there.lfs.sha256 == here.sha256():
            return FileStatus.SAME
        if here.sha256() in large[here.size]:
            return FileStatus.MOVED
    return FileStatus.CHANGED if there else FileStatus.NEW


def upload(
    api: HfApi,
    target: PublishTarget,
    repository: HubRepository,
    plan: UploadPlan,
    *,
    message: str,
    on_progress: ProgressCallback | None = None,
) -> str:
    """Sends the data of what the plan adds, then commits all changes at once, and returns the commit.

    Objects that the Hub has are skipped, so a second run sends the rest. Readers of the branch see the old version
    until the commit and the new one after it.

    Raises:
        LlavaMedError: the Hub or the network fails, somebody else moved the branch, or a file here changed meanwhile.
    """
    _check_unchanged(plan)
    additions = [CommitOperationAdd(file.name, file.content) for file in plan.to_add]
    deletions = [CommitOperationDelete(name, is_folder=False) for name in plan.to_delete]
    branch_exists = target.branch in repository.branches
    with disable_progress_bars():
        total, done = sum(file.size for file in plan.to_add), 0
        for batch in _batches(additions):
            _report_progress(on_progress, done, total)
            try:
                with explain_hub_errors("sending the data", target.repo_id):
                    api.preupload_lfs_files(
                        target.repo_id,
                        batch,
                        repo_type=REPO_TYPE,
                        revision=target.branch if branch_exists else DEFAULT_BRANCH,
                        free_memory=False,
                    )
            except LlavaMedError:
                _check_unchanged(plan)  # the Hub refuses bytes that are not what was announced
                raise
            done += sum(addition.upload_info.size for addition in batch)
            _report_progress(on_progress, done, total)
        _check_unchanged(plan)
        with explain_hub_errors("committing the files", target.repo_id):
            if not branch_exists:
                api.create_branch(
                    target.repo_id, branch=target.branch, revision=repository.head, repo_type=REPO_TYPE
                )
            if plan.empty:
                return repository.head
            commit = api.create_commit(
                target.repo_id,
                [*additions, *deletions],
                commit_message=message,
                repo_type=REPO_TYPE,
                revision=target.branch,
                parent_commit=repository.head,
            )
    return str(commit.oid)


def _check_unchanged(plan: UploadPlan) -> None:
    for file in plan.to_add:
        file.check_unchanged()


def _report_progress(on_progress: ProgressCallback | None, done: int, total: int) -> None:
    if on_progress:
        on_progress("upload (MB)", done // 1_000_000, total // 1_000_000)


def _batches(additions: Sequence[CommitOperationAdd]) -> Iterator[list[CommitOperationAdd]]:
    batch: list[CommitOperationAdd] = []
    size = 0
    for addition in additions:
        batch.append(addition)
        size += addition.upload_info.size
        if size >= BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
