"""Publishing one dataset."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from huggingface_hub import DatasetCard, HfApi, constants

from hub_cards import with_pictures
from llavamed_data.console.progress import ProgressCallback
from llavamed_data.dataset.digests import METADATA
from llavamed_data.dataset.layout import CARD, EXAMPLE, REPORT_FOLDER, find_shards, is_shard, neighbours
from llavamed_data.errors import LlavaMedError, UsageError
from llavamed_data.publish.hub import REPO_TYPE, HubLogin, dataset_page, explain_hub_errors, log_in
from llavamed_data.publish.report import PublishReport
from llavamed_data.publish.repository import (
    DEFAULT_BRANCH,
    PUBLISHED_AS,
    HubRepository,
    PublishTarget,
    check_built_here,
    check_private,
    check_same_dataset,
    existing_repositories,
    files_at,
    find_repository,
    last_publication,
    made_by_others,
)
from llavamed_data.publish.reviewed import ReviewedFiles, following
from llavamed_data.publish.upload import (
    FileStatus,
    LocalFile,
    UploadPlan,
    is_dataset_folder,
    list_files,
    plan_upload,
    upload,
)
from llavamed_data.review.decision_file import DecisionFile
from llavamed_data.stats.report import REPORT_PAGE, report_pictures
from llavamed_data.validation import validate

_LINKS = "## Sets of the same collection"
"""The last section of a published card."""

_LOCAL_OWNER = "llava-med"
"""The folder that `build` writes datasets into, which cards name in place of the owner."""


def publish(
    folder: str | Path,
    repo_id: str,
    *,
    private: bool = False,
    branch: str | None = None,
    tag: str | None = None,
    dry_run: bool = False,
    replace: bool = False,
    decisions: Path | None = None,
    on_progress: ProgressCallback | None = None,
) -> PublishReport:
    """Publishes a dataset's folder as a dataset repository of the Hub.

    Names and files are checked first, then the login, then the dataset is validated; only then anything is sent: first
    the data, which nobody sees yet, then one commit with all changes of the branch, then the tag. Files of the
    toolkit's own names (shards, metadata, report) that the new version does not have are deleted in that commit. After
    a failure of any kind the same call sends the rest; if nothing changed, nothing is sent. The card links to the
    datasets beside the folder that the same owner has on the Hub.

    Another dataset, and what somebody changed on the Hub since the last publication, is never replaced unless `replace`
    says so; files that somebody added there stay.

    Args:
        folder: the dataset's folder: `README.md` and `data/SPLIT-0000i-of-0000n.parquet`.
        repo_id: `OWNER/NAME`; created if it does not exist.
        private: create a private repository; one that exists must be private already.
        branch: the branch that gets the commit, created from `main` if it does not exist; `main` by default.
        tag: a tag for the published version. A tag that exists must have this content already: tags never move.
        dry_run: report what would change and send nothing.
        replace: let the dataset replace what was not built by this toolkit, another dataset, and what was changed on
            the Hub since it was published.
        decisions: a file of reviewers' decisions, which are followed in what is sent; see
            `llavamed_data.publish.reviewed.following`.
        on_progress: called with what is being done, how much of it is done, and of how much.

    Raises:
        UsageError: no dataset's folder, or no name of a repository, branch or tag.
        LlavaMedError: the dataset is faulty, the login has no right, the Hub fails, or somebody else published
            meanwhile.
    """
    target = PublishTarget(repo_id, branch or DEFAULT_BRANCH, tag)
    folder = Path(folder)
    files = list_files(folder)
    reviewed = None if decisions is None else DecisionFile(decisions, must_exist=True)
    login = log_in()
    with following(folder, files, reviewed) as content:
        job = PublishJob.prepare(folder, content, target, login, private=private, replace=replace)
        job.check_valid(on_progress)
        related = job.find_neighbours()
        job.check_replaceable(related)
        return job.run(related, dry_run=dry_run, on_progress=on_progress)


@dataclass(frozen=True, slots=True)
class PublishJob:
    """A dataset and the repository that it is published to.

    Attributes:
        folder: the dataset's folder.
        content: what is sent of it.
        target: where it is published.
        login: whose right is used.
        private: whether a repository that does not exist yet is created private.
        repository: the repository as it is now; None if it does not exist yet.
        replace: whether it may replace what this toolkit did not build, another dataset, and edits made on the Hub.
        made_by_others: the files of the branch that somebody added or changed since they were published.
    """

    folder: Path
    content: ReviewedFiles
    target: PublishTarget
    login: HubLogin
    private: bool
    repository: HubRepository | None
    replace: bool = False
    made_by_others: Collection[str] = ()

    @classmethod
    def prepare(
        cls,
        folder: Path,
        content: ReviewedFiles,
        target: PublishTarget,
        login: HubLogin,
        *,
        private: bool,
        replace: bool,
    ) -> "PublishJob":
        """Checks all that can be checked on the Hub before the rows are read: rights and the repository."""
        others = set[str]()
        login.check_may_write(target.owner, target.repo_id)
        with explain_hub_errors("looking up the repository", target.repo_id):
            repository = find_repository(login.api, target)
            if repository:
                if private:
                    check_private(repository, target)
                _check_tag(login.api, repository, target, content.files)
                if not replace:
                    check_built_here(login.api, repository, target)
                    last = last_publication(login.api, repository, target)
                    check_same_dataset(login.api, repository, target, last, folder)
                    others = made_by_others(repository, last)
        return cls(folder, content, target, login, private, repository, replace, others)

    @property
    def stays_private(self) -> bool:
        """Whether only the owner sees the repository, also after this publication."""
        return self.repository.private if self.repository else self.private

    def find_neighbours(self) -> list[str]:
        """Repositories of the same owner for the dataset folders beside this one."""
        beside = [each.name for each in neighbours(self.folder) if is_dataset_folder(each)]
        repo_ids = [f"{self.target.owner}/{name}" for name in beside]
        with explain_hub_errors("looking up the datasets beside it", self.target.repo_id):
            return existing_repositories(self.login.api, repo_ids, private=self.stays_private)

    def check_valid(self, on_progress: ProgressCallback | None) -> None:
        """Raises LlavaMedError if validation finds any fault in the dataset."""
        copied = self.content.folder != self.folder
        beside = [str(each) for each in neighbours(self.folder)] if copied else None
        report = validate(str(self.content.folder), beside=beside, on_progress=on_progress)
        if report.ok:
            return
        first, count = report.faults[0], report.totals.total()
        where = f"{first.place}: " if first.place else ""
        raise LlavaMedError(
            f"{self.folder} is faulty, so nothing was sent: {where}{first.message} (fault 1 of {count:,}; "
            f"python -m llavamed_data validate {self.folder} lists them)"
        )

    def plan(self, files: Sequence[LocalFile]) -> UploadPlan:
        """What the publication does to the branch: files of names that the toolkit does not use stay there."""
        there = self.repository.files if self.repository else {}
        kept = () if self.replace else {name for name in there if not _is_toolkits(name)}
        return plan_upload(files, there, kept)

    def check_replaceable(self, related: Sequence[str]) -> None:
        """Raises LlavaMedError if a file that was edited on the Hub would be overwritten or deleted."""
        if not self.made_by_others:
            return
        lost = [
            change.name
            for change in self.plan(self._files_with_published_card(related)).changes
            if change.name in self.made_by_others and change.status not in (FileStatus.SAME, FileStatus.KEPT)
        ]
        if lost:
            raise LlavaMedError(
                f"{self.target.repo_id} was changed on the Hub since it was published ({', '.join(lost[:3])}), so "
                f"nothing was sent: take the change over into {self.folder}, or overwrite it with --replace"
            )

    def run(
        self, related: Sequence[str], *, dry_run: bool, on_progress: ProgressCallback | None
    ) -> PublishReport:
        """Publishes the dataset, or reports what that would do.

        Args:
            related: the repositories that the card links to.
            dry_run: send nothing.
            on_progress: called while the data are sent.
        """
        target, existing = self.target, self.repository
        files = self._files_with_published_card(related)
        plan = self.plan(files)
        with explain_hub_errors("checking the card", target.repo_id):
            _check_card(files)
        commit, tagged = (existing.head if existing and plan.empty else None), False
        if not dry_run:
            version = f" {target.tag}" if target.tag else ""
            commit = upload(
                self.login.api,
                target,
                existing or self._create_repository(),
                plan,
                message=f"{PUBLISHED_AS}{self.folder.resolve().name}{version}",
                on_progress=on_progress,
            )
            tagged = self._set_tag(commit)
        return PublishReport(
            target,
            split=self._split(),
            private=self.stays_private,
            created=existing is None,
            dry_run=dry_run,
            changes=plan.changes,
            by_chunk=not constants.HF_HUB_DISABLE_XET and find_spec("hf_xet") is not None,
            commit=commit,
            tagged=tagged,
            review=self.content.notes,
        )

    def _split(self) -> str:
        """The split that the line of code loads: `train` if there is one."""
        splits = [shard.split for shard in find_shards(self.content.folder)[0]]
        return "train" if "train" in splits or not splits else splits[0]

    def _files_with_published_card(self, related: Sequence[str]) -> list[LocalFile]:
        """The files; the card with the pictures of the dataset's statistics report, if there is one."""
        try:
            text = next(each for each in self.content.files if each.name == CARD).read().decode()
        except UnicodeDecodeError as error:
            raise UsageError(f"{self.folder / CARD} is not UTF-8 text: build the dataset again") from error
        pictures = report_pictures(self.content.folder)
        text = with_pictures(text, pictures, page=f"{REPORT_FOLDER}/{REPORT_PAGE}")
        card = published_card(text, self.folder.resolve().name, self.target.repo_id, related).encode()
        return [
            LocalFile(CARD, card, len(card)) if file.name == CARD else file for file in self.content.files
        ]

    def _create_repository(self) -> HubRepository:
        api, target = self.login.api, self.target
        with explain_hub_errors("making the repository", target.repo_id):
            api.create_repo(target.repo_id, repo_type=REPO_TYPE, private=self.private, exist_ok=True)
            created = find_repository(api, target)
            if created is None:
                raise LlavaMedError(
                    f"the Hub created {target.repo_id} but does not show it yet: rerun the same command"
                )
            if self.private:
                check_private(created, target)
            return created

    def _set_tag(self, commit: str) -> bool:
        """Whether there was a tag to set."""
        tag, repo_id = self.target.tag, self.target.repo_id
        if tag is None or (self.repository and tag in self.repository.tags):
            return False
        with explain_hub_errors(f"tagging {commit[:7]}, which is published, as {tag}", repo_id):
            self.login.api.create_tag(repo_id, tag=tag, revision=commit, repo_type=REPO_TYPE)
        return True


