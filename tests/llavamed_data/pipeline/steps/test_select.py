"""What the ranking promises: exact, nested, stable, and every figure accounted for."""

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llavamed_data.io.parquet import write_rows
from llavamed_data.pipeline.steps.acquire import quotas_of
from llavamed_data.pipeline.steps.extract import PAIRS, Extracted
from llavamed_data.pipeline.steps.select import ExcludedArticles, Selected, rank_hash, select
from llavamed_data.pipeline.steps.step import StepManifest
from llavamed_data.recipes import Recipe, load_recipe


def pair(number: int, **changes: Any) -> dict[str, Any]:
    return {
        "pair_id": f"{number}_F1",
        "pmcid": f"PMC{number}",
        "pmid": str(number),
        "figure_id": "F1",
        "figure_label": "Figure 1",
        "caption": "Axial CT.",
        "inline_mentions": ["CT was done (Figure 1)."],
        "image": f"PMC{number}.1/f1.jpg",
        "license": "CC BY",
        "single_plot": True,
        "domain": "ct_scan",
        **changes,
    }


def extracted(folder: Path, pairs: list[dict[str, Any]], *, files: int = 3) -> Extracted:
    """An extraction that left `pairs` in several files."""
    for index in range(files):
        write_rows(folder / f"pairs-{index}.parquet", PAIRS, pairs[index::files])
    return Extracted(folder, StepManifest("extract", "inputs", {}, {}))


def run(
    tmp_path: Path,
    recipe: Recipe,
    pairs: list[dict[str, Any]],
    excluded: ExcludedArticles | None = None,
) -> tuple[list[dict[str, Any]], Selected]:
    """The ranked pairs, each with the group that it is in, and the selection."""
    of = extracted(tmp_path, pairs)
    folder = tmp_path / f"select-{recipe.name}-{recipe.size}"
    selected = select({folder: recipe}, of, seed=0, excluded=excluded)[recipe.name]
    ranked = []
    for group, rows in selected.candidates().items():
        ranked += [{**row, "group": group} for row in of.take(rows).to_pylist()]
    return ranked, selected


def test_the_rank_never_changes_between_versions() -> None:
    # blake2b of the id, 16 bytes, keyed "instruct:0": published sets rest on it
    assert rank_hash("instruct", 0)(b"18063892_F3").hex() == "462e0a836effb5057608a72df1ba702e"
    assert rank_hash("instruct", 0)(b"18063892_F3") != rank_hash("instruct", 1)(b"18063892_F3")
    assert rank_hash("instruct", 0)(b"18063892_F3") != rank_hash("alignment", 0)(b"18063892_F3")


def test_candidates_come_by_domain_in_rank_order(tmp_path: Path) -> None:
    pairs = [pair(n, domain=("mri", "gross")[n % 2]) for n in range(40)]
    ranked, selected = run(tmp_path, replace(load_recipe("60k"), size=1000), pairs)
    assert [row["domain"] for row in ranked] == ["mri"] * 20 + ["gross"] * 20
    for domain in ("mri", "gross"):
        ids = [row["pair_id"] for row in ranked if row["domain"] == domain]
        assert ids == sorted(ids, key=lambda name: rank_hash("instruct", 0)(name.encode()))
    assert selected.kept("figures") == 40


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"image": None}, "no image"),
        ({"license": None}, "no licence"),
        ({"single_plot": False}, "compound by caption"),
        ({"domain": None}, "no domain"),
        ({"inline_mentions": []}, "no mention"),
    ],
)
def test_a_figure_that_fails_a_text_test_is_dropped_with_its_reason(
    tmp_path: Path, changes: dict[str, Any], reason: str
) -> None:
    recipe = replace(load_recipe("60k-im"), size=10)
    ranked, selected = run(tmp_path, recipe, [pair(1), pair(2, **changes)])
    assert [row["pair_id"] for row in ranked] == ["1_F1"]
    assert selected.manifest.tallies["figures"].dropped == {reason: 1}
    dropped = pq.read_table(tmp_path / "select-60k-im-10" / "dropped.parquet").to_pylist()
    assert [(row["id"], row["reason"]) for row in dropped] == [("2_F1", reason)]


def test_alignment_takes_compound_figures_and_any_domain(tmp_path: Path) -> None:
    pairs = [pair(1, single_plot=False), pair(2, domain=None), pair(3, inline_mentions=[])]
    ranked, _ = run(tmp_path, load_recipe("alignment-600k"), pairs)
    assert {row["pair_id"] for row in ranked} == {"1_F1", "2_F1", "3_F1"}


def test_excluded_articles_are_never_candidates(tmp_path: Path) -> None:
    excluded = ExcludedArticles(frozenset({"PMC2", "3"}), frozenset({"4"}))
    ranked, selected = run(tmp_path, load_recipe("60k"), [pair(n) for n in range(1, 6)], excluded)
    assert {row["pair_id"] for row in ranked} == {"1_F1", "5_F1"}
    assert selected.manifest.tallies["figures"].dropped == {
        "article of the eval set": 2,
        "article of the released eval set": 1,
    }


