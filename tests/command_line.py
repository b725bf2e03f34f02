"""`python -m llavamed_data` in processes of its own: each is forked from one that has imported what takes long.

That one imports nothing of the Hub's clients: they read the environment when they are imported, and each command has
its own.
"""

import importlib
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from llavamed_data.__main__ import main
from tests.conftest import CHECKOUT

_PRELOADED = """PIL.Image anyio fsspec h11 httpx2 jinja2 jsonschema jsonschema_rs numpy openai pandas pyarrow.dataset
pyarrow.parquet rich.console rich.progress tqdm.asyncio tqdm.auto typer xxhash yaml"""


class CommandStarter:
    """The fork server, as the tests use it; it ends with the process that made it."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=CHECKOUT,
        )

    def start(
        self, arguments: list[str], environment: dict[str, str], folder: str, out: str, err: str
    ) -> int:
        """Runs the command line with arguments, environment, working folder and output files; returns its pid."""
        return self._ask([arguments, environment, folder, out, err])

    def exit_code(self, pid: int) -> int:
        """Waits for a command to end; its exit code, or minus the signal that killed it."""
        return self._ask(pid)

    def _ask(self, request: Any) -> int:
        assert self._process.stdin
        assert self._process.stdout
        print(json.dumps(request), file=self._process.stdin, flush=True)
        return int(self._process.stdout.readline())


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


def _serve() -> None:
    for name in _PRELOADED.split():
        importlib.import_module(name)
    assert "huggingface_hub" not in sys.modules
    for line in sys.stdin:
        request = json.loads(line)
        if isinstance(request, int):
            answer = os.waitstatus_to_exitcode(os.waitpid(request, 0)[1])
        elif (answer := os.fork()) == 0:
            _run_command(*request)
            return
        print(answer, flush=True)


def _run_command(arguments: list[str], environment: dict[str, str], folder: str, out: str, err: str) -> None:
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for path, stream in ((out, 1), (err, 2)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND), stream)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.argv = ["llavamed_data", *arguments]
    main()


if __name__ == "__main__":
    _serve()
