"""The back ends open by name, and importing the package does not load the LLM client."""

import subprocess
import sys
from pathlib import Path

import pytest

from llavamed_data.errors import UsageError
from llavamed_data.instruct.conversation import Conversation
from llavamed_data.instruct.generate import open_generator
from llavamed_data.llm.batch import BatchClient
from llavamed_data.llm.chat import Limits
from llavamed_data.llm.journal import Journal
from llavamed_data.llm.server import Server
from tests.llavamed_data.instruct.conftest import make_pairs
from tests.servers.openai import Server as LocalServer


def test_the_llm_client_is_not_loaded_where_no_llm_is_asked() -> None:
    code = "import sys, llavamed_data.instruct.conversation; sys.exit('openai' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("name", ["openai", "openai-batch"])
def test_a_back_end_opens_by_name(name: str, server: LocalServer, journal: Journal) -> None:
    generator = open_generator(name, "gpt-4o", journal, mentions=True, server=Server(server.url))
    if isinstance(generator.completer, BatchClient):
        assert (generator.completer.limits.requests, generator.completer.limits.size) == (50_000, 200_000_000)
        return
    (made,) = generator.generate(make_pairs(1))
    assert isinstance(made, Conversation)
    assert generator.name == name


def test_a_model_of_ones_own_needs_no_price_unless_cost_is_limited(
    server: LocalServer, journal: Journal, tmp_path: Path
) -> None:
    address = Server(server.url)
    assert open_generator("openai", "llama", journal, mentions=True, server=address).model == "llama"
    with pytest.raises(UsageError, match="needs the price of llama"):
        open_generator("openai", "llama", journal, mentions=True, server=address, limits=Limits(max_cost=1.0))
    with pytest.raises(UsageError, match="cannot be read"):
        open_generator("openai", "llama", journal, mentions=True, few_shots=tmp_path / "x", server=address)
