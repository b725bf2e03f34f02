"""The command `chat`: which way of talking its options choose, what it refuses, and that it serves the page."""

import re
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from llavamed_data.errors import UsageError
from llavamed_trainer.cli.app import app
from tests.llavamed_data.validation.sets import sound_set
from tests.servers.openai import Server


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--script", "q.yaml"], "--script FILE and --out TABLE go together"),
        (["--script", "q.yaml", "--out", "t.md", "--image", "a.png"], "--script names its own images"),
        (["--image", "a.png", "--dataset", "set"], "are for the page: leave them out with --image"),
        (
            ["--script", "q.yaml", "--out", "t.md", "--port", "80"],
            "are for the page: leave them out with --script",
        ),
        (["--image", "none.png"], "none.png cannot be read"),
        (["--dataset", "none"], "none"),
        (["--host", "0.0.0.0"], "set a password for them in the environment variable LLAVAMED_PAGE_PASSWORD"),
        (["--temperature", "0.5", "--image", "text.png"], "text.png is no image"),
    ],
)
def test_a_wrong_call_is_refused_before_a_model_is_loaded(
    tmp_path: Path, words: list[str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LLAVAMED_PAGE_PASSWORD", raising=False)
    monkeypatch.delenv("SPACE_ID", raising=False)
    (tmp_path / "text.png").write_text("no image")
    with pytest.raises(UsageError, match=said):
        CliRunner().invoke(app, ["chat", "--model", "no-such-model", *words], catch_exceptions=False)


def test_the_page_is_served_until_it_is_stopped(server: Server, tmp_path: Path) -> None:
    words = ["--model", "judge", "--base-url", server.url, "--dataset", str(sound_set(tmp_path / "set"))]
    with subprocess.Popen(
        [sys.executable, "-m", "llavamed_trainer", "chat", *words],
        stdout=subprocess.PIPE,
        text=True,
    ) as started:
        try:
            assert started.stdout
            line = started.stdout.readline()
            said = re.fullmatch(r"(http://127\.0\.0\.1:\d+/) talks with judge; stop with Ctrl-C\n", line)
            assert said
            assert "chest xray" in httpx.get(f"{said[1]}config", timeout=30).text
            started.send_signal(signal.SIGINT)
            assert started.wait(30) == 0
        finally:
            started.kill()
