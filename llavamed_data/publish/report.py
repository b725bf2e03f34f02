"""What publishing did, or would do, and how it is shown."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.filesize import decimal
from rich.text import Text

from llavamed_data.publish.faults import address
from llavamed_data.publish.plan import Change, Fate
from llavamed_data.publish.target import MAIN, Target

_LISTED = 12


@dataclass(frozen=True, slots=True)
class PublishReport:
    """One dataset, published or planned.

    Attributes:
        target: repository, branch and tag.
        split: of the set, for the line that loads it.
        private: whether only the owner sees it.
        created: the repository was not there before.
        dry_run: nothing was sent.
        changes: each file and what became of it.
        by_chunk: Xet is at work: of a changed shard only the parts that differ are sent. Without, shards go whole.
        commit: the version that the branch (and the tag) now has; None where there is none yet.
        tagged: the tag was set by this run.
    """

    target: Target
    split: str
    private: bool
    created: bool
    dry_run: bool
    changes: Sequence[Change]
    by_chunk: bool
    commit: str | None = None
    tagged: bool = False

    @property
    def new_bytes(self) -> int:
        """Bytes of files that the branch did not have; the most that is sent."""
        return self._bytes(Fate.NEW, Fate.CHANGED)

    @property
    def reused_bytes(self) -> int:
        """Bytes of files that the branch had, under the same name or another."""
        return self._bytes(Fate.SAME, Fate.MOVED)

    @property
    def changed(self) -> bool:
        """Whether the branch was moved, or would be."""
        return any(change.fate is not Fate.SAME for change in self.changes)

    @property
    def url(self) -> str:
        """The repository's page."""
        return address(self.target.repo_id)

    @property
    def load(self) -> str:
        """The line of code that loads what was published."""
        branch = self.target.branch if self.target.branch != MAIN else None
        revision = self.target.tag or branch
        suffix = f', revision="{revision}"' if revision else ""
        return f'load_dataset("{self.target.repo_id}", split="{self.split}"{suffix})'

    def to_dict(self) -> dict[str, Any]:
        """For `--json`: plain values."""
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
            "files": [{"name": each.name, "size": each.size, "fate": each.fate} for each in self.changes],
            "load": self.load,
        }

    def render(self, console: Console) -> None:
        """Prints the files that change, the sum, and the line that loads the set."""
        for line in self._lines():
            console.print(Text(line), soft_wrap=True)

    def _lines(self) -> list[str]:
        state = "private" if self.private else "public"
        new = f"new {state} repository" if self.created else f"{state} repository"
        lines = [f"{self.target.repo_id}: {new}, branch {self.target.branch}"]
        moving = [change for change in self.changes if change.fate is not Fate.SAME]
        lines += [f"  {each.fate:8} {decimal(each.size):>10}  {each.name}" for each in moving[:_LISTED]]
        if len(moving) > _LISTED:
            lines.append(f"  … and {len(moving) - _LISTED:,} files more")
        lines += [
            self._sum(),
            *self._outcome(),
            "",
            "from datasets import load_dataset",
            self.load,
        ]
        return lines

    def _sum(self) -> str:
        if not self.changed:
            return (
                f"nothing changed: all {len(self.changes):,} files are there ({decimal(self.reused_bytes)})"
            )
        counts = {fate: sum(change.fate is fate for change in self.changes) for fate in Fate}
        deleted = f", {counts[Fate.DELETED]:,} deleted" if counts[Fate.DELETED] else ""
        fresh, kept = counts[Fate.NEW] + counts[Fate.CHANGED], counts[Fate.SAME] + counts[Fate.MOVED]
        return (
            f"{fresh:,} new or changed ({decimal(self.new_bytes)}), {kept:,} reused "
            f"({decimal(self.reused_bytes)}){deleted}"
        )

    def _outcome(self) -> list[str]:
        lines = []
        if any(change.fate is Fate.CHANGED and change.name.endswith(".parquet") for change in self.changes):
            lines.append(
                "of changed shards only the parts that differ are sent (Xet)"
                if self.by_chunk
                else "changed shards are sent whole (LFS): with hf_xet only the parts that differ would be"
            )
        if self.dry_run:
            return [*lines, "a dry run: nothing was sent"]
        tag = f" as {self.target.tag}" if self.target.tag else ""
        return [*lines, f"{'published' if self.changed else 'there'}{tag}: {self.url}"]

    def _bytes(self, *fates: Fate) -> int:
        return sum(change.size for change in self.changes if change.fate in fates)
