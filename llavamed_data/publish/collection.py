"""Publishing all datasets of a folder at once, each with links to the others, as a collection of the Hub."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huggingface_hub import HfApi
from rich.console import Console
from rich.text import Text

from llavamed_data.console.progress import ProgressCallback
from llavamed_data.errors import LlavaMedError, UsageError
from llavamed_data.publish.dataset import Job
from llavamed_data.publish.faults import told
from llavamed_data.publish.folder import is_dataset
from llavamed_data.publish.login import log_in
from llavamed_data.publish.report import PublishReport
from llavamed_data.publish.repository import KIND
from llavamed_data.publish.target import MAIN, Target

TITLE = "LLaVA-Med data"


@dataclass(frozen=True, slots=True)
class CollectionReport:
    """All datasets, and the page of the collection; None, with the reason in `note`, where there is none."""

    datasets: Sequence[PublishReport]
    url: str | None
    note: str = ""

    def to_dict(self) -> dict[str, Any]:
        """For `--json`: plain values."""
        return {
            "datasets": [report.to_dict() for report in self.datasets],
            "collection": self.url,
            "note": self.note,
        }

    def render(self, console: Console) -> None:
        """Prints each dataset, then the collection."""
        for report in self.datasets:
            report.render(console)
            console.print()
        line = f"collection: {self.url}" if self.url else self.note
        console.print(Text(line), soft_wrap=True)


def publish_all(
    root: str | Path,
    org: str,
    *,
    private: bool = False,
    branch: str | None = None,
    tag: str | None = None,
    dry_run: bool = False,
    replace: bool = False,
    on_progress: ProgressCallback | None = None,
) -> CollectionReport:
    """Publishes every dataset folder in `root` as `ORG/FOLDER`: see `publish`.

    All sets are checked before the first is sent. Their cards link to one another. A collection of the organisation
    holds them, where the Hub lets this login make one; where not, that is told and is no failure.

    Raises:
        UsageError, LlavaMedError: as `publish`; what was published before a failure stays, and a rerun goes on.
    """
    root = Path(root)
    folders = sorted(each for each in root.iterdir() if is_dataset(each)) if root.is_dir() else []
    if not folders:
        raise UsageError(f"{root} holds no dataset's folder: README.md and data/*.parquet make one up")
    targets = [Target(f"{org}/{folder.name}", branch or MAIN, tag) for folder in folders]
    login = log_in()
    jobs = [
        Job.prepare(folder, target, login, private=private, replace=replace)
        for folder, target in zip(folders, targets, strict=True)
    ]
    for job in jobs:
        job.check_sound(on_progress)
    reports = [job.run(_others(job, jobs), dry_run=dry_run, on_progress=on_progress) for job in jobs]
    if dry_run:
        return CollectionReport(reports, None, f"a dry run: no collection {TITLE!r} was made")
    return _collected(login.api, org, reports, private=private)


def _others(job: Job, jobs: Sequence[Job]) -> list[str]:
    """The other sets that the card of one may name."""
    return [other.target.repo_id for other in jobs if other is not job and (job.hidden or not other.hidden)]


def _collected(api: HfApi, org: str, reports: Sequence[PublishReport], *, private: bool) -> CollectionReport:
    try:
        with told("making the collection", org):
            return CollectionReport(reports, _collection(api, org, reports, private=private))
    except LlavaMedError as error:
        return CollectionReport(reports, None, f"all sets are published, but in no collection: {error}")


def _collection(api: HfApi, org: str, reports: Sequence[PublishReport], *, private: bool) -> str:
    there = next((each for each in api.list_collections(owner=org) if each.title == TITLE), None)
    collection = there or api.create_collection(TITLE, namespace=org, private=private, exists_ok=True)
    for report in reports:
        api.add_collection_item(collection.slug, report.target.repo_id, KIND, exists_ok=True)
    return collection.url
