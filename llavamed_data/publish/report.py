"""What publishing did, or would do, for people and for `--json`."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.filesize import decimal
from rich.text import Text

from llavamed_data.console.printable import counted
from llavamed_data.publish.hub import dataset_page
from llavamed_data.publish.repository import DEFAULT_BRANCH, PublishTarget
from llavamed_data.publish.upload import FileChange, FileStatus

_FILES_SHOWN = 12
_UNTOUCHED = (FileStatus.SAME, FileStatus.KEPT)


@dataclass(frozen=True, slots=True)
class PublishReport:
    """One dataset that was published, or would be.

    Attributes:
        target: repository, branch and tag.
        split: a split of the dataset, for the line that loads it.
        private: whether only the owner sees the repository.
        created: whether the repository did not exist before.
        dry_run: whether nothing was sent on purpose.
        changes: every file, here and on the branch.
        by_chunk: whether Xet sends only those parts of a changed shard that differ; without Xet shards are sent whole.
        commit: the commit that the branch (and the tag) now has; None if there is none yet.
        tagged: whether this run set the tag.
        review: sentences on what reviewers decided, which was followed.
    """

    target: PublishTarget
    split: str
    private: bool
    created: bool
    dry_run: bool
    changes: Sequence[FileChange]
    by_chunk: bool
    commit: str | None = None
    tagged: bool = False
    review: Sequence[str] = ()

    @property
    def new_bytes(self) -> int:
        """Bytes of files that the branch did not have; the most that is sent."""
        return self._bytes(FileStatus.NEW, FileStatus.CHANGED)

    @property
    def reused_bytes(self) -> int:
        """Bytes of files that the branch had, under the same name or another."""
        return self._bytes(FileStatus.SAME, FileStatus.MOVED)

    @property
    def changed(self) -> bool:
        """Whether the branch has got a new commit, or would get one."""
        return any(change.status not in _UNTOUCHED for change in self.changes)

    @property
    def url(self) -> str:
        """The address of the repository's page."""
        return dataset_page(self.target.repo_id)

    @property
    def load(self) -> str:
        """The line of code that loads what was published."""
        branch = self.target.branch if self.target.branch != DEFAULT_BRANCH else None
        revision = self.target.tag or branch
        suffix = f', revision="{revision}"' if revision else ""
        return f'load_dataset("{self.target.repo_id}", split="{self.split}"{suffix})'

    def to_dict(self) -> dict[str, Any]:
        """The report as plain values for `--json`, where a file's status is called `fate`."""
        return {
            "repo_id": self.target.repo_id,
            "branch": self.target.branch,
            "tag": self.target.tag,
            "url": self.url,
            "private": self.private,
            "created": self.created,
            "dry_run": self.dry_run,
            "changed": self.changed,
            "commit": self.commit,
            "tagged": self.tagged,
            "new_bytes": self.new_bytes,
            "reused_bytes": self.reused_bytes,
            "by_chunk": self.by_chunk,
            "files": [{"name": each.name, "size": each.size, "fate": each.status} for each in self.changes],
            "load": self.load,
            "review": list(self.review),
        }

    def render(self, console: Console) -> None:
        """Prints the files that change, the total, and the line that loads the dataset."""
        kind = f"{'private' if self.private else 'public'} repository"
        lines = [
            f"{self.target.repo_id}: {'new ' if self.created else ''}{kind}, branch {self.target.branch}"
        ]
        shown = [change for change in self.changes if change.status is not FileStatus.SAME]
        lines += [f"  {each.status:8} {decimal(each.size):>10}  {each.name}" for each in shown[:_FILES_SHOWN]]
        if len(shown) > _FILES_SHOWN:
            lines.append(f"  … and {counted(len(shown) - _FILES_SHOWN, 'file')} more")
        lines += [
            *self.review,
            self._total(),
            *self._outcome(),
            "",
            "from datasets import load_dataset",
            self.load,
        ]
        for line in lines:
            console.print(Text(line), soft_wrap=True)

    def _total(self) -> str:
        if not self.changed:
            size = decimal(self.reused_bytes)
            return f"nothing changed: all {len(self.changes):,} files are on the Hub already ({size})"
        counts = {status: sum(change.status is status for change in self.changes) for status in FileStatus}
        new = counts[FileStatus.NEW] + counts[FileStatus.CHANGED]
        reused = counts[FileStatus.SAME] + counts[FileStatus.MOVED]
        deleted = "".join(
            f", {counts[status]:,} {status}"
            for status in (FileStatus.DELETED, FileStatus.KEPT)
            if counts[status]
        )
        return (
            f"{new:,} new or changed ({decimal(self.new_bytes)}), {reused:,} reused "
            f"({decimal(self.reused_bytes)}){deleted}"
        )

    def _outcome(self) -> list[str]:
        lines = []
        if any(
            change.status is FileStatus.CHANGED and change.name.endswith(".parquet")
            for change in self.changes
        ):
            lines.append(
                "of changed shards only the parts that differ are sent (Xet)"
                if self.by_chunk
                else "changed shards are sent whole (LFS): with hf_xet only the parts that differ would be"
            )
        if self.dry_run:
            return [*lines, "a dry run: nothing was sent"]
        tag = f" as {self.target.tag}" if self.target.tag else ""
        return [*lines, f"{'published' if self.changed else 'already published'}{tag}: {self.url}"]

    def _bytes(self, *statuses: FileStatus) -> int:
        return sum(change.size for change in self.changes if change.status in statuses)


@dataclass(frozen=True, slots=True)
class CollectionReport:
    """All datasets of a folder that were published, or would be.

    Attributes:
        datasets: the report of each dataset.
        url: address of the collection's page; None if there is no collection.
        note: why there is no collection.
    """

    datasets: Sequence[PublishReport]
    url: str | None
    note: str = ""

    def to_dict(self) -> dict[str, Any]:
        """The report as plain values for `--json`."""
        return {
            "datasets": [report.to_dict() for report in self.datasets],
            "collection": self.url,
            "note": self.note,
        }

    def render(self, console: Console) -> None:
        """Prints the report of each dataset, then the collection."""
        for report in self.datasets:
            report.render(console)
            console.print()
        line = f"collection: {self.url}" if self.url else self.note
        console.print(Text(line), soft_wrap=True)
