"""Sending: the data first, out of sight, then one commit that moves the branch."""

from collections.abc import Iterator, Sequence

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi
from huggingface_hub.utils import disable_progress_bars  # type: ignore[attr-defined]

from llavamed_data.console.progress import ProgressCallback
from llavamed_data.errors import LlavaMedError
from llavamed_data.publish.faults import told
from llavamed_data.publish.folder import LocalFile
from llavamed_data.publish.plan import Plan
from llavamed_data.publish.repository import KIND, Repository
from llavamed_data.publish.target import Target

BATCH_BYTES = 250_000_000
"""Bytes that are sent and registered at a time, about a shard: a kill costs at most what of one was on its way."""


def send(
    api: HfApi,
    target: Target,
    repository: Repository,
    plan: Plan,
    *,
    message: str,
    on_progress: ProgressCallback | None = None,
) -> str:
    """Uploads what the plan adds, then commits it all at once; the new commit.

    Objects that the Hub has are skipped, so a second run sends the rest. Readers of the branch see the old version
    until the commit and the new one after it.

    Raises:
        LlavaMedError: the Hub or the network fails, somebody else moved the branch, or a file here changed meanwhile.
    """
    _check_unchanged(plan)
    additions = [_addition(file) for file in plan.to_add]
    deletions = [CommitOperationDelete(name, is_folder=False) for name in plan.to_delete]
    total = sum(file.size for file in plan.to_add)
    done = 0

    def tell() -> None:
        if on_progress:
            on_progress("upload (MB)", done // 1_000_000, total // 1_000_000)

    with disable_progress_bars():
        for batch in _batches(additions):
            tell()
            try:
                with told("sending the data", target.repo_id):
                    api.preupload_lfs_files(
                        target.repo_id,
                        batch,
                        repo_type=KIND,
                        revision=repository.revision(target),
                        free_memory=False,
                    )
            except LlavaMedError:
                _check_unchanged(plan)  # the Hub refuses bytes that are not what was announced
                raise
            done += sum(addition.upload_info.size for addition in batch)
            tell()
        _check_unchanged(plan)
        with told("moving the branch", target.repo_id):
            _make_branch(api, target, repository)
            if plan.empty:
                return repository.head
            commit = api.create_commit(
                target.repo_id,
                [*additions, *deletions],
                commit_message=message,
                repo_type=KIND,
                revision=target.branch,
                parent_commit=repository.head,
            )
    return str(commit.oid)


def _check_unchanged(plan: Plan) -> None:
    for file in plan.to_add:
        file.check_unchanged()


def _make_branch(api: HfApi, target: Target, repository: Repository) -> None:
    if target.branch not in repository.branches:
        api.create_branch(target.repo_id, branch=target.branch, revision=repository.head, repo_type=KIND)


def _addition(file: LocalFile) -> CommitOperationAdd:
    return CommitOperationAdd(path_in_repo=file.name, path_or_fileobj=file.content)


def _batches(additions: Sequence[CommitOperationAdd]) -> Iterator[list[CommitOperationAdd]]:
    batch: list[CommitOperationAdd] = []
    for addition in additions:
        batch.append(addition)
        if sum(each.upload_info.size for each in batch) >= BATCH_BYTES:
            yield batch
            batch = []
    if batch:
        yield batch
