"""What the Hub's clients raise, as one line that says what to do."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from huggingface_hub import constants
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from llavamed_data.console.printable import hide_token
from llavamed_data.errors import LlavaMedError

_AGAIN = "run the same command again, what was sent is kept"
_SHOWN = 300


@contextmanager
def told(doing: str, repo_id: str) -> Iterator[None]:
    """Turns whatever the clients raise within into one line; the token stands in none of them.

    Args:
        doing: what was tried, as in `the Hub failed while DOING`.
        repo_id: the repository at stake.
    """
    try:
        yield
    except LlavaMedError:
        raise
    except Exception as error:  # the client's own errors, its HTTP library's, and those of its Rust half
        if isinstance(error, OSError) and error.filename is not None:
            raise  # a file here, not the Hub
        # no chain: what the HTTP library says of a request could hold its headers
        raise LlavaMedError(hide_token(_explain(error, doing, repo_id))) from None


def _explain(error: Exception, doing: str, repo_id: str) -> str:
    answer = _answered(error)
    if answer is not None:
        return _of_answer(answer, doing, repo_id)
    if isinstance(error, OfflineModeIsEnabled):
        return "HF_HUB_OFFLINE is set, so that nothing is sent anywhere: unset it to publish"
    if isinstance(error, ValueError):
        return f"the Hub refuses {repo_id} while {doing}: {_line(error)}"
    return (
        f"the Hub at {constants.ENDPOINT} cannot be reached while {doing} ({_line(error)}): "
        f"check the network and HF_ENDPOINT, then {_AGAIN}"
    )


def _answered(error: BaseException | None) -> HfHubHTTPError | None:
    """The server's answer behind an error: uploads in threads hide it as the cause of another."""
    seen = 0
    while error is not None and seen < 10:
        if isinstance(error, HfHubHTTPError):
            return error
        error, seen = error.__cause__ or error.__context__, seen + 1
    return None


def _of_answer(error: HfHubHTTPError, doing: str, repo_id: str) -> str:
    for kind, line in _KINDS:
        if isinstance(error, kind):
            return line(repo_id)
    code = error.response.status_code
    said = _line(error.server_message or error)
    if code in _CODES:
        return _CODES[code](repo_id, doing, said)
    if code >= 500:
        return f"the Hub failed while {doing} ({code}): {_AGAIN}"
    return f"the Hub refuses {repo_id} while {doing} ({code}): {said}"


def _gated(repo_id: str) -> str:
    return f"{repo_id} is gated and this login is not let in: ask for access at {address(repo_id)}"


def _unseen(repo_id: str) -> str:
    return f"there is no dataset repository {repo_id} that this login may see: check the name and the token's rights"


def _no_revision(repo_id: str) -> str:
    return f"{repo_id} has lost the branch or commit that was being published: {_AGAIN}"


_KINDS: tuple[tuple[type[HfHubHTTPError], Callable[[str], str]], ...] = (
    (GatedRepoError, _gated),
    (RepositoryNotFoundError, _unseen),
    (RevisionNotFoundError, _no_revision),
)

_CODES: dict[int, Callable[[str, str, str], str]] = {
    401: lambda _repo, _doing, _said: (
        "the Hub does not know the token in use: make a new one at "
        f"{constants.ENDPOINT}/settings/tokens and set HF_TOKEN, or run `hf auth login`"
    ),
    402: lambda repo, _doing, said: f"the Hub wants payment for {repo}: {said}",
    403: lambda repo, doing, said: (
        f"this login has no right to {repo} ({doing}): {said}; use a token that may write there"
    ),
    412: lambda repo, _doing, _said: (
        f"somebody else changed {repo} meanwhile, and nothing was moved: look at what is there now, then {_AGAIN}"
    ),
    429: lambda _repo, doing, said: f"the Hub asks to slow down while {doing} ({said}): wait, then {_AGAIN}",
}


def address(repo_id: str) -> str:
    """The page of a dataset repository."""
    return f"{constants.ENDPOINT}/datasets/{repo_id}"


def _line(error: object) -> str:
    text = re.sub(r"\s+", " ", str(error)).strip() or type(error).__name__
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"
