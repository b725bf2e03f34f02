"""A process that imports once what takes long to import, and forks for every command line that a test asks for.

It imports nothing of the Hub's clients: they read the environment when they are imported, and each command has its own.
"""

import importlib
import json
import os
import subprocess
import sys
from typing import Any

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
    from llavamed_data.cli import main

    main()


if __name__ == "__main__":
    _serve()
