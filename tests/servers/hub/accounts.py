"""Who may do what: users, organisations and tokens, drawn once and kept in a file."""

import hmac
import json
import secrets
import string
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
"""What a test calls the token → whose it is and its role; the fine-grained one may write to `ada/` alone."""

_WRITERS = {"admin", "write", "contributor"}


@dataclass(frozen=True)
class Login:
    """A user with a token of some role."""

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
    """The tokens in `path`, and signatures for addresses that are used without one."""

    def __init__(self, path: Path) -> None:
        if not path.exists():
            drawn = {name: _drawn() for name in [*_TOKENS, "secret"]}
            path.write_text(json.dumps(drawn))
        self._tokens: dict[str, str] = json.loads(path.read_text())
        self._secret = self._tokens.pop("secret").encode()

    def token(self, name: str) -> str:
        return self._tokens[name]

    def login(self, token: str) -> Login | None:
        return next((Login(*_TOKENS[name]) for name, held in self._tokens.items() if held == token), None)

    def signature(self, text: str) -> str:
        return hmac.new(self._secret, text.encode(), "sha256").hexdigest()


def _drawn() -> str:
    return "hf_" + "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(34))
