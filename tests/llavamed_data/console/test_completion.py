"""The console scripts complete words in the shell, and install that completion; `python -m` cannot be completed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import CHECKOUT

SCRIPTS = {"llavamed-data": "llavamed_data", "llavamed-trainer": "llavamed_trainer"}


@pytest.fixture(params=SCRIPTS)
def script(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A console script as pip writes it."""
    path = tmp_path / request.param
    package = SCRIPTS[request.param]
    path.write_text(f"#!{sys.executable}\nfrom {package}.__main__ import main\nmain()\n")
    path.chmod(0o755)
    return path


def run(*command: str | Path, **environment: str) -> str:
    done = subprocess.run(
        [str(part) for part in command],
        env=os.environ | {"PYTHONPATH": str(CHECKOUT)} | environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def completed(script: Path, words: str) -> list[str]:
    """What bash offers for the last of the words, by the function that the installation writes."""
    shell = (
        f'source "$HOME/.bash_completions/{script.name}.sh"\n'
        f"COMP_WORDS=({words})\nCOMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))\n"
        f'_{script.name.replace("-", "_")}_completion {script.name}\nprintf "%s\\n" "${{COMPREPLY[@]}}"'
    )
    path = f"{script.parent}:{os.environ['PATH']}"
    return run("bash", "-c", shell, HOME=str(script.parent), PATH=path).split()


def test_a_console_script_installs_its_completion(script: Path) -> None:
    home = {"HOME": str(script.parent), "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
    run(script, "--install-completion", "bash", **home)
    first = {"llavamed-data": ("est", ["estimate"]), "llavamed-trainer": ("ass", ["assemble"])}[script.name]
    assert completed(script, f"{script.name} {first[0]}") == first[1]
    if script.name == "llavamed-data":
        assert completed(script, "llavamed-data build --cleaning") == ["--cleaning-rules"]
        assert completed(script, "llavamed-data export set --to web") == ["webdataset"]


@pytest.mark.parametrize("package", SCRIPTS.values())
def test_the_call_by_python_offers_no_completion(package: str) -> None:
    assert "--install-completion" not in run(sys.executable, "-m", package, "--help")
