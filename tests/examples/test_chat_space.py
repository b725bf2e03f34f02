"""The Space for a chat shows the model's page, and does not start without a model."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import httpx

from tests.conftest import CHECKOUT, EXAMPLES
from tests.llavamed_data.validation.sets import sound_set
from tests.servers.openai import KEY, Settings, running

APP = EXAMPLES / "spaces" / "chat" / "app.py"


def settings(**more: str) -> dict[str, str]:
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("LLAVAMED_", "GRADIO_"))
    }
    return {**kept, "PYTHONPATH": str(CHECKOUT), "OPENAI_API_KEY": KEY, **more}


def test_it_does_not_start_without_a_model() -> None:
    done = subprocess.run([sys.executable, APP], env=settings(), capture_output=True, text=True)
    assert done.returncode == 1
    assert "set LLAVAMED_MODEL" in done.stderr


def test_it_shows_the_page_with_the_images_of_the_dataset(tmp_path: Path) -> None:
    folder = sound_set(tmp_path / "set")
    with running(Settings()) as server:
        given = settings(LLAVAMED_MODEL="judge", LLAVAMED_BASE_URL=server.url, LLAVAMED_DATASET=str(folder))
        with subprocess.Popen(
            [sys.executable, APP], env=given, cwd=tmp_path, stdout=subprocess.PIPE, text=True
        ) as started:
            try:
                assert started.stdout
                said = re.match(r"(http://\S+/) talks with judge", started.stdout.readline())
                assert said
                shown = httpx.get(f"{said[1]}config", timeout=30).text
                assert "chest xray" in shown
                assert "For research only" in shown
                started.send_signal(signal.SIGINT)
                assert started.wait(30) == 0
            finally:
                started.kill()
