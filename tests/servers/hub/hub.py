"""The state of a Hub, and who may see and change what: accounts, repositories, collections."""

import hmac
import json
import re
import secrets
import string
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.servers.hub.http import HubError, HubRequest
from tests.servers.hub.objects import Objects, write_atomically
from tests.servers.hub.repositories import Commit, StoredRepository

_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")

_USERS = {
    "ada": {"med-lab": "admin"},
    "ben": {"med-lab": "read"},
    "eve": {"other-org": "admin"},
}
"""User → organisation → role."""

_TOKENS = {
    "ada": ("ada", "write"),
    "ada-read": ("ada", "read"),
    "ada-fine": ("ada", "fineGrained"),
    "ben": ("ben", "write"),
    "eve": ("eve", "write"),
}
"""Name of a token in the tests → its owner and its role; the fine-grained one may write to `ada/` alone."""

_WRITERS = {"admin", "write", "contributor"}


@dataclass(frozen=True)
class TokenOwner:
    """A user, and the role of the token that they use."""

    user: str
    role: str

    def whoami(self) -> dict[str, Any]:
        orgs = [
            {"type": "org", "name": name, "fullname": name, "roleInOrg": role}
            for name, role in _USERS[self.user].items()
        ]
        token = {"displayName": "test", "role": self.role}
        return {
            "type": "user",
            "id": self.user,
            "name": self.user,
            "fullname": self.user.title(),
            "orgs": orgs,
            "auth": {"type": "access_token", "accessToken": token},
        }

    def member_of(self, namespace: str) -> bool:
        return namespace == self.user or namespace in _USERS[self.user]

    def writes_to(self, namespace: str) -> bool:
        if self.role == "read" or (self.role == "fineGrained" and namespace != self.user):
            return False
        return namespace == self.user or _USERS[self.user].get(namespace) in _WRITERS


class Accounts:
    """The tokens, drawn once and kept in the file `path`, and signatures for addresses that need no token."""

    def __init__(self, path: Path) -> None:
        if not path.exists():
            drawn = {name: _drawn() for name in [*_TOKENS, "secret"]}
            path.write_text(json.dumps(drawn))
        self._tokens: dict[str, str] = json.loads(path.read_text())
        self._secret = self._tokens.pop("secret").encode()

    def token(self, name: str) -> str:
        return self._tokens[name]

    def login(self, token: str) -> TokenOwner | None:
        return next(
            (TokenOwner(*_TOKENS[name]) for name, held in self._tokens.items() if held == token), None
        )

    def signature(self, text: str) -> str:
        return hmac.new(self._secret, text.encode(), "sha256").hexdigest()


def _drawn() -> str:
    return "hf_" + "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(34))


class Hub:
    """The state in one folder, and the rights to it.

    Attributes:
        lock: held while a repository changes.
        part_bytes: LFS objects over this size are uploaded in parts.
    """

    def __init__(self, root: Path, *, part_bytes: int) -> None:
        self.root = root
        self.part_bytes = part_bytes
        root.mkdir(parents=True, exist_ok=True)
        self.accounts = Accounts(root / "accounts.json")
        self.objects = Objects(root / "objects")
        self.lock = threading.RLock()

    def repository(self, kind: str, name: str) -> StoredRepository:
        if not _NAME.fullmatch(name):
            raise HubError(400, f"Invalid repo name: {name}")
        return StoredRepository(self.root / "repositories" / kind / name, kind, name, self.objects)

    def login(self, request: HubRequest) -> TokenOwner | None:
        """The owner of the request's token, None without a token; a token that nobody has is always an error."""
        if request.bearer is None:
            return None
        login = self.accounts.login(request.bearer)
        if login is None:
            raise HubError(401, "Invalid credentials in Authorization header")
        return login

    def logged_in(self, request: HubRequest) -> TokenOwner:
        login = self.login(request)
        if login is None:
            raise HubError(401, "Invalid username or password.")
        return login

    def readable(self, request: HubRequest) -> StoredRepository:
        """The repository of a request, if its sender may know that it exists."""
        login = self.login(request)
        kind = request.parts.get("kind", "").rstrip("/") or "models"
        repository = self.repository(kind, request.parts["name"])
        hidden = repository.exists and repository.state["private"]
        if not repository.exists or (hidden and not (login and login.member_of(repository.namespace))):
            if login:
                raise HubError(404, "Repository not found", "RepoNotFound")
            raise HubError(401, "Invalid username or password.", "RepoNotFound")
        return repository

    def open(self, request: HubRequest) -> StoredRepository:
        """The repository, if the sender may read its files."""
        repository = self.readable(request)
        login = self.login(request)
        if repository.state["gated"] and not (login and login.member_of(repository.namespace)):
            message = (
                f"Access to dataset {repository.name} is restricted. You must be in the authorized list."
            )
            raise HubError(403 if login else 401, message, "GatedRepo")
        return repository

    def writable(self, request: HubRequest) -> tuple[StoredRepository, TokenOwner]:
        """The repository and the sender, if they may change it."""
        repository, login = self.open(request), self.logged_in(request)
        if not login.writes_to(repository.namespace):
            raise HubError(403, f"You don't have the rights to write to {repository.name}")
        return repository, login

    def commit_of(self, repository: StoredRepository, revision: str) -> Commit:
        commit = repository.resolve(revision)
        if commit is None:
            raise HubError(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        return commit

    def collections(self) -> list[dict[str, Any]]:
        path = self.root / "collections.json"
        return json.loads(path.read_text()) if path.exists() else []

    def keep_collections(self, collections: list[dict[str, Any]]) -> None:
        write_atomically(self.root / "collections.json", json.dumps(collections).encode())
