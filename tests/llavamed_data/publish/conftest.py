"""A Hub that all tests of this folder share, and one that a test may kill; a fresh home folder for every client."""

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

from tests.llavamed_data.publish.client import Client
from tests.llavamed_data.publish.sets import make_set
from tests.servers.hub import HubProcess, running_hub

_numbers = count()


@pytest.fixture(scope="session")
def shared_hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubProcess]:
    with running_hub(tmp_path_factory.mktemp("hub") / "data") as hub:
        yield hub


@pytest.fixture
def hub(shared_hub: HubProcess) -> Iterator[HubProcess]:
    """The shared Hub, without faults before and after the test."""
    shared_hub.faults()
    yield shared_hub
    shared_hub.faults()


@pytest.fixture
def own_hub(tmp_path: Path) -> Iterator[HubProcess]:
    """A Hub that a test may kill."""
    with running_hub(tmp_path / "hub") as hub:
        yield hub


@pytest.fixture(params=["xet", "lfs"])
def xet(request: pytest.FixtureRequest) -> bool:
    """Whether the clients use Xet: the test runs with both ways to upload."""
    return bool(request.param == "xet")


@pytest.fixture
def ada(hub: HubProcess, tmp_path: Path) -> Client:
    """A user who may write to `ada/` and `med-lab/`."""
    return Client(hub, tmp_path)


@pytest.fixture
def repo() -> str:
    """A repository that no other test uses."""
    return f"med-lab/set-{next(_numbers)}"


@pytest.fixture(scope="session")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A set of 12 rows in 2 shards, not to be changed."""
    return make_set(tmp_path_factory.mktemp("set") / "60k-im")


@pytest.fixture
def new_set(tmp_path: Path) -> Callable[..., Path]:
    """Makes a set in the test's folder."""
    return lambda name="60k-im", **options: make_set(tmp_path / "llava-med" / name, **options)
