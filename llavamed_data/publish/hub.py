"""The login at the Hub, and the errors of its clients as one line that says what to do."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from huggingface_hub import HfApi, constants, get_token
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from llavamed_data.console.printable import hide_token
from llavamed_data.errors import LlavaMedError, one_line

REPO_TYPE: Final = "dataset"

_ERROR_SHOWN = 300
_RERUN = "rerun the same command, what was sent is kept"


def dataset_page(repo_id: str) -> str:
    """The address of a dataset repository's page."""
    return f"{constants.ENDPOINT}/datasets/{repo_id}"


@dataclass(frozen=True, slots=True)
class HubLogin:
    """The user that the client's own token belongs to; the token itself is never held here.

    Attributes:
        api: the client, which reads the token itself at each call.
        name: the user's name.
        role: role of the token: `read`, `write`, `fineGrained`; None if the Hub does not say.
        orgs: organisation → the user's role in it, None if the Hub does not say.
    """

    api: HfApi
    name: str
    role: str | None
    orgs: dict[str, str | None]

    def check_may_write(self, owner: str, repo_id: str) -> None:
        """Refuses what cannot succeed; what a fine-grained token may do only the Hub knows.

        Raises:
            LlavaMedError: the token can only read, or `owner` is neither the user nor an organisation of theirs in
                which they may write.
        """
        if self.role == "read":
            raise LlavaMedError(
                f"the token in use can only read: to publish {repo_id}, set HF_TOKEN to one with the right to write, "
                f"from {constants.ENDPOINT}/settings/tokens"
            )
        if self.role != "write" or owner == self.name:
            return
        if owner not in self.orgs:
            allowed = ", ".join([self.name, *self.orgs])
            raise LlavaMedError(
                f"{self.name} may not publish {repo_id}: {owner} is neither this user nor one of their organisations "
                f"(choose from {allowed})"
            )
        if self.orgs[owner] == "read":
            raise LlavaMedError(
                f"{self.name} may not publish {repo_id}: in {owner} this user can only read; ask its admin for the "
                "right to write"
            )


def log_in() -> HubLogin:
    """The login of the environment (`HF_TOKEN`) or of `hf auth login`.

    Raises:
        LlavaMedError: there is none, the Hub does not know it, or the Hub cannot be reached.
    """
    with explain_hub_errors("logging in", "this login"):
        token = get_token()
        if token is None:
            raise LlavaMedError(
                "publishing needs a login: set HF_TOKEN to a token with the right to write "
                f"({constants.ENDPOINT}/settings/tokens), or run `hf auth login`"
            )
        if not (token.isascii() and token.isprintable() and " " not in token):
            # the HTTP library would print it whole in its error message
            raise LlavaMedError(
                "the token in use has characters that no token has: copy it again into HF_TOKEN"
            )
        api = HfApi(token=True)
        user = api.whoami()
    role = ((user.get("auth") or {}).get("accessToken") or {}).get("role")
    orgs = {org["name"]: org.get("roleInOrg") for org in user.get("orgs") or () if "name" in org}
    return HubLogin(api, user["name"], role, orgs)


@contextmanager
def explain_hub_errors(doing: str, repo_id: str) -> Iterator[None]:
    """Turns whatever the Hub's clients raise in the block into one line, which never holds the token.

    Args:
        doing: what the block does, as in `the Hub failed while DOING`.
        repo_id: the repository that it is done to.

    Raises:
        LlavaMedError: instead of the client's error.
        OSError: a local file cannot be read; this is not the Hub's error and passes unchanged.
    """
    try:
        yield
    except LlavaMedError:
        raise
    except Exception as error:  # the client's own errors, its HTTP library's, and those of its Rust half
        if isinstance(error, OSError) and error.filename is not None:
            raise
        # no chain: what the HTTP library says of a request could hold its headers
        raise LlavaMedError(hide_token(_explanation(error, doing, repo_id))) from None


def _explanation(error: Exception, doing: str, repo_id: str) -> str:
    answer = _answer_behind(error)
    if answer is not None:
        return _answer_explanation(answer, doing, repo_id)
    reason = one_line(error, _ERROR_SHOWN)
    if isinstance(error, OfflineModeIsEnabled):
        return "HF_HUB_OFFLINE is set, so nothing can be sent: unset it to publish"
    if isinstance(error, ValueError):
        return f"the Hub refuses {repo_id} while {doing}: {reason}"
    return (
        f"the Hub at {constants.ENDPOINT} cannot be reached while {doing} ({reason}): "
        f"check the network and HF_ENDPOINT, then {_RERUN}"
    )


def _answer_behind(error: BaseException | None) -> HfHubHTTPError | None:
    """The server's answer that caused an error: uploads in threads hide it as the cause of another error."""
    for _ in range(10):
        if error is None or isinstance(error, HfHubHTTPError):
            return error
        error = error.__cause__ or error.__context__
    return None


_BY_TYPE: tuple[tuple[type[HfHubHTTPError], str], ...] = (
    (GatedRepoError, "{repo} is gated and this login has no access: ask for it at {page}"),
    (
        RepositoryNotFoundError,
        "there is no dataset repository {repo} that this login may see: check the name and the token's rights",
    ),
    (RevisionNotFoundError, "{repo} has lost the branch or commit that was being published: {rerun}"),
)

_BY_STATUS = {
    401: "the Hub does not know the token in use: make a new one at {tokens} and set HF_TOKEN, or run `hf auth login`",
    402: "the Hub asks for payment for {repo}: {answer}",
    403: "this login has no right to {repo} ({doing}): {answer}; use a token that may write there",
    412: "somebody else changed {repo} meanwhile, and nothing was published: look at what is there now, then {rerun}",
    429: "the Hub asks to slow down while {doing} ({answer}): wait, then {rerun}",
}


def _answer_explanation(error: HfHubHTTPError, doing: str, repo_id: str) -> str:
    code = error.response.status_code
    line = next((line for kind, line in _BY_TYPE if isinstance(error, kind)), _BY_STATUS.get(code))
    if line is None and code >= 500:
        line = "the Hub failed while {doing} ({code}): {rerun}"
    return (line or "the Hub refuses {repo} while {doing} ({code}): {answer}").format(
        repo=repo_id,
        doing=doing,
        code=code,
        answer=one_line(error.server_message or error, _ERROR_SHOWN),
        page=dataset_page(repo_id),
        tokens=f"{constants.ENDPOINT}/settings/tokens",
        rerun=_RERUN,
    )
