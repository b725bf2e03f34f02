"""The folder in which the pages are run."""

import pytest

from tests.docs.run import ReaderFolder


@pytest.fixture(scope="session")
def reader(tmp_path_factory: pytest.TempPathFactory) -> ReaderFolder:
    """The folder of a reader, with the datasets of the sample, which are built once."""
    return ReaderFolder(tmp_path_factory.mktemp("reader"))
