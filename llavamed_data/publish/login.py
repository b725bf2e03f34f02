"""Who publishes, and whether they may: told before anything is read or sent."""

from dataclasses import dataclass

from huggingface_hub import HfApi, constants, get_token

from llavamed_data.errors import LlavaMedError
from llavamed_data.publish.faults import told

_READS = "read"


@dataclass(frozen=True, slots=True)
class Login:
    """The user behind the client's own token, which never passes through here.

    Attributes:
        api: the client, which reads the token itself at each call.
        name: of the user.
        role: of the token: `read`, `write`, `fineGrained`; None where the Hub does not say.
        orgs: organisation → the user's role in it, None where the Hub does not say.
    """

    api: HfApi
    name: str
    role: str | None
    orgs: dict[str, str | None]

    def check_may_write(self, owner: str, repo_id: str) -> None:
        """Ends what cannot succeed; a fine-grained token is left for the Hub to judge.

        Raises:
            LlavaMedError: the token only reads, or `owner` is neither the user nor their organisation.
        """
        if self.role == _READS:
            raise LlavaMedError(
                f"the token in use only reads: publishing {repo_id} takes one with the right to write, from "
                f"{constants.ENDPOINT}/settings/tokens"
            )
        if self.role != "write" or owner == self.name:
            return
        if owner not in self.orgs:
            places = ", ".join([self.name, *self.orgs])
            raise LlavaMedError(
                f"{self.name} may not publish {repo_id}: {owner} is somebody else; yours are {places}"
            )
        if self.orgs[owner] == _READS:
            raise LlavaMedError(
                f"{self.name} may not publish {repo_id}: a member of {owner} who only reads; ask its admin for more"
            )


def log_in() -> Login:
    """The login of the environment (`HF_TOKEN`) or of `hf auth login`.

    Raises:
        LlavaMedError: there is none, the Hub does not know it, or the Hub cannot be reached.
    """
    with told("logging in", "this login"):
        token = get_token()
        if token is None:
            raise LlavaMedError(
                "publishing takes a login: set HF_TOKEN to a token with the right to write "
                f"({constants.ENDPOINT}/settings/tokens), or run `hf auth login`"
            )
        if not (token.isascii() and token.isprintable() and " " not in token):
            # the HTTP library would print it whole in its complaint
            raise LlavaMedError("the token in use holds marks that no token has: copy it again into HF_TOKEN")
        api = HfApi(token=True)
        stated = api.whoami()
    role = ((stated.get("auth") or {}).get("accessToken") or {}).get("role")
    orgs = {org["name"]: org.get("roleInOrg") for org in stated.get("orgs") or () if "name" in org}
    return Login(api, stated["name"], role, orgs)
