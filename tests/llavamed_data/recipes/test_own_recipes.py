"""A user's own recipe varies an instruct set: what it states replaces what that set's recipe states."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from llavamed_data.errors import UsageError
from llavamed_data.recipes import find_recipe, load_recipe


def recipe(folder: Path, text: str) -> Path:
    path = folder / "mine.yaml"
    path.write_text(text)
    return path


def test_a_name_alone_is_the_paper_s_recipe() -> None:
    assert find_recipe("60k-im") is load_recipe("60k-im")


def test_what_a_recipe_states_replaces_what_the_varied_one_states(tmp_path: Path) -> None:
    path = recipe(
        tmp_path,
        """\
        recipe: 60k-im
        name: ct-and-mri
        title: CT and MRI
        size: 1000
        select: {domains: [ct_scan, mri], one_per_article: true}
        converse: {mentions: false}
        """,
    )
    found, base = find_recipe(path), load_recipe("60k-im")
    assert (found.name, found.title, found.size) == ("ct-and-mri", "CT and MRI", 1000)
    assert (found.schema, found.split) == ("instruct", "train")
    unit = "single-plot figures of the domains ct_scan, mri that a sentence mentions"
    changed = replace(base.select, domains=("ct_scan", "mri"), one_per_article=True, unit=unit)
    assert found.select == changed
    assert found.converse == replace(base.converse, mentions=False)
    assert (found.base, found.file) == ("60k-im", path)


def test_what_a_recipe_leaves_out_is_as_in_the_varied_one(tmp_path: Path) -> None:
    found, base = find_recipe(recipe(tmp_path, "{recipe: 10k, name: small}")), load_recipe("10k")
    assert (found.select, found.converse, found.size) == (base.select, base.converse, base.size)
    assert found.title == "small"


def test_a_recipe_is_read_again_when_its_file_has_changed(tmp_path: Path) -> None:
    assert find_recipe(recipe(tmp_path, "{recipe: 10k, name: mine, size: 1}")).size == 1
    assert find_recipe(recipe(tmp_path, "{recipe: 10k, name: mine, size: 2}")).size == 2


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{name: mine}", "'recipe' is a required property"),
        ("{recipe: 60k}", "'name' is a required property"),
        ("{recipe: eval, name: mine}", "in recipe: 'eval' is not one of ['10k', '60k', '60k-im']"),
        ("{recipe: 60k, name: 10k}", "in name: '10k' is not a name of its own"),
        ("{recipe: 60k, name: ../mine}", "in name: '../mine' is not a name of its own"),
        ("{recipe: 60k, name: mine, size: 0}", "in size: 0 is less than the minimum of 1"),
        ("{recipe: 60k, name: mine, sise: 1}", "('sise' was unexpected)"),
        ("{recipe: 60k, name: mine, select: {domains: [pet]}}", "in select.domains.0: 'pet' is not one of"),
        ("{recipe: 60k, name: mine, select: {domains: []}}", "in select.domains: [] should be non-empty"),
        ("[60k]", "is not of type 'object'"),
        ("{", "cannot be read"),
    ],
)
def test_a_fault_is_named_with_its_place(text: str, says: str, tmp_path: Path) -> None:
    path = recipe(tmp_path, text)
    with pytest.raises(UsageError, match=re.escape(says)) as error:
        find_recipe(path)
    assert str(path) in str(error.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"none\.yaml cannot be read"):
        find_recipe(tmp_path / "none.yaml")
