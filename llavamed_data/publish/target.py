"""Where a dataset is published: a repository, a branch and a tag."""

import re
from dataclasses import dataclass

from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

from llavamed_data.errors import UsageError

MAIN = "main"
_REFERENCE = re.compile(r"(?!.*(\.\.|//|@\{|\.lock(/|$)))[A-Za-z0-9_][\w./-]*(?<![./])")


@dataclass(frozen=True, slots=True)
class Target:
    """A repository by its name (`OWNER/NAME`), the branch to move, and the tag to set, if any.

    Raises:
        UsageError: one of the names is none that the Hub takes.
    """

    repo_id: str
    branch: str = MAIN
    tag: str | None = None

    def __post_init__(self) -> None:
        try:
            validate_repo_id(self.repo_id)
        except HFValidationError as error:
            raise UsageError(f"{self.repo_id!r} is no name of a repository (OWNER/NAME): {error}") from error
        if "/" not in self.repo_id:
            raise UsageError(f"{self.repo_id!r} does not say whose it is: give OWNER/{self.repo_id}")
        for kind, name in (("branch", self.branch), ("tag", self.tag)):
            if name is not None and not _REFERENCE.fullmatch(name):
                raise UsageError(f"{name!r} is no name of a {kind}: letters, digits, . _ - and / make one up")

    @property
    def owner(self) -> str:
        """The user or organisation."""
        return self.repo_id.split("/")[0]
