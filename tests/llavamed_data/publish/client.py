"""A user of the Hub: the command line and the stock clients, in processes with their own login and home folder."""

import subprocess
import sys
import textwrap
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from huggingface_hub import HfApi

from tests.command_line import Command, CommandResult
from tests.conftest import CHECKOUT
from tests.servers.hub import HubProcess


@dataclass(frozen=True)
class Client:
    """A user of a Hub; `settings` are further environment variables."""

    hub: HubProcess
    home: Path
    account: str | None = "ada"
    xet: bool = True
    settings: tuple[tuple[str, str], ...] = ()

    @property
    def environment(self) -> dict[str, str]:
        return {
            **self.hub.environment(self.account, self.home / "home", xet=self.xet),
            "PYTHONPATH": str(CHECKOUT),
            "COLUMNS": "200",
            **dict(self.settings),
        }

    def start(self, *arguments: str | Path) -> Command:
        return Command(["publish", *map(str, arguments)], self.environment, self.home)

    def publish(self, *arguments: str | Path) -> CommandResult:
        """`python -m llavamed_data publish ARGUMENTS`."""
        return self.start(*arguments).finish()

    def python(self, code: str) -> str:
        """Runs a script of a user and returns what it prints."""
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(code)],
            env=self.environment,
            cwd=self.home,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    @property
    def api(self) -> HfApi:
        """The stock client in this process, for looking at what is on the Hub."""
        return HfApi(endpoint=self.hub.address, token=self.hub.token(self.account) if self.account else False)

    def files(self, repo_id: str, revision: str = "main") -> dict[str, bytes]:
        """The files of a version as a reader gets them: path → bytes, without the Hub's own hidden files."""
        names = self.api.list_repo_files(repo_id, repo_type="dataset", revision=revision)
        return {name: self._read(repo_id, revision, name) for name in names if not name.startswith(".")}

    def _read(self, repo_id: str, revision: str, name: str) -> bytes:
        address = f"{self.hub.address}/datasets/{repo_id}/resolve/{quote(revision, safe='')}/{name}"
        headers = {"Authorization": f"Bearer {self.hub.token(self.account)}"} if self.account else {}
        with urllib.request.urlopen(urllib.request.Request(address, headers=headers)) as answer:
            data: bytes = answer.read()
        return data

    def commits(self, repo_id: str, revision: str = "main") -> list[str]:
        """Titles of a branch's commits, the newest first."""
        history = self.api.list_repo_commits(repo_id, repo_type="dataset", revision=revision)
        return [commit.title for commit in history]
