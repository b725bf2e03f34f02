"""Builds with a recipe and with cleaning rules of a user's own, on the bundled sample."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from llavamed_data import BuildOptions, build, update, validate
from llavamed_data.errors import UsageError
from llavamed_data.instruct import GenerationOptions
from tests.llavamed_data.pipeline.builds.test_build import llavamed
from tests.servers.openai import KEY, running

RECIPE = "{recipe: 60k-im, name: ct-and-mri, size: 6, select: {domains: [ct_scan, mri]}}"
RULES = """\
rules:
  - name: arrow_in_brackets
    kind: cut_aside
    pattern: "\\\\((?:\\\\w+ )?arrow(?:head)?s?\\\\)"
    example: {before: "The mass (arrow) is round.", after: "The mass is round."}
"""
ARROW = re.compile(r"\((?:\w+ )?arrow(?:head)?s?\)")


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "mine.yaml"
    path.write_text(RECIPE)
    return path


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    path = tmp_path / "rules.yaml"
    path.write_text(RULES)
    return path


@pytest.fixture
def options(tmp_path: Path) -> BuildOptions:
    return BuildOptions(out=tmp_path / "llava-med", work=tmp_path / "work")


def rows(folder: Path) -> list[dict[str, Any]]:
    return pq.read_table(next((folder / "data").iterdir())).to_pylist()


def texts(folder: Path) -> list[str]:
    return [
        part["text"] or "" for row in rows(folder) for turn in row["messages"] for part in turn["content"]
    ]


def test_the_figures_are_those_of_the_varied_set_that_the_recipe_wants(
    recipe: Path, options: BuildOptions
) -> None:
    build(["60k-im", recipe], options)
    whole, own = (rows(options.out / name) for name in ("60k-im", "ct-and-mri"))
    assert [row["domain"] for row in own] == ["ct_scan", "mri"] * 3
    for domain in ("ct_scan", "mri"):
        ranked = [row["id"] for row in whole if row["domain"] == domain]
        assert [row["id"] for row in own if row["domain"] == domain] == ranked[:3]
    assert {row["provenance"]["recipe"] for row in own} == {"ct-and-mri"}
    assert validate(str(options.out / "ct-and-mri")).ok


def test_the_card_says_what_was_drawn_from_and_what_was_varied(recipe: Path, options: BuildOptions) -> None:
    build([recipe], options)
    card = " ".join((options.out / "ct-and-mri" / "README.md").read_text().split())
    assert "single-plot figures of the domains ct\\_scan, mri that a sentence mentions" in card
    assert "not one of the paper's: it varies `60k-im`" in card


def test_update_builds_a_user_s_own_recipe_again(recipe: Path, options: BuildOptions) -> None:
    build([recipe], options)
    recipe.write_text(RECIPE.replace("size: 6", "size: 4"))
    (summary,) = update(options.work)
    assert [(built.name, built.rows) for built in summary.datasets] == [("ct-and-mri", 4)]


def test_two_recipes_of_one_name_are_refused(recipe: Path, options: BuildOptions, tmp_path: Path) -> None:
    other = tmp_path / "other.yaml"
    other.write_text(RECIPE)
    with pytest.raises(UsageError, match="two recipes are called 'ct-and-mri'"):
        build([recipe, other], options)


def test_own_cleaning_rules_apply_to_what_the_offline_generator_writes(
    rules: Path, options: BuildOptions
) -> None:
    build(["60k-im"], options)
    before = texts(options.out / "60k-im")
    assert any(map(ARROW.search, before))
    summary = build(["60k-im"], replace(options, writing=GenerationOptions(cleaning_rules=rules)))
    after = texts(options.out / "60k-im")
    assert not any(map(ARROW.search, after))
    assert len(after) == len(before)
    versions = {row["provenance"]["rules_version"] for row in rows(options.out / "60k-im")}
    assert all(re.fullmatch(r"1\+[0-9a-f]{12}", version) for version in versions)
    assert any("cleaning rules touched arrow_in_brackets" in note for note in summary.notes)
    assert "| arrow_in_brackets |" in (options.out / "60k-im" / "README.md").read_text().replace("\\", "")
    assert validate(str(options.out / "60k-im")).ok


def test_own_cleaning_rules_apply_to_what_a_model_writes(rules: Path, tmp_path: Path) -> None:
    first_round = (
        "{name: first, kind: drop_round, pattern: in place 0, example: {before: 'What is in place 0?'}}"
    )
    rules.write_text(f"{RULES}  - {first_round}\n")
    with running() as server:
        asked = ("--generator", "openai", "--model", "gpt-4o", "--base-url", server.url)
        done = llavamed(
            *("build", "10k", *asked, "--cleaning-rules", str(rules)),
            cwd=tmp_path,
            env={"OPENAI_API_KEY": KEY},
        )
    assert done.returncode == 0, done.stderr
    written = texts(tmp_path / "llava-med" / "10k")
    assert any("in place 1?" in text for text in written)
    assert not any("in place 0?" in text for text in written)


def test_faulty_cleaning_rules_end_a_build_before_any_work(rules: Path, options: BuildOptions) -> None:
    rules.write_text(RULES.replace("cut_aside", "cut"))
    with pytest.raises(UsageError, match="cleaning rule 1 \\(arrow_in_brackets\\): kind must be one of"):
        build(["60k-im"], replace(options, writing=GenerationOptions(cleaning_rules=rules)))
    assert not (options.work / "lock").exists() or not list(options.work.glob("sample-*"))
