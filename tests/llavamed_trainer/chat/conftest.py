"""An image, tiny models of three families, and a server, to talk with."""

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

from llavamed_trainer.chat import ChatImage, ServerAssistant
from tests.llavamed_trainer.tiny_models import missing_package, write_tiny_model
from tests.servers.openai import KEY, Server, Settings, running

QUESTIONS = ("What does the image show?", "Is it large?", "Where is it?")


def drawn_bytes() -> bytes:
    image = Image.new("RGB", (120, 90), "black")
    ImageDraw.Draw(image).ellipse((20, 15, 70, 65), fill="red")
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


@pytest.fixture(scope="session")
def image() -> ChatImage:
    return ChatImage("drawn.png", drawn_bytes())


@pytest.fixture
def image_file(tmp_path: Path) -> Path:
    path = tmp_path / "drawn.png"
    path.write_bytes(drawn_bytes())
    return path


@pytest.fixture(scope="session", params=["llava", "qwen2.5-vl", "smolvlm"])
def tiny_model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    if package := missing_package(request.param):
        pytest.skip(f"the processor of {request.param} needs {package}")
    return write_tiny_model(request.param, tmp_path_factory.mktemp(request.param), list(QUESTIONS))


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with running(Settings()) as started:
        yield started


@pytest.fixture
def served(server: Server) -> ServerAssistant:
    return ServerAssistant("judge", server.url)
