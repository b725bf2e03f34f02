"""A newcomer's folder for the examples, and the trainer's tiny model and drawn rows."""

import ast
import contextlib
import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from llavamed_data import build
from llavamed_trainer.assembly import assemble_tiny_of
from tests.conftest import CHECKOUT, EXAMPLES
from tests.llavamed_trainer.conftest import drawn_rows, tiny_llava
from tests.llavamed_trainer.running.conftest import dataset

__all__ = ["call_example", "dataset", "drawn_rows", "newcomer", "run_example", "sample", "tiny_llava"]

RunExample = Callable[..., str]


def docstring(name: str) -> str:
    """The docstring of a script in `examples/`."""
    return ast.get_docstring(ast.parse((EXAMPLES / name).read_text(encoding="utf-8"))) or ""


def commands(name: str) -> list[str]:
    """The commands that the docstring of a script states, each in one line and without comments."""
    text = re.sub(r"\\\n *", "", docstring(name))
    lines = re.findall(r"(?m)^    ((?:python|accelerate) .+)$", text)
    return [shlex.join(shlex.split(line, comments=True)) for line in lines]


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `llava-med/60k-im` and `models/tiny`, as the first commands of the docstrings leave it."""
    folder = tmp_path_factory.mktemp("newcomer")
    with contextlib.chdir(folder):
        build(["60k-im"])
        assemble_tiny_of("llava-med/60k-im", Path("models/tiny"))
    return folder


@pytest.fixture
def newcomer(sample: Path, tmp_path: Path) -> Path:
    """The test's folder, with what `sample` holds."""
    shutil.copytree(sample, tmp_path, dirs_exist_ok=True)
    return tmp_path


@pytest.fixture
def run_example(tmp_path: Path) -> RunExample:
    """`run_example(command, …arguments, …settings)` runs a command that a script's docstring states.

    It runs in the test's folder, with further arguments and environment variables, and what is printed is returned.
    """

    def run(command: str, *arguments: str | Path, **settings: str) -> str:
        python, script, *words = shlex.split(command)
        assert (python, command in commands(Path(script).name)) == ("python", True)
        return run_python(tmp_path, EXAMPLES.parent / script, *words, *arguments, **settings)

    return run


@pytest.fixture
def call_example(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> RunExample:
    """The same as `run_example` in this process, which has imported torch already."""

    def call(command: str, *arguments: str | Path) -> str:
        python, script, *words = shlex.split(command)
        assert (python, command in commands(Path(script).name)) == ("python", True)
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", [script, *words, *map(str, arguments)])
        runpy.run_path(str(EXAMPLES.parent / script), run_name="__main__")
        return capsys.readouterr().out

    return call


def run_python(folder: Path, *words: str | Path, **settings: str) -> str:
    """Runs Python with these words and environment variables in a folder, and returns what it prints."""
    done = subprocess.run(
        [sys.executable, *map(str, words)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT), **settings},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
