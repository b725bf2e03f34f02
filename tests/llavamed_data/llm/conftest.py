"""A local server of the OpenAI API, a journal, and clients that ask the server."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from llavamed_data.llm import ChatModel, Endpoint, Journal, RunLimits
from llavamed_data.llm.chat import ChatClient
from llavamed_data.llm.costs import Price
from tests.servers.openai import KEY, Server, running

QUICK = RunLimits(backoff=0.01, attempts=6)
MakeClient = Callable[..., ChatClient]


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)


@pytest.fixture
def server() -> Iterator[Server]:
    with running() as server:
        yield server


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal(tmp_path / "journal.jsonl") as journal:
        yield journal


@pytest.fixture
def make_client(server: Server, journal: Journal) -> MakeClient:
    def make(
        limits: RunLimits = QUICK, *, model: str = "gpt-4o", timeout: float = 5.0, price: Price | None = None
    ) -> ChatClient:
        return ChatClient(
            ChatModel(model, max_tokens=200), Endpoint(server.url, timeout=timeout), journal,
            limits=limits, price=price,
        )  # fmt: skip

    return make
