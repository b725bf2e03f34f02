"""The repository on the Hub: the target of a publication, what it holds now, and whether it may be written."""

import re
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import HfApi
from huggingface_hub.errors import GatedRepoError, HFValidationError, RepositoryNotFoundError
from huggingface_hub.hf_api import RepoFile
from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]  # documented, not re-exported

from hub_cards import BUILT_BY
from llavamed_data.dataset.layout import CARD
from llavamed_data.errors import LlavaMedError, UsageError
from llavamed_data.publish.hub import REPO_TYPE, dataset_page

DEFAULT_BRANCH = "main"

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


def check_built_here(api: HfApi, repository: HubRepository, target: PublishTarget) -> None:
    """Raises LlavaMedError if the branch holds files that this toolkit did not build, and so must not replace."""
    held = [path for path in repository.files if not path.startswith(".")]
    if not held or (CARD in held and BUILT_BY in _read_card(api, target.repo_id, repository.head)):
        return
    raise LlavaMedError(
        f"{target.repo_id} holds files that this toolkit did not build ({', '.join(held[:3])}): choose another name "
        "or branch, or replace them with --replace"
    )


def _read_card(api: HfApi, repo_id: str, commit: str) -> str:
    with tempfile.TemporaryDirectory() as folder:
        path = api.hf_hub_download(repo_id, CARD, repo_type=REPO_TYPE, revision=commit, local_dir=folder)
        return Path(path).read_text(encoding="utf-8", errors="replace")
