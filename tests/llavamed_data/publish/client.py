"""A user of the Hub: the command line and the stock clients, in processes with their own login and home folder."""

import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import textwrap
import urllib.request
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

from huggingface_hub import HfApi

from tests.conftest import CHECKOUT
from tests.llavamed_data.publish.command_line import CommandStarter
from tests.servers.hub import HubProcess

_starter = cache(CommandStarter)


@dataclass(frozen=True)
class CommandResult:
    """Exit code and output of a command."""

    code: int
    out: str
    err: str

    @property
    def report(self) -> Any:
        assert self.code == 0, self.err
        return json.loads(self.out)

    def error(self) -> str:
        """The one line that a failed command prints, without `error: `."""
        assert self.code == 1, (self.out, self.err)
        assert "Traceback" not in self.err
        lines = self.err.strip().splitlines()
        assert len(lines) == 1, self.err
        assert lines[0].startswith("error: ")
        return lines[0].removeprefix("error: ")


class Command:
    """A command in a process of its own, which a test may kill."""

    def __init__(self, arguments: list[str], environment: dict[str, str], folder: Path) -> None:
        self._streams = tempfile.TemporaryDirectory()
        self._out, self._err = (Path(self._streams.name, name) for name in ("out", "err"))
        self._pid = _starter().start(arguments, environment, str(folder), str(self._out), str(self._err))
        self._end = os.pidfd_open(self._pid)  # readable when the process has ended

    def __del__(self) -> None:
        os.close(self._end)

    @property
    def running(self) -> bool:
        return not self._ends_within(0)

    def kill(self) -> None:
        signal.pidfd_send_signal(self._end, signal.SIGKILL)
        assert self._ends_within(60)

    def finish(self, seconds: float = 120) -> CommandResult:
        assert self._ends_within(seconds), f"still running after {seconds} s"
        code = _starter().exit_code(self._pid)
        return CommandResult(code, self._out.read_text(), self._err.read_text())

    def _ends_within(self, seconds: float) -> bool:
        return bool(select.select([self._end], [], [], seconds)[0])


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
