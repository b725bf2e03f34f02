"""The Space for a review asks for a password, and does not start where decisions would be lost."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.conftest import CHECKOUT, EXAMPLES
from tests.llavamed_data.validation.sets import sound_set

APP = EXAMPLES / "spaces" / "review" / "app.py"


def settings(folder: Path, **more: str) -> dict[str, str]:
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("LLAVAMED_", "GRADIO_"))
    }
    given = {
        "LLAVAMED_DATASET": str(folder / "set"),
        "LLAVAMED_PAGE_PASSWORD": "pass",
        "LLAVAMED_DATA": str(folder),
    }
    return {**kept, "PYTHONPATH": str(CHECKOUT), **given, **more}


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("LLAVAMED_DATASET", "", "set LLAVAMED_DATASET"),
        ("LLAVAMED_PAGE_PASSWORD", "", "set LLAVAMED_PAGE_PASSWORD"),
        ("LLAVAMED_DATA", "/none", "give the Space persistent storage"),
    ],
)
def test_it_does_not_start_without_its_settings(tmp_path: Path, name: str, value: str, said: str) -> None:
    done = subprocess.run(
        [sys.executable, APP], env=settings(tmp_path, **{name: value}), capture_output=True, text=True
    )
    assert done.returncode == 1
    assert said in done.stderr


def test_it_asks_for_the_password_and_shows_the_rows(tmp_path: Path) -> None:
    sound_set(tmp_path / "set")
    with subprocess.Popen(
        [sys.executable, APP], env=settings(tmp_path), cwd=tmp_path, stdout=subprocess.PIPE, text=True
    ) as running:
        assert running.stdout
        said = re.match(r"(http://\S+) shows 12 rows of set", running.stdout.readline())
        assert said
        with httpx.Client(base_url=said[1], timeout=30) as client:
            assert client.get("/config").status_code == 401
            client.post("/login", data={"username": "anna", "password": "pass"})
            assert client.get("/config").status_code == 200
        running.send_signal(signal.SIGINT)
        assert running.wait(30) == 0
