"""A benchmark's copy on the Hub, brought here by the stock client into its own cache."""

import re
from contextlib import nullcontext
from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.utils import disable_progress_bars  # type: ignore[attr-defined]

from llavamed_data.errors import LlavaMedError

REPO_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")

_WANTED = ["*.parquet", "*.json", "*.json.gz", "*.jsonl", "*.pkl", "imgs.zip", "images.zip"]
_ADDRESS = "hf://datasets/"


def repository_of(location: str) -> str | None:
    """The dataset repository that `location` names (`OWNER/NAME` or `hf://datasets/OWNER/NAME`), if it does."""
    name = location.removeprefix(_ADDRESS).rstrip("/")
    return name if REPO_ID.fullmatch(name) else None


def fetch_copy(repository: str, *, progress: bool = False) -> Path:
    """The folder of a repository's newest revision, whose name is the commit; what is there is not fetched again.

    Args:
        repository: `OWNER/NAME`.
        progress: show the client's own bars.

    Raises:
        LlavaMedError: the Hub cannot be reached, or has no such repository that this login may read.
    """
    try:
        with nullcontext() if progress else disable_progress_bars():
            return Path(snapshot_download(repository, repo_type="dataset", allow_patterns=_WANTED))
    except Exception as error:  # the client's own errors, its HTTP library's, and those of its Rust half
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise LlavaMedError(
            f"{repository!r} is not a folder here, and the Hub does not give it: {reason} "
            "(check the name, HF_TOKEN and the network)"
        ) from error
