"""Runs the transcripts of a page in a folder, as a reader would."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import CHECKOUT, SHARED_DATA
from tests.docs.blocks import Block, Step, steps
from tests.docs.compare import NOISE, difference
from tests.servers.hub import running_hub
from tests.servers.openai import KEY, running

COLUMNS = 100
"""Width of the terminal."""

SECONDS = 240
"""The longest that a block may take."""

HOME = "/home/you"
"""What stands for the folder of the run in outputs."""

_OURS = ("HF_", "OPENAI_", "LLAVAMED_", "RAY_", "SLURM_")
"""Variables of the environment that change what commands do: those of the tests are not passed on."""

_END = "----- end of a command:"

_PYTHON = """
import code, contextlib, io, json, sys

class Console(code.InteractiveConsole):
    def write(self, data):  # a traceback, as a terminal shows it
        print(data, end="")

console, outputs = Console(), []
for source in json.load(sys.stdin):
    with contextlib.redirect_stdout(io.StringIO()) as out:
        for line in [*source.splitlines(), ""]:
            console.push(line)
    outputs.append(out.getvalue())
json.dump(outputs, sys.stdout)
"""
"""Runs each source as typed at Python's prompt, and prints what each printed."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one command of a block printed.

    Attributes:
        step: the command, and what the page shows.
        output: what was printed to standard output and standard error.
        code: with what the command ended; 0 for Python.
        wanted: with what it should have ended.
    """

    step: Step
    output: str
    code: int = 0
    wanted: int = 0

    def fault(self) -> str:
        """What is wrong; empty where nothing is."""
        ended = (
            "" if self.code == self.wanted else f"ended with {self.code}, not {self.wanted}\n{self.output}"
        )
        return ended or difference(self.step.output, self.output)


class ReaderFolder:
    """The folder in which a page is run: empty, or as `python -m llavamed_data build` left it, built once.

    It is always at the same path, as the work folder of a build holds absolute ones.

    Args:
        root: an empty folder.
    """

    def __init__(self, root: Path) -> None:
        self.path = root / "you"
        self.home = root / "home"
        self._sample = root / "sample"
        self.path.mkdir()
        build = [sys.executable, "-m", "llavamed_data", "build", "--quiet"]
        subprocess.run(build, cwd=self.path, env=os.environ | {"PYTHONPATH": str(CHECKOUT)}, check=True)
        self.path.rename(self._sample)

    def renew(self, page: Path) -> None:
        """Makes the folder as the reader of `page` has it: README's is empty."""
        for folder in (self.path, self.home):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
        if page.name != "README.md":
            shutil.copytree(self._sample, self.path, dirs_exist_ok=True)


def _data_and_link(block: Block) -> tuple[str, str] | None:
    """The real data that a block needs, and the name that it has for them; None if it needs none."""
    stated = block.directives.get("data")
    if not stated:
        return None
    data, _, link = stated.partition(" as ")
    return data, link or data


class Runner:
    """Runs the blocks of a page one after another, with servers that start when they are needed."""

    def __init__(self, reader: ReaderFolder) -> None:
        self.folder = reader.path
        self._home = reader.home
        self._servers = ExitStack()
        self._settings: dict[str, Mapping[str, str]] = {}

    def __enter__(self) -> "Runner":
        return self

    def __exit__(self, *_: object) -> None:
        self._servers.close()

    def missing(self, block: Block) -> str:
        """Why the block cannot be run here; empty if it can."""
        if reason := block.directives.get("not run"):
            return reason
        data = _data_and_link(block)
        if data and not (SHARED_DATA / data[0]).exists():
            return f"needs the real data in ../shared/data/{data[0]}, which is not here"
        return ""

    def run(self, block: Block) -> Iterator[Outcome]:
        """Runs a transcript; yields what each of its commands printed.

        Raises:
            subprocess.TimeoutExpired: it takes longer than it may.
        """
        if data := _data_and_link(block):
            link = self.folder / data[1]
            if not link.exists():
                link.symlink_to(SHARED_DATA / data[0])
        yield from self._console(block) if block.language == "console" else self._python(block)

    def _console(self, block: Block) -> Iterator[Outcome]:
        parts = steps(block)
        # the braces keep `cd` and `export` for the commands that follow
        script = "\n".join(
            f"{{ {step.command}\n}} 2>&1 < /dev/null; code=$?; echo; echo '{_END}' $code" for step in parts
        )
        done = self._call(["bash", "-c", script], "", block)
        wanted = [0] * (len(parts) - 1) + [int(block.directives.get("exit", 0))]
        rest = done.stdout
        for step, code in zip(parts, wanted, strict=True):
            output, _, rest = rest.partition(f"\n{_END} ")
            ended, _, rest = rest.partition("\n")
            yield Outcome(step, self._readable(output), int(ended), code)

    def _python(self, block: Block) -> Iterator[Outcome]:
        parts = steps(block)
        done = self._call(
            [sys.executable, "-c", _PYTHON], json.dumps([step.command for step in parts]), block
        )
        if done.returncode:
            raise AssertionError(f"{block} fails:\n{done.stderr}")
        for step, output in zip(parts, json.loads(done.stdout.splitlines()[-1]), strict=True):
            yield Outcome(step, self._readable(output))

    def _readable(self, output: str) -> str:
        """An output as a page shows it: of a user's folder, without what other libraries say."""
        return NOISE.sub("", output.replace(str(self.folder), HOME))

    def run_script(self, block: Block) -> str:
        """Runs a block of Python without prompts; returns its errors, empty if it ends well."""
        done = self._call([sys.executable, "-c", block.text], "", block)
        return done.stderr if done.returncode else ""

    def _call(self, command: list[str], typed: str, block: Block) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            input=typed,
            cwd=self.folder,
            env=self._environment(block.directives.get("server")),
            capture_output=True,
            text=True,
            timeout=SECONDS,
        )

    def _environment(self, server: str | None) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
        return kept | {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": str(CHECKOUT),  # `python -m tests.servers.…` is run in the checkout
            "PYTHONWARNINGS": "ignore",
            "HOME": str(self._home),
            "HF_HOME": str(self._home / "huggingface"),
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "TERM": "dumb",
            "NO_COLOR": "1",
            "COLUMNS": str(COLUMNS),
            "LANG": "C.UTF-8",
            "OMP_NUM_THREADS": "1",
            **(self._server(server) if server else {"HF_HUB_OFFLINE": "1"}),
        }

    def _server(self, name: str) -> Mapping[str, str]:
        """The settings under which clients talk to a server of tests/servers; it runs until the page ends."""
        if name not in self._settings:
            if name == "hub":
                hub = self._servers.enter_context(running_hub(self._home / "hub"))
                self._settings[name] = {"HF_ENDPOINT": hub.address, "HF_TOKEN": hub.token("ada")}
            elif name == "openai":
                server = self._servers.enter_context(running())
                self._settings[name] = {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": server.url}
            else:
                raise ValueError(f"no server is called {name}: hub or openai")
        return self._settings[name]
