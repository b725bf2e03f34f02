"""Fixtures that every test package shares."""

import os
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch: threads of small matrices fight for busy cores
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")

import pytest

from tests.servers.slurm import install

CHECKOUT = Path(__file__).resolve().parents[1]
"""The folder that holds the packages, the tests and the examples."""

EXAMPLES = CHECKOUT / "examples"

SHARED_DATA = CHECKOUT.parent / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data beside the checkout; tests that need it are skipped where it is missing."""
    if not SHARED_DATA.is_dir():
        pytest.skip("needs the real data in ../shared/data, which is not here")
    return SHARED_DATA


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Puts stand-ins for Slurm's commands on the PATH; returns the folder of their jobs."""
    install(tmp_path / "bin", tmp_path / "slurm")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(CHECKOUT))  # jobs load the functions of the tests
    monkeypatch.setattr("llavamed_data.engine.slurm._POLL_SECONDS", 0.1)
    monkeypatch.setattr("llavamed_data.engine.slurm._SACCT_SECONDS", 1)
    return tmp_path / "slurm"
