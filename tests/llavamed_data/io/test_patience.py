"""What is waited for is said while it is waited for: with a socket that takes connections and never answers."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from llavamed_data.errors import LlavaMedError
from llavamed_data.sources.eutils import Eutils


@pytest.fixture
def silent_address() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@pytest.mark.slow
def test_a_silent_search_is_reported(silent_address: str, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(LlavaMedError, match="cannot be used"):
        Eutils(address=silent_address, request_seconds=9, attempts=1).search("cyst")
    assert caplog.messages == [
        f"still waiting for an answer of the E-utilities at {silent_address} after 8 seconds"
    ]


@pytest.mark.slow
def test_a_silent_bucket_is_reported(silent_address: str, tmp_path: Path) -> None:
    source = f"{silent_address}/pmc"
    command = [sys.executable, "-m", "llavamed_data", "extract", "--source", source, "--out", "pairs.parquet"]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        said = process.stderr.readline()  # waits for it
        process.kill()
    assert said == f"still waiting for the inventory of {source} after 8 seconds\n"
