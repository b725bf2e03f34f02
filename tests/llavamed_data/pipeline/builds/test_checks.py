"""An option that would do nothing is refused by the name of its flag, before any work."""

from pathlib import Path
from typing import Any

import pytest

import llavamed_data
from llavamed_data.errors import UsageError
from tests.llavamed_data.pipeline.builds.test_build import llavamed

LLM: dict[str, Any] = {
    "model": "m",
    "base_url": "http://127.0.0.1:1/v1",
    "few_shots": "shots.yaml",
    "prices": "prices.yaml",
    "rpm": 5,
    "tpm": 5,
    "max_cost": 1,
    "timeout": 5,
    "drop_unseen_facts": True,
    "judge": "j",
    "best": 3,
}
OF_ARTICLES: dict[str, Any] = {
    "seed": 1,
    "size": 5,
    "limit": 1,
    "pmcids": "list.txt",
    "query": "chest",
    "keep_eval_articles": True,
}
WRITING = {**LLM, "generator": "openai", "cleaning_rules": "rules.yaml"}
OF_BUCKETS = {"license": "cc0", "historical_ocr": True}
BENCHMARK = {
    **OF_ARTICLES,
    **OF_BUCKETS,
    **WRITING,
    "keep_without_image": True,
    "image_urls": "urls.jsonl",
    "decisions": "decisions.jsonl",
    "flags": "flags.jsonl",
}
OF_BENCHMARKS = {"language": "en", "all_phrases": True, "original": "files"}
OF_RELEASED = {"images": "pictures", "image_urls": "urls.jsonl", "keep_without_image": True}
OPENAI = {"generator": "openai", "model": "m", "base_url": "http://127.0.0.1:1/v1"}


def cases() -> list[Any]:
    """(recipes, what is given beside the option, option, its value)."""
    tables = [
        (["slake"], {"source": "files"}, BENCHMARK),
        (["vqa-rad"], {"source": "hub"}, BENCHMARK),
        (["60k-im"], {"source": "released:files", "images": "pictures"}, {**OF_ARTICLES, **WRITING}),
        (["eval"], {"source": "released:files", "keep_without_image": True}, OF_BUCKETS),
        (["10k"], {"source": "released:files", "images": "pictures"}, OF_BENCHMARKS),
        (["60k-im"], {}, {**OF_BENCHMARKS, **OF_RELEASED, **LLM}),
        (["60k"], {"source": "jats:files"}, {**OF_BENCHMARKS, **OF_RELEASED, **LLM}),
        ([], {}, {**OF_BENCHMARKS, **OF_RELEASED, **LLM}),
        (["alignment-600k"], {}, WRITING),
        (["eval"], {}, {"size": 5, "keep_eval_articles": True}),
        (["eval"], OPENAI, {"judge": "j", "best": 3}),
        (["60k"], OPENAI, {"flags": "flags.jsonl"}),
        (["60k"], {**OPENAI, "generator": "openai-batch"}, {"rpm": 5, "tpm": 5}),
    ]
    return [
        pytest.param(recipes, given, name, value, id=f"{'+'.join(recipes)} {' '.join(given)} {name}")
        for recipes, given, options in tables
        for name, value in options.items()
    ]


@pytest.mark.parametrize(("recipes", "given", "name", "value"), cases())
def test_an_option_without_effect_is_named(
    recipes: list[str], given: dict[str, Any], name: str, value: Any, tmp_path: Path
) -> None:
    flag = f"--{name.replace('_', '-')}"
    with pytest.raises(
        UsageError, match=rf"{flag} (does|do) nothing|and {flag} do nothing|{flag},.* do nothing"
    ):
        llavamed_data.build(recipes, **{**given, name: value}, work=tmp_path / "work", out=tmp_path / "out")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        (["vqa-rad", "--source", "files", "--size", "5"], "--size"),
        (["path-vqa", "--source", "files", "--license", "cc0"], "--license"),
        (["path-vqa", "--source", "files", "--historical-ocr"], "--historical-ocr"),
        (["60k-im", "--source", "released:files", "--images", "x", "--limit", "1"], "--limit"),
        (["60k-im", "--max-cost", "3"], "--max-cost"),
        (["60k-im", "--keep-without-image"], "--keep-without-image"),
        (["alignment-600k", "--generator", "openai", "--model", "m"], "--generator and --model"),
    ],
)
def test_the_command_line_refuses_it_in_one_line(flags: list[str], named: str, tmp_path: Path) -> None:
    done = llavamed("build", *flags, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {named} do")
    assert len(done.stderr.splitlines()) == 1


def test_what_has_an_effect_on_one_of_several_recipes_is_taken(tmp_path: Path) -> None:
    summary = llavamed_data.build(["eval", "60k"], size=3, out=tmp_path / "out", work=tmp_path / "work")
    assert {built.name: built.rows for built in summary.datasets}["60k"] == 3


def test_update_repeats_a_build_though_an_option_does_nothing_for_the_recipe_that_is_left(
    tmp_path: Path,
) -> None:
    work = tmp_path / "work"
    llavamed_data.build(["eval", "60k"], size=3, out=tmp_path / "out", work=work)
    llavamed_data.build("60k", size=4, out=tmp_path / "out", work=work)
    assert len(llavamed_data.update(work)) == 2


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("size", 0),
        ("limit", -1),
        ("best", 0),
        ("rpm", 0.5),
        ("tpm", float("nan")),
        ("max_cost", -1.0),
        ("timeout", 0),
    ],
)
def test_a_number_out_of_range_is_named(name: str, value: float, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=f"--{name.replace('_', '-')} .* is too small"):
        llavamed_data.build("60k", **{name: value}, out=tmp_path / "out", work=tmp_path / "work")
