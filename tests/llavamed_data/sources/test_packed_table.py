"""A packed table holds what a dictionary of lists holds, in memory and read from a file."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llavamed_data.sources.packed_table import PackedTable

keys = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=6)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tables") / "table"


@given(entries=st.lists(st.tuples(keys, texts)))
def test_every_entry_is_found_under_its_key_in_the_given_order(
    entries: list[tuple[str, str]], file: Path
) -> None:
    table = PackedTable(entries)
    table.write(file)
    for each in (table, PackedTable.open(file)):
        assert list(each) == entries
        assert len(each) == len(entries)
        for key in {key for key, _ in entries} | {"absent"}:
            assert list(each.texts(key)) == [text for found, text in entries if found == key]


def test_names_that_are_not_utf8_are_kept() -> None:
    name = b"latin-\xe9".decode("utf-8", "surrogateescape")
    assert list(PackedTable([(name, name)]).texts(name)) == [name]
