"""The repository on the Hub: the target of a publication, what it holds now, and whether it may be written."""

import json
import re
import tempfile
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import HfApi
from huggingface_hub.errors import GatedRepoError, HFValidationError, RepositoryNotFoundError
from huggingface_hub.hf_api import RepoFile
from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]  # documented, not re-exported

from hub_cards import BUILT_BY
from llavamed_data.dataset.digests import METADATA
from llavamed_data.dataset.layout import CARD, SHARD_NAME, find_shards
from llavamed_data.errors import LlavaMedError, UsageError
from llavamed_data.publish.hub import REPO_TYPE, dataset_page

DEFAULT_BRANCH = "main"

PUBLISHED_AS = "Publish "
"""The title of a commit that `publish` makes begins so; the name of the dataset follows."""

_SHARD = re.compile(f"data/{SHARD_NAME.pattern}")
_OTHER_TYPES = ("model", "space")
_REFERENCE = re.compile(r"(?!.*(\.\.|//|@\{|\.lock(/|$)))[A-Za-z0-9_][\w./-]*(?<![./])")


@dataclass(frozen=True, slots=True)
class PublishTarget:
    """Where a dataset is published.

    Attributes:
        repo_id: name of the repository, `OWNER/NAME`.
        branch: the branch that gets the new commit.
        tag: the tag to set on that commit, if any.

    Raises:
        UsageError: the Hub does not take one of the names.
    """

    repo_id: str
    branch: str = DEFAULT_BRANCH
    tag: str | None = None

    def __post_init__(self) -> None:
        try:
            validate_repo_id(self.repo_id)
        except HFValidationError as error:
            raise UsageError(f"{self.repo_id!r} is no name of a repository (OWNER/NAME): {error}") from error
        if "/" not in self.repo_id:
            raise UsageError(f"{self.repo_id!r} lacks its owner: give OWNER/{self.repo_id}")
        for kind, name in (("branch", self.branch), ("tag", self.tag)):
            if name is not None and not _REFERENCE.fullmatch(name):
                raise UsageError(f"{name!r} is no name of a {kind}: use letters, digits, . _ - and /")

    @property
    def owner(self) -> str:
        """The user or organisation that the repository belongs to."""
        return self.repo_id.split("/")[0]


@dataclass(frozen=True, slots=True)
class HubRepository:
    """A dataset repository as it is on the Hub now.

    Attributes:
        head: the commit to build on: the branch's, or that of `main` if the branch does not exist yet.
        private: whether only its owner sees it.
        branches, tags: name → commit.
        files: path → file, at `head`.
    """

    head: str
    private: bool
    branches: Mapping[str, str]
    tags: Mapping[str, str]
    files: Mapping[str, RepoFile]


def find_repository(api: HfApi, target: PublishTarget) -> HubRepository | None:
    """The target's repository; None if it does not exist yet.

    Raises:
        LlavaMedError: there is no such dataset, but a model or a space has the name.
    """
    try:
        info = api.repo_info(target.repo_id, repo_type=REPO_TYPE)
    except GatedRepoError:
        raise
    except RepositoryNotFoundError:
        for other in _OTHER_TYPES:
            if api.repo_exists(target.repo_id, repo_type=other):
                raise LlavaMedError(
                    f"{target.repo_id} is a {other} repository, not a dataset: choose another name, or make the "
                    "dataset repository of that name by hand first"
                ) from None
        return None
    refs = api.list_repo_refs(target.repo_id, repo_type=REPO_TYPE)
    branches = {branch.name: branch.target_commit for branch in refs.branches}
    tags = {tag.name: tag.target_commit for tag in refs.tags}
    head = branches.get(target.branch) or branches.get(DEFAULT_BRANCH) or str(info.sha)
    return HubRepository(head, bool(info.private), branches, tags, files_at(api, target.repo_id, head))


def files_at(api: HfApi, repo_id: str, commit: str) -> dict[str, RepoFile]:
    """All files of a commit by path."""
    entries = api.list_repo_tree(repo_id, recursive=True, revision=commit, repo_type=REPO_TYPE)
    return {entry.path: entry for entry in entries if isinstance(entry, RepoFile)}


def existing_repositories(api: HfApi, repo_ids: Iterable[str], *, private: bool) -> list[str]:
    """Those of the repositories that exist; private ones only if `private` is set."""
    existing = []
    for repo_id in repo_ids:
        try:
            info = api.repo_info(repo_id, repo_type=REPO_TYPE)
        except RepositoryNotFoundError:
            continue
        if private or not info.private:
            existing.append(repo_id)
    return existing


