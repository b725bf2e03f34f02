"""A dataset repository as it is now: what it holds, who sees it, and where its branches and tags point."""

import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from huggingface_hub import HfApi
from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError
from huggingface_hub.hf_api import RepoFile

from hub_cards import BUILT_BY
from llavamed_data.errors import LlavaMedError
from llavamed_data.publish.faults import address
from llavamed_data.publish.folder import CARD
from llavamed_data.publish.target import MAIN, Target

KIND: Final = "dataset"
_OTHER_KINDS = ("model", "space")


@dataclass(frozen=True, slots=True)
class Repository:
    """What the Hub has.

    Attributes:
        head: the commit to build on: the branch's, or that of `main` where the branch is to come.
        private: whether only its owner sees it.
        branches, tags: name → commit.
        files: of `head`, path → file.
    """

    head: str
    private: bool
    branches: Mapping[str, str]
    tags: Mapping[str, str]
    files: Mapping[str, RepoFile]

    def revision(self, target: Target) -> str:
        """The branch that uploads go by: the target's, or `main` where that is to come."""
        return target.branch if target.branch in self.branches else MAIN


def look_up(api: HfApi, target: Target) -> Repository | None:
    """The repository; None if it is yet to be made.

    Raises:
        LlavaMedError: the name is taken by a model or a space, though no dataset has it.
    """
    try:
        info = api.repo_info(target.repo_id, repo_type=KIND)
    except GatedRepoError:
        raise
    except RepositoryNotFoundError:
        _check_name_is_free(api, target.repo_id)
        return None
    refs = api.list_repo_refs(target.repo_id, repo_type=KIND)
    branches = {branch.name: branch.target_commit for branch in refs.branches}
    tags = {tag.name: tag.target_commit for tag in refs.tags}
    head = branches.get(target.branch) or branches.get(MAIN) or str(info.sha)
    files = files_at(api, target.repo_id, head)
    return Repository(head, bool(info.private), branches, tags, files)


def files_at(api: HfApi, repo_id: str, commit: str) -> dict[str, RepoFile]:
    """All files of a commit by path."""
    entries = api.list_repo_tree(repo_id, recursive=True, revision=commit, repo_type=KIND)
    return {entry.path: entry for entry in entries if isinstance(entry, RepoFile)}


def _check_name_is_free(api: HfApi, repo_id: str) -> None:
    for kind in _OTHER_KINDS:
        if api.repo_exists(repo_id, repo_type=kind):
            raise LlavaMedError(
                f"{repo_id} is a {kind} repository, not a dataset: choose another name, or make the dataset "
                "repository of that name by hand first"
            )


def seen_beside(api: HfApi, repo_ids: Iterable[str], *, private: bool) -> list[str]:
    """Those of the repositories that a card may name: they are there, and no private one is named in public."""
    seen = []
    for repo_id in repo_ids:
        try:
            info = api.repo_info(repo_id, repo_type=KIND)
        except RepositoryNotFoundError:
            continue
        if private or not info.private:
            seen.append(repo_id)
    return seen


def check_private(repository: Repository | None, target: Target, *, private: bool) -> None:
    """Raises LlavaMedError where a set that is to be private would go into a public repository."""
    if repository and private and not repository.private:
        raise LlavaMedError(
            f"{target.repo_id} is public, though it is to be private: make it so at "
            f"{address(target.repo_id)}/settings, or choose another name"
        )


def check_built_here(api: HfApi, repository: Repository, target: Target) -> None:
    """Raises LlavaMedError where the branch holds somebody's own work, which publishing would replace."""
    held = [path for path in repository.files if not path.startswith(".")]
    if not held or (CARD in held and BUILT_BY in _card(api, target.repo_id, repository.head)):
        return
    raise LlavaMedError(
        f"{target.repo_id} holds what was not built here ({', '.join(held[:3])}): choose another name or branch, or "
        "replace it with --replace"
    )


def _card(api: HfApi, repo_id: str, commit: str) -> str:
    with tempfile.TemporaryDirectory() as folder:
        path = api.hf_hub_download(repo_id, CARD, repo_type=KIND, revision=commit, local_dir=folder)
        return Path(path).read_text(encoding="utf-8", errors="replace")
