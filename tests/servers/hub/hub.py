"""What all routes need: accounts, objects, repositories, and who may see and change them."""

import json
import re
import threading
from pathlib import Path
from typing import Any

from tests.servers.hub.accounts import Accounts, Login
from tests.servers.hub.objects import Objects, write_whole
from tests.servers.hub.repositories import Commit, Repository
from tests.servers.hub.wire import Call, Problem

_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


class Hub:
    """The state under one folder.

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

    def repository(self, kind: str, name: str) -> Repository:
        if not _NAME.fullmatch(name):
            raise Problem(400, f"Invalid repo name: {name}")
        return Repository(self.root / "repositories" / kind / name, kind, name, self.objects)

    def login(self, call: Call) -> Login | None:
        """Who calls; None for the anonymous. A token that nobody has is an error, whatever is called."""
        if call.bearer is None:
            return None
        login = self.accounts.login(call.bearer)
        if login is None:
            raise Problem(401, "Invalid credentials in Authorization header")
        return login

    def someone(self, call: Call) -> Login:
        login = self.login(call)
        if login is None:
            raise Problem(401, "Invalid username or password.")
        return login

    def readable(self, call: Call) -> Repository:
        """The repository of a call, if its caller may know that it exists."""
        login = self.login(call)
        kind = call.parts.get("kind", "").rstrip("/") or "models"
        repository = self.repository(kind, call.parts["name"])
        hidden = repository.exists and repository.state["private"]
        if not repository.exists or (hidden and not (login and login.member_of(repository.namespace))):
            if login:
                raise Problem(404, "Repository not found", "RepoNotFound")
            raise Problem(401, "Invalid username or password.", "RepoNotFound")
        return repository

    def open(self, call: Call) -> Repository:
        """The repository, if its caller may read its files."""
        repository = self.readable(call)
        login = self.login(call)
        if repository.state["gated"] and not (login and login.member_of(repository.namespace)):
            message = (
                f"Access to dataset {repository.name} is restricted. You must be in the authorized list."
            )
            raise Problem(403 if login else 401, message, "GatedRepo")
        return repository

    def writable(self, call: Call) -> tuple[Repository, Login]:
        """The repository, if its caller may change it."""
        repository, login = self.open(call), self.someone(call)
        if not login.writes_to(repository.namespace):
            raise Problem(403, f"You don't have the rights to write to {repository.name}")
        return repository, login

    def commit_of(self, repository: Repository, revision: str) -> Commit:
        commit = repository.resolve(revision)
        if commit is None:
            raise Problem(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        return commit

    def collections(self) -> list[dict[str, Any]]:
        path = self.root / "collections.json"
        return json.loads(path.read_text()) if path.exists() else []

    def keep_collections(self, collections: list[dict[str, Any]]) -> None:
        write_whole(self.root / "collections.json", json.dumps(collections).encode())
