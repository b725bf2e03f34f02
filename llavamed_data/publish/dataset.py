"""Publishing one dataset."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from huggingface_hub import DatasetCard, HfApi, constants

from llavamed_data.console.progress import ProgressCallback
from llavamed_data.errors import LlavaMedError
from llavamed_data.publish.card import with_published_card
from llavamed_data.publish.faults import told
from llavamed_data.publish.folder import CARD, LocalFile, files_of, is_dataset
from llavamed_data.publish.login import Login, log_in
from llavamed_data.publish.plan import Plan, plan_of
from llavamed_data.publish.report import PublishReport
from llavamed_data.publish.repository import (
    KIND,
    Repository,
    check_built_here,
    check_private,
    files_at,
    look_up,
    seen_beside,
)
from llavamed_data.publish.target import MAIN, Target
from llavamed_data.publish.upload import send
from llavamed_data.validation import validate


def publish(
    folder: str | Path,
    repo_id: str,
    *,
    private: bool = False,
    branch: str | None = None,
    tag: str | None = None,
    dry_run: bool = False,
    replace: bool = False,
    on_progress: ProgressCallback | None = None,
) -> PublishReport:
    """Publishes a dataset's folder as a Hub dataset repository.

    The login is checked first, then the set is validated; only then anything is sent: the data out of sight, then one
    commit that moves the branch, then the tag. Files that the new version does not have are deleted in that commit.
    After a failure of any kind the same call sends the rest; where nothing changed, nothing is sent. The card links to
    the sets beside the folder that the same owner has on the Hub.

    Args:
        folder: `README.md` and `data/SPLIT-0000i-of-0000n.parquet`.
        repo_id: `OWNER/NAME`; made if it is not there.
        private: make a new repository private; an old one must be so already.
        branch: to move, made from `main` if it is not there; `main` by default.
        tag: to set on the published version. A tag that is there must have this content already: tags never move.
        dry_run: say what would change and send nothing.
        replace: let the set take the place of what was not built by this toolkit.
        on_progress: called with what is being done, how much of it is done, and of how much.

    Raises:
        UsageError: no dataset's folder, or no name of a repository, branch or tag.
        LlavaMedError: the set is faulty, the login has no right, the Hub fails, or somebody else published meanwhile.
    """
    target = Target(repo_id, branch or MAIN, tag)
    job = Job.prepare(Path(folder), target, log_in(), private=private, replace=replace)
    job.check_sound(on_progress)
    return job.run(job.neighbours(), dry_run=dry_run, on_progress=on_progress)


@dataclass(frozen=True, slots=True)
class Job:
    """A dataset on its way, with all that can be refused before its rows are read refused already."""

    folder: Path
    files: Sequence[LocalFile]
    target: Target
    login: Login
    private: bool
    replace: bool
    repository: Repository | None

    @classmethod
    def prepare(cls, folder: Path, target: Target, login: Login, *, private: bool, replace: bool) -> "Job":
        """Checks names, files, rights and the repository."""
        files = files_of(folder)
        login.check_may_write(target.owner, target.repo_id)
        with told("looking up the repository", target.repo_id):
            repository = look_up(login.api, target)
            check_private(repository, target, private=private)
            if repository:
                _check_tag(login.api, repository, target, files)
            if repository and not replace:
                check_built_here(login.api, repository, target)
        return cls(folder, files, target, login, private, replace, repository)

    @property
    def hidden(self) -> bool:
        """Whether only the owner sees the repository, or will."""
        return self.repository.private if self.repository else self.private

    def neighbours(self) -> list[str]:
        """Repositories of the same owner for the dataset folders beside this one."""
        here = self.folder.resolve()
        beside = sorted(each.name for each in here.parent.iterdir() if each != here and is_dataset(each))
        names = [f"{self.target.owner}/{name}" for name in beside]
        with told("looking up the sets beside it", self.target.repo_id):
            return seen_beside(self.login.api, names, private=self.hidden)

    def check_sound(self, on_progress: ProgressCallback | None) -> None:
        """Raises LlavaMedError where `validate` finds any fault."""
        report = validate(str(self.folder), on_progress=on_progress)
        if report.ok:
            return
        first, count = report.faults[0], report.totals.total()
        what = f"{first.place}: {first.message}" if first.place else first.message
        raise LlavaMedError(
            f"{self.folder} is faulty, so nothing was sent: {what} (fault 1 of {count:,}; "
            f"python -m llavamed_data validate {self.folder} lists them)"
        )

    def run(
        self, related: Sequence[str], *, dry_run: bool, on_progress: ProgressCallback | None
    ) -> PublishReport:
        """Publishes, or says what that would do."""
        target = self.target
        files = with_published_card(self.files, self.folder, target.repo_id, related)
        there = self.repository
        plan = plan_of(files, there.files if there else {})
        with told("checking the card", target.repo_id):
            _check_card(files)
        commit, tagged = (there.head if there and plan.empty else None), False
        if not dry_run:
            commit = self._publish(plan, on_progress)
            tagged = self._tag(commit)
        return PublishReport(
            target,
            split=next(file.name for file in files if file.name.startswith("data/"))[5:].split("-")[0],
            private=self.hidden,
            created=there is None,
            dry_run=dry_run,
            changes=plan.changes,
            by_chunk=not constants.HF_HUB_DISABLE_XET and find_spec("hf_xet") is not None,
            commit=commit,
            tagged=tagged,
        )

    def _publish(self, plan: Plan, on_progress: ProgressCallback | None) -> str:
        api, target = self.login.api, self.target
        there = self.repository or self._create()
        version = f" {target.tag}" if target.tag else ""
        return send(
            api,
            target,
            there,
            plan,
            message=f"Publish {self.folder.resolve().name}{version}",
            on_progress=on_progress,
        )

    def _create(self) -> Repository:
        api, target = self.login.api, self.target
        with told("making the repository", target.repo_id):
            api.create_repo(target.repo_id, repo_type=KIND, private=self.private, exist_ok=True)
            there = look_up(api, target)
            if there is None:
                raise LlavaMedError(
                    f"the Hub made {target.repo_id} and does not show it: run the same command again"
                )
            check_private(there, target, private=self.private)
            return there

    def _tag(self, commit: str) -> bool:
        tag, repo_id = self.target.tag, self.target.repo_id
        if tag is None or (self.repository and tag in self.repository.tags):
            return False
        with told(f"tagging {commit[:7]}, which is published, as {tag}", repo_id):
            self.login.api.create_tag(repo_id, tag=tag, revision=commit, repo_type=KIND)
        return True


def _check_tag(api: HfApi, there: Repository, target: Target, files: Sequence[LocalFile]) -> None:
    """A version that has been given out stays what it is, but for the card, which may link to newer sets."""
    if target.tag is None or target.tag not in there.tags:
        return
    tagged = files_at(api, target.repo_id, there.tags[target.tag])
    tagged.pop(CARD, None)
    if not plan_of([file for file in files if file.name != CARD], tagged).empty:
        raise LlavaMedError(
            f"{target.repo_id} has a version {target.tag} with other data: choose another --tag, versions stay"
        )


def _check_card(files: Sequence[LocalFile]) -> None:
    """Has the Hub judge the card's metadata before anything is sent, not after."""
    card = next(file.content for file in files if file.name == CARD)
    assert isinstance(card, bytes)
    DatasetCard(card.decode(), ignore_metadata_errors=True).validate(repo_type=KIND)
