"""Where a dataset lies: a folder here, or a repository of the Hub brought here."""

import re
from pathlib import Path

from huggingface_hub import snapshot_download

from llavamed_data.errors import LlavaMedError, UsageError

REPO_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
CARD = "README.md"
"""The file of a dataset's card, in its folder."""

_DOWNLOADED = [CARD, "data/*"]


def local_folder(path_or_repo: str) -> Path:
    """The folder of that name if there is one, as `load_dataset` would have it, else the Hub's dataset repository.

    Raises:
        UsageError: neither a folder nor a repository's name.
        LlavaMedError: the Hub cannot be reached, or has no such repository that this login may read.
    """
    path = Path(path_or_repo)
    if path.is_dir():
        return path
    if path.exists() or not REPO_ID.fullmatch(path_or_repo):
        raise UsageError(
            f"{path_or_repo!r} is not a dataset's folder, nor the name of a repository (OWNER/NAME)"
        )
    try:
        return Path(snapshot_download(path_or_repo, repo_type="dataset", allow_patterns=_DOWNLOADED))
    except Exception as error:  # the client's own errors, its HTTP library's, and those of its Rust half
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise LlavaMedError(
            f"{path_or_repo!r} is not a folder here, and the Hub does not give it: {reason} "
            "(check the name, HF_TOKEN and the network)"
        ) from error


def neighbours(folder: Path) -> list[Path]:
    """The dataset folders beside `folder`, in alphabetical order."""
    here = folder.resolve()
    beside = (each for each in here.parent.iterdir() if each != here and not each.name.startswith("."))
    return sorted(each for each in beside if any(each.glob("data/*.parquet")))
