"""What generates a dataset's text opens by the options, and what is wrong with them is reported before any request."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from llavamed_data.errors import LlavaMedError, UsageError
from llavamed_data.instruct import GenerationOptions, LlmGenerator, OfflineGenerator, open_generation
from llavamed_data.instruct.conversation import Conversation
from llavamed_data.llm.batch import BatchClient
from llavamed_data.recipes import load_recipe
from tests.llavamed_data.instruct.conftest import make_pairs
from tests.servers.openai import Server

RECIPE = load_recipe("60k-im")


@pytest.fixture
def options(server: Server) -> GenerationOptions:
    return GenerationOptions(generator="openai", model="gpt-4o", base_url=server.url)


def test_the_openai_package_is_not_imported_until_an_llm_is_asked() -> None:
    code = "import sys, llavamed_data.instruct, llavamed_data.llm; sys.exit('openai' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("name", ["openai", "openai-batch"])
def test_an_llm_generator_opens_by_name(name: str, options: GenerationOptions, tmp_path: Path) -> None:
    with open_generation(RECIPE, replace(options, generator=name), tmp_path, 0) as generation:
        generator = generation.generator
        assert isinstance(generator, LlmGenerator)
        assert (generator.name, generator.model) == (name, "gpt-4o")
        assert generation.references is generation.judge is None
        if isinstance(generator.client, BatchClient):
            limits = generator.client.limits
            assert (limits.max_requests, limits.max_bytes) == (50_000, 200_000_000)
        else:
            (made,) = generator.generate(make_pairs(1))
            assert isinstance(made, Conversation)
            assert generation.answers_summary().startswith("1 answers of gpt-4o for $")


def test_captions_and_the_offline_generator_need_no_llm(options: GenerationOptions, tmp_path: Path) -> None:
    alignment = load_recipe("alignment-600k")
    for recipe, chosen in ((RECIPE, GenerationOptions()), (alignment, options)):
        with open_generation(recipe, chosen, tmp_path, 0) as generation:
            assert isinstance(generation.generator, OfflineGenerator)
            assert generation.answers_summary() == ""
    assert not (tmp_path / "journal.jsonl").exists()


def test_the_evaluation_set_has_reference_answers_and_other_sets_may_have_a_judge(
    options: GenerationOptions, tmp_path: Path
) -> None:
    with open_generation(load_recipe("eval"), options, tmp_path, 0) as generation:
        assert generation.references is not None
    with open_generation(RECIPE, replace(options, judge="judge", best=5), tmp_path, 0) as generation:
        assert "; the judge: 0 answers of judge for $0.00" in generation.answers_summary()
        assert generation.judge is not None
        assert (generation.judge.client.model.name, generation.best) == ("judge", 5)


def test_the_summary_of_answers_has_those_of_the_judge_too(
    options: GenerationOptions, tmp_path: Path
) -> None:
    judged = replace(options, judge="judge", best=5)
    with open_generation(RECIPE, judged, tmp_path, 0) as generation:
        (pair,) = make_pairs(1)
        (made,) = generation.generator.generate([pair])
        assert isinstance(made, Conversation)
        assert generation.judge is not None
        list(generation.judge.scores([(pair, made)]))
        ours, judges = generation.answers_summary().split("; ")
    assert ours.startswith("1 answers of gpt-4o for $")
    assert judges.startswith("the judge: 1 answers of judge for $")


def test_generator_and_judge_share_the_cost_limit(options: GenerationOptions, tmp_path: Path) -> None:
    limited = replace(options, judge="gpt-4o", best=5, max_cost=1.0)
    with open_generation(RECIPE, limited, tmp_path, 0) as generation:
        assert isinstance(generation.generator, LlmGenerator)
        assert generation.judge is not None
        assert generation.judge.client.budget is generation.generator.client.budget
        assert generation.judge.client.budget.limit == 1.0


def test_a_model_of_the_users_own_needs_a_price_only_for_a_cost_limit(
    options: GenerationOptions, tmp_path: Path
) -> None:
    own = replace(options, model="llama")
    with open_generation(RECIPE, own, tmp_path, 0) as generation:
        assert generation.generator.model == "llama"
    with pytest.raises(UsageError, match="needs the price of llama"):
        open_generation(RECIPE, replace(own, max_cost=1.0), tmp_path, 0).__enter__()
    with pytest.raises(UsageError, match="cannot be read"):
        open_generation(RECIPE, replace(own, few_shots=tmp_path / "x"), tmp_path, 0).__enter__()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"generator": "oracle"}, "choose from offline, openai, openai-batch"),
        ({"generator": "offline"}, "the offline generator asks no model"),
        ({"model": None}, "needs --model"),
        ({"judge": "judge"}, "--judge MODEL and --best N go together"),
        ({"best": 3}, "--judge MODEL and --best N go together"),
        ({"base_url": "127.0.0.1:1"}, "is no http address"),
    ],
)
def test_options_that_contradict_each_other_are_reported(
    changes: dict[str, object], message: str, options: GenerationOptions
) -> None:
    options.check()
    with pytest.raises(LlavaMedError, match=message):
        replace(options, **changes).check()