def check_private(repository: HubRepository, target: PublishTarget) -> None:
    """Raises LlavaMedError if the repository, which is to be private, is public."""
    if not repository.private:
        raise LlavaMedError(
            f"{target.repo_id} is public, but is to be private: make it private at "
            f"{dataset_page(target.repo_id)}/settings, or choose another name"
        )


@dataclass(frozen=True, slots=True)
class LastPublication:
    """The last commit of a branch that `publish` made.

    Attributes:
        name: the name of the dataset's folder, and the tag if there was one (`60k-im v1.0`).
        files: path → file, at that commit.
    """

    name: str
    files: Mapping[str, RepoFile]


def last_publication(api: HfApi, repository: HubRepository, target: PublishTarget) -> LastPublication | None:
    """What `publish` last sent to the branch; None if it sent nothing, or the branch's history is gone."""
    for commit in api.list_repo_commits(target.repo_id, repo_type=REPO_TYPE, revision=repository.head):
        if commit.title.startswith(PUBLISHED_AS):
            files = (
                repository.files
                if commit.commit_id == repository.head
                else files_at(api, target.repo_id, commit.commit_id)
            )
            return LastPublication(commit.title.removeprefix(PUBLISHED_AS), files)
    return None


def made_by_others(repository: HubRepository, last: LastPublication | None) -> set[str]:
    """The files of the branch that are not as `publish` left them: added or changed by somebody on the Hub."""
    published = last.files if last else {}
    return {
        path
        for path, file in repository.files.items()
        if not path.startswith(".") and (path not in published or published[path].blob_id != file.blob_id)
    }


def check_built_here(api: HfApi, repository: HubRepository, target: PublishTarget) -> None:
    """Raises LlavaMedError if the branch holds files that this toolkit did not build, and so must not replace."""
    held = [path for path in repository.files if not path.startswith(".")]
    if not held or (CARD in held and BUILT_BY in _read(api, target.repo_id, repository.head, CARD)):
        return
    raise LlavaMedError(
        f"{target.repo_id} holds files that this toolkit did not build ({', '.join(held[:3])}): choose another name "
        "or branch, or replace them with --replace"
    )


def check_same_dataset(
    api: HfApi,
    repository: HubRepository,
    target: PublishTarget,
    last: LastPublication | None,
    folder: Path,
) -> None:
    """Checks that the branch holds no other dataset than the one in `folder`, or an earlier version of it.

    The name in the Croissant metadata decides; without metadata the name of the folder that was published.

    Raises:
        LlavaMedError: it holds another one, or a split that the dataset in `folder` does not have.
    """
    here, there = folder.resolve().name, last.name if last else None
    same = there is None or there == here or there.startswith(f"{here} ")
    if METADATA in repository.files and (folder / METADATA).is_file():
        stated_there = _stated_name(_read(api, target.repo_id, repository.head, METADATA))
        stated_here = _stated_name((folder / METADATA).read_text(encoding="utf-8", errors="replace"))
        if stated_there and stated_here:
            here, there, same = stated_here, stated_there, stated_here == stated_there
    if not same:
        raise LlavaMedError(
            f"{target.repo_id} holds another dataset ({there}; this is {here}), so nothing was sent: choose another "
            "name or branch, or replace it with --replace"
        )
    splits = {shard.split for shard in find_shards(folder)[0]}
    lost = sorted({match["split"] for path in repository.files if (match := _SHARD.fullmatch(path))} - splits)
    if lost:
        raise LlavaMedError(
            f"{target.repo_id} holds the split {', '.join(lost)}, which {folder} does not have, so nothing was sent: "
            "choose another name or branch, or replace it with --replace"
        )


def _stated_name(metadata: str) -> str | None:
    """The name of a dataset in its Croissant metadata."""
    with suppress(ValueError, RecursionError):
        document = json.loads(metadata)
        name = document.get("name") if isinstance(document, dict) else None
        return name if isinstance(name, str) else None
    return None


def _read(api: HfApi, repo_id: str, commit: str, name: str) -> str:
    with tempfile.TemporaryDirectory() as folder:
        path = api.hf_hub_download(repo_id, name, repo_type=REPO_TYPE, revision=commit, local_dir=folder)
        return Path(path).read_text(encoding="utf-8", errors="replace")
