"""Pickled rows are read without running anything that a pickle asks for."""

import os
import pickle
import tracemalloc
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llavamed_data.errors import LlavaMedError
from llavamed_data.sources.benchmarks.records import read_pickle
from tests.llavamed_data.sources.benchmarks.drawn import path_rows, write

_ROWS = st.lists(
    st.dictionaries(
        st.text(max_size=5), st.text(max_size=9) | st.integers() | st.floats(allow_nan=False) | st.none()
    )
)


class _Runs:
    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self._path),)


@settings(deadline=None)
@given(_ROWS, st.integers(0, pickle.HIGHEST_PROTOCOL))
def test_plain_rows_come_back_from_every_protocol(
    tmp_path_factory: pytest.TempPathFactory, rows: Any, protocol: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "rows.pkl"
    path.write_bytes(pickle.dumps(rows, protocol))
    assert read_pickle(path) == rows


def test_a_pickle_that_runs_code_runs_none(tmp_path: Path) -> None:
    path = write(tmp_path / "a.pkl", pickle.dumps([*path_rows("test"), _Runs(tmp_path / "ran")]))
    with pytest.raises(LlavaMedError, match=r"asks for posix\.mkdir: only plain lists"):
        read_pickle(path)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (pickle.dumps([date(2020, 1, 1)]), "asks for datetime.date"),
        (pickle.dumps({"a": 1}), "holds a dict, not a list"),
        (pickle.dumps(path_rows("test"))[:-9], "no sound pickle"),
        (b"", "no sound pickle"),
        (b"<html>", "no sound pickle"),
        (b"\x80\x02P1\n.", "refers to objects outside it"),
        (b"\x80\x02\x82\x01.", "registered class"),
    ],
)
def test_a_pickle_that_is_no_list_of_plain_rows_is_refused(tmp_path: Path, content: bytes, says: str) -> None:
    with pytest.raises(LlavaMedError, match=says):
        read_pickle(write(tmp_path / "a.pkl", content))


def test_a_small_file_cannot_ask_for_much_memory(tmp_path: Path) -> None:
    """The memo's index is the file's choice: the unpickler in C reserves 16 bytes for every number below it."""
    path = write(tmp_path / "a.pkl", b"\x80\x02]r\xff\xff\xff\x7f.")
    tracemalloc.start()
    assert read_pickle(path) == []
    assert tracemalloc.get_traced_memory()[1] < 1_000_000
    tracemalloc.stop()
