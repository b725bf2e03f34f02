"""No traceback, whatever the encoding of the streams, whatever fails, whenever Ctrl-C is pressed."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import CHECKOUT
from tests.llavamed_data.pipeline.builds.test_build import llavamed


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("built")
    assert llavamed("build", "60k-im", "--size", "5", cwd=folder).returncode == 0
    return folder


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
@pytest.mark.parametrize(
    "words",
    [
        ["--help"],
        ["build", "--help"],
        ["build", "60k-im", "--size", "5"],
        ["build", "60k-im", "--size", "5", "--json"],
        ["show", "llava-med/60k-im", "99000010_f1"],
        ["build", "sixty–k"],
    ],
    ids=" ".join,
)
def test_every_encoding_of_the_streams_takes_all_that_is_printed(
    built: Path, encoding: str, words: list[str]
) -> None:
    command = [sys.executable, "-m", "llavamed_data", *words]
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    done = subprocess.run(command, cwd=built, env=environment, capture_output=True, timeout=120)
    assert done.returncode == (2 if "sixty–k" in words else 0), done.stderr
    assert b"Traceback" not in done.stderr
    text = (done.stdout + done.stderr).decode(encoding.partition(":")[0])
    if "ascii" in encoding and words[-1] == "99000010_f1":
        assert "99000010_f1 | chest_xray" in text


def test_a_name_that_is_no_text_is_printed_by_its_bytes(tmp_path: Path) -> None:
    done = llavamed("build", "60k-im", "--source", os.fsdecode(b"not-there-\xff"), cwd=tmp_path)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "not-there-" in done.stderr


def test_closed_streams_are_no_fault(built: Path) -> None:
    command = f"{sys.executable} -m llavamed_data build 60k-im --size 5 >&- 2>&-"
    assert subprocess.run(["bash", "-c", command], cwd=built, timeout=120).returncode == 0


def test_a_fault_of_the_program_is_one_line_and_vv_shows_where(tmp_path: Path) -> None:
    broken = (
        "import llavamed_data.commands as c, sys\n"
        "def build(*, seed: int = 0) -> None:\n"
        '    "Build.\\n\\n    Args:\\n        seed: a number.\\n    "\n'
        "    raise ZeroDivisionError('two lines\\nof it')\n"
        "c.build = build\n"
        "from llavamed_data.cli import main\n"
        "main()"
    )
    for words, lines in (([], 1), (["-vv"], 5)):
        command = [sys.executable, "-c", broken, "build", *words]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
        assert done.returncode == 1
        assert "error: two lines of it (ZeroDivisionError): this is a fault of the program" in done.stderr
        assert ("Traceback" in done.stderr) == bool(words)
        assert len(done.stderr.splitlines()) >= lines


@pytest.mark.parametrize(
    ("package", "module"),
    [
        ("llavamed_data", "lazy_loader"),
        ("llavamed_data", "typer"),
        ("llavamed_data", "rich.console"),
        ("llavamed_data", "numpy"),
        ("llavamed_trainer", "lazy_loader"),
        ("llavamed_trainer", "typer"),
        ("llavamed_trainer", "rich.console"),
    ],
)
@pytest.mark.parametrize("as_script", [False, True], ids=["python -m", "console script"])
def test_ctrl_c_during_imports_is_one_line(
    package: str, module: str, as_script: bool, tmp_path: Path
) -> None:
    words = ["build"] if package == "llavamed_data" else ["tables", "."]
    script = tmp_path / package.replace("_", "-")
    script.write_text(f"from {package}.__main__ import main\nmain()\n")
    began = [str(script)] if as_script else ["-m", package]
    command = [sys.executable, "-X", "importtime", *began, *words]
    with subprocess.Popen(
        command,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(CHECKOUT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=_interruptible,
    ) as running:
        assert running.stderr
        for line in running.stderr:
            if line.rstrip().rpartition(" ")[2] == module:
                running.send_signal(signal.SIGINT)
                break
        rest = [line for line in running.stderr if not line.startswith("import time:")]
    assert running.returncode in (130, -signal.SIGINT)
    assert [line for line in rest if line.strip()] == [
        "error: stopped: rerun the same command to go on; finished work is kept\n"
    ]


def test_ctrl_c_during_the_work_is_one_line_and_a_rerun_goes_on(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "llavamed_data", "build", "60k-im"]
    with subprocess.Popen(
        command,
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=_interruptible,
    ) as running:
        while not (tmp_path / ".llavamed").exists():
            assert running.poll() is None
        running.send_signal(signal.SIGINT)
        _, error = running.communicate(timeout=60)
    assert running.returncode in (130, -signal.SIGINT)
    assert error == "error: stopped: rerun the same command to go on; finished work is kept\n"
    assert llavamed("build", "60k-im", cwd=tmp_path).returncode == 0


def _interruptible() -> None:
    """Makes the process take Ctrl-C, which one that was started in the background ignores."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