def test_a_repeated_pair_counts_once(tmp_path: Path) -> None:
    ranked, selected = run(tmp_path, load_recipe("60k"), [pair(1), pair(2), pair(1)])
    assert Counter(row["pair_id"] for row in ranked) == {"1_F1": 1, "2_F1": 1}
    assert selected.manifest.tallies["figures"].dropped == {"duplicate id": 1}


def test_eval_takes_one_figure_an_article_and_at_most_one_article_in_eight(tmp_path: Path) -> None:
    pairs = [pair(n, pair_id=f"{n}_F{k}", domain=("mri", "gross")[k]) for n in range(24) for k in range(2)]
    ranked, selected = run(tmp_path, load_recipe("eval"), pairs)
    assert len({row["pmcid"] for row in ranked}) == len(ranked) == 24
    assert selected.size == 3
    assert selected.manifest.tallies["figures"].dropped == {"one figure an article": 24}


@pytest.mark.parametrize(("articles", "size"), [(1, 1), (8, 1), (15, 1), (16, 2), (400, 50), (1000, 50)])
def test_the_eval_set_s_share_of_a_small_source(tmp_path: Path, articles: int, size: int) -> None:
    _, selected = run(tmp_path, load_recipe("eval"), [pair(n) for n in range(articles)])
    assert selected.size == size


def test_a_smaller_set_of_the_same_ranking_is_the_beginning_of_a_larger_one(tmp_path: Path) -> None:
    pairs = [pair(n) for n in range(500)]
    small, _ = run(tmp_path, replace(load_recipe("10k"), size=20), pairs)
    large, _ = run(tmp_path, replace(load_recipe("60k"), size=200), pairs)
    assert [row["pair_id"] for row in large][: len(small)] == [row["pair_id"] for row in small]


def test_every_candidate_is_ranked_however_small_the_set(tmp_path: Path) -> None:
    ranked, selected = run(tmp_path, replace(load_recipe("60k"), size=5), [pair(n) for n in range(100)])
    assert len(ranked) == selected.kept("figures") == 100
    assert selected.size == 5


def test_several_recipes_are_selected_in_one_pass_as_each_alone(tmp_path: Path) -> None:
    pairs = [
        pair(
            n,
            single_plot=bool(n % 3),
            inline_mentions=["See Figure 1."] * (n % 2),
            domain=("mri", None)[n % 5 == 0],
        )
        for n in range(200)
    ]
    of = extracted(tmp_path, pairs)
    recipes = [load_recipe(name) for name in ("alignment-600k", "10k", "60k-im")]
    together = select({tmp_path / recipe.name: recipe for recipe in recipes}, of, seed=0, excluded=None)
    for recipe in recipes:
        alone = select({tmp_path / f"alone-{recipe.name}": recipe}, of, seed=0, excluded=None)[recipe.name]
        assert alone.manifest.tallies == together[recipe.name].manifest.tallies
        for group, rows in alone.candidates().items():
            assert rows.tolist() == together[recipe.name].candidates()[group].tolist()


def test_an_extraction_without_pairs_has_no_candidates(tmp_path: Path) -> None:
    ranked, selected = run(tmp_path, load_recipe("60k"), [])
    assert (ranked, selected.kept("figures")) == ([], 0)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 30), st.booleans(), st.sampled_from(["mri", "gross", None])), max_size=60
    ),
    st.integers(1, 40),
)
def test_in_is_kept_plus_dropped_and_the_first_of_equal_ids_is_ranked_by_its_hash(
    tmp_path_factory: pytest.TempPathFactory, given_pairs: list[tuple[int, bool, str | None]], size: int
) -> None:
    pairs = [pair(n, single_plot=single, domain=domain) for n, single, domain in given_pairs]
    recipe = replace(load_recipe("60k"), size=size)
    ranked, selected = run(tmp_path_factory.mktemp("s"), recipe, pairs)
    in_files = [each for first in range(3) for each in pairs[first::3]]
    assert selected.manifest.tallies["figures"].entered == len(pairs)
    for domain in ("mri", "gross"):
        ids = {p["pair_id"]: p["domain"] for p in reversed(in_files) if p["single_plot"] and p["domain"]}
        assert [row["pair_id"] for row in ranked if row["group"] == domain] == sorted(
            (name for name, of in ids.items() if of == domain),
            key=lambda name: rank_hash("instruct", 0)(name.encode()),
        )


def test_quotas_are_those_of_taking_turns() -> None:
    assert quotas_of(10, [9, 9, 9, 9, 9]) == [2, 2, 2, 2, 2]
    assert quotas_of(7, [9, 9, 9, 9, 9]) == [2, 2, 1, 1, 1]
    assert quotas_of(10, [1, 9, 0, 9, 9]) == [1, 3, 0, 3, 3]
    assert quotas_of(10, [1, 2, 3, 0, 0]) == [1, 2, 3, 0, 0]
    assert quotas_of(0, [4, 4]) == [0, 0]


@given(st.integers(0, 60), st.lists(st.integers(0, 20), min_size=1, max_size=6))
def test_quotas_equal_a_literal_round_robin(size: int, capacities: list[int]) -> None:
    taken = [0] * len(capacities)
    while sum(taken) < min(size, sum(capacities)):
        for i, capacity in enumerate(capacities):
            if taken[i] < capacity and sum(taken) < size:
                taken[i] += 1
    assert quotas_of(size, capacities) == taken