def published_card(text: str, name: str, repo_id: str, related: Sequence[str] = ()) -> str:
    """The text of the card of the folder `name` for the repository `repo_id`.

    Example:
        `load_dataset("llava-med/60k-im", …)` becomes `load_dataset("ORG/60k-im", …)`. A section with links is added
        if there are related repositories. Everything else stays.
    """
    text = text.replace(f'load_dataset("{_LOCAL_OWNER}/{name}"', f'load_dataset("{repo_id}"')
    text = text.partition(f"\n{_LINKS}\n")[0] if f"\n{_LINKS}\n" in text else text
    if not related:
        return text
    links = "\n".join(f"- [{other}]({dataset_page(other)})" for other in sorted(related))
    return f"{text.rstrip()}\n\n{_LINKS}\n\n{links}\n"


def _is_toolkits(name: str) -> bool:
    """Whether a file of this name is one that the toolkit writes."""
    example = name.startswith(f"{EXAMPLE}.") and "/" not in name
    return name in (CARD, METADATA) or example or name.startswith(f"{REPORT_FOLDER}/") or is_shard(name)


def _check_tag(
    api: HfApi, repository: HubRepository, target: PublishTarget, files: Sequence[LocalFile]
) -> None:
    """Raises LlavaMedError if the tag exists with other data; the card may differ, as it may link to newer datasets."""
    if target.tag is None or target.tag not in repository.tags:
        return
    tagged = files_at(api, target.repo_id, repository.tags[target.tag])
    tagged.pop(CARD, None)
    if not plan_upload([file for file in files if file.name != CARD], tagged).empty:
        raise LlavaMedError(
            f"{target.repo_id} has a version {target.tag} with other data, and versions do not change: choose another "
            "--tag"
        )


def _check_card(files: Sequence[LocalFile]) -> None:
    """Lets the Hub check the card's metadata before anything is sent."""
    card = next(file.content for file in files if file.name == CARD)
    assert isinstance(card, bytes)
    DatasetCard(card.decode(), ignore_metadata_errors=True).validate(repo_type=REPO_TYPE)
