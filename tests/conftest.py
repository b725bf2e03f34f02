"""Fixtures that every test package shares."""

import os
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch: threads of small matrices fight for busy cores
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")

import pytest

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
