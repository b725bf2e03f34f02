"""What publishing changes: each file here held against what the branch has."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from huggingface_hub.hf_api import RepoFile

from llavamed_data.publish.folder import LocalFile


class Fate(StrEnum):
    """What becomes of a file on the Hub."""

    NEW = "new"
    CHANGED = "changed"
    MOVED = "moved"
    SAME = "same"
    DELETED = "deleted"


@dataclass(frozen=True, slots=True)
class Change:
    """A file, its bytes, and what becomes of it; MOVED is content that the branch has under another name."""

    name: str
    size: int
    fate: Fate


@dataclass(frozen=True, slots=True)
class Plan:
    """All changes of one publication, in alphabetical order, and the files behind those that go into the commit."""

    changes: Sequence[Change]
    to_add: Sequence[LocalFile]

    @property
    def to_delete(self) -> list[str]:
        """Files that the branch has and the new version does not."""
        return [change.name for change in self.changes if change.fate is Fate.DELETED]

    @property
    def empty(self) -> bool:
        """Whether the branch has it all already."""
        return not self.to_add and not self.to_delete


def plan_of(local: Iterable[LocalFile], remote: Mapping[str, RepoFile]) -> Plan:
    """Holds the files here against those of a branch.

    Hidden files of the repository (`.gitattributes`) are the Hub's and stay. A file is read only where one of the same
    size is on the Hub, so a first publication reads nothing twice.
    """
    large: defaultdict[int, set[str]] = defaultdict(set)
    for there in remote.values():
        if there.lfs:
            large[there.size].add(there.lfs.sha256)
    changes, to_add = [], []
    for file in local:
        fate = _fate(file, remote.get(file.name), large)
        changes.append(Change(file.name, file.size, fate))
        if fate is not Fate.SAME:
            to_add.append(file)
    here = {change.name for change in changes}
    gone = [there for name, there in remote.items() if name not in here and not _hidden(name)]
    changes += [Change(there.path, there.size, Fate.DELETED) for there in gone]
    return Plan(sorted(changes, key=lambda change: change.name), to_add)


def _fate(file: LocalFile, there: RepoFile | None, large: Mapping[int, set[str]]) -> Fate:
    if there and not there.lfs and there.size == file.size and there.blob_id == file.git_oid():
        return Fate.SAME
    if file.size in large:
        sha256 = file.sha256()
        if there and there.lfs and there.lfs.sha256 == sha256:
            return Fate.SAME
        if sha256 in large[file.size]:
            return Fate.MOVED
    return Fate.CHANGED if there else Fate.NEW


def _hidden(name: str) -> bool:
    return any(part.startswith(".") for part in name.split("/"))
