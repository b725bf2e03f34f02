"""Publishing all datasets of a folder at once, with links to one another and in a collection of the Hub."""

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from huggingface_hub import HfApi

from llavamed_data.console.progress import ProgressCallback
from llavamed_data.errors import LlavaMedError, UsageError
from llavamed_data.publish.dataset import PublishJob
from llavamed_data.publish.hub import REPO_TYPE, explain_hub_errors, log_in
from llavamed_data.publish.report import CollectionReport, PublishReport
from llavamed_data.publish.repository import DEFAULT_BRANCH, PublishTarget
from llavamed_data.publish.reviewed import following
from llavamed_data.publish.upload import is_dataset_folder, list_files
from llavamed_data.review.decision_file import DecisionFile

TITLE = "LLaVA-Med data"
"""Title of the collection."""


def publish_all(
    root: str | Path,
    org: str,
    *,
    private: bool = False,
    branch: str | None = None,
    tag: str | None = None,
    dry_run: bool = False,
    replace: bool = False,
    decisions: Path | None = None,
    on_progress: ProgressCallback | None = None,
) -> CollectionReport:
    """Publishes every dataset folder in `root` as `ORG/FOLDER`; for the options see `publish`.

    All datasets are checked before the first is sent. Their cards link to one another. A collection of the organisation
    holds them, if the Hub lets this login make one; if not, the report says so, and this is no failure.

    Raises:
        UsageError, LlavaMedError: as `publish`; what was published before a failure stays, and a rerun sends the rest.
    """
    root = Path(root)
    folders = sorted(each for each in root.iterdir() if is_dataset_folder(each)) if root.is_dir() else []
    if not folders:
        raise UsageError(f"{root} holds no dataset's folder: one needs README.md and data/*.parquet")
    targets = [PublishTarget(f"{org}/{folder.name}", branch or DEFAULT_BRANCH, tag) for folder in folders]
    files = [list_files(folder) for folder in folders]
    reviewed = None if decisions is None else DecisionFile(decisions, must_exist=True)
    login = log_in()
    with ExitStack() as copies:
        content = [
            copies.enter_context(following(*each, reviewed)) for each in zip(folders, files, strict=True)
        ]
        jobs = [
            PublishJob.prepare(*each, login, private=private, replace=replace)
            for each in zip(folders, content, targets, strict=True)
        ]
        for job in jobs:
            job.check_valid(on_progress)
        for job in jobs:
            job.check_replaceable(_related(job, jobs))
        reports = [job.run(_related(job, jobs), dry_run=dry_run, on_progress=on_progress) for job in jobs]
    if dry_run:
        return CollectionReport(reports, None, f"a dry run: no collection {TITLE!r} was made")
    try:
        with explain_hub_errors("making the collection", org):
            return CollectionReport(reports, _add_to_collection(login.api, org, reports, private=private))
    except LlavaMedError as error:
        return CollectionReport(reports, None, f"all sets are published, but in no collection: {error}")


def _related(job: PublishJob, jobs: Sequence[PublishJob]) -> list[str]:
    """The repositories that the job's card links to: all others, but a public card links to no private one."""
    return [
        other.target.repo_id
        for other in jobs
        if other is not job and (job.stays_private or not other.stays_private)
    ]


def _add_to_collection(api: HfApi, org: str, reports: Sequence[PublishReport], *, private: bool) -> str:
    """Adds the datasets to the organisation's collection, which is made if it does not exist; its address."""
    existing = next((each for each in api.list_collections(owner=org) if each.title == TITLE), None)
    collection = existing or api.create_collection(TITLE, namespace=org, private=private, exists_ok=True)
    for report in reports:
        api.add_collection_item(collection.slug, report.target.repo_id, REPO_TYPE, exists_ok=True)
    return collection.url
