"""What an LLM would be asked for a recipe's conversations, and what that would cost; nothing is sent."""

import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from llavamed_data.engine import Engine, LocalEngine
from llavamed_data.errors import UsageError
from llavamed_data.instruct import ConversationEstimate, Pair, estimate_conversations, prompt_for
from llavamed_data.io.locks import lock_work_folder
from llavamed_data.llm import chat_model
from llavamed_data.llm.request import JsonObject
from llavamed_data.pipeline.builds.articles import ArticleWork
from llavamed_data.pipeline.builds.ending import Build
from llavamed_data.pipeline.builds.options import BuildOptions
from llavamed_data.pipeline.steps.acquire import quotas_of
from llavamed_data.pipeline.steps.converse import pair_of
from llavamed_data.pipeline.steps.select import ExcludedArticles, Selected
from llavamed_data.recipes import EVAL, Recipe, Task, find_recipe, load_recipe
from llavamed_data.sources.released import released_eval_pmids


def estimate_recipe(name: str, options: BuildOptions, engine: Engine | None = None) -> ConversationEstimate:
    """Tokens, dollars and hours of a recipe's conversations, both ways of asking.

    Articles are read and ranked as `build` does, and no image is fetched: the figures counted are the first in rank,
    as many as the recipe wants, without those of the articles that are first in rank for the evaluation set.

    Args:
        name: an instruct recipe, or the YAML file of your own.
        options: source, work folder, size, and the model.
        engine: what runs the extraction; all cores of this machine by default.

    Raises:
        UsageError: the recipe asks no model, or the model or its prices are not known.
        LlavaMedError: the model's encoding cannot be had.
    """
    with _candidates(name, options, engine) as (recipe, pairs):
        writing = options.writing
        prompt = prompt_for(recipe, writing)
        return estimate_conversations(
            pairs, prompt, writing.model or "", rpm=writing.rpm, tpm=writing.tpm, prices=writing.prices
        )


def first_requests(name: str, options: BuildOptions, engine: Engine | None = None) -> list[JsonObject]:
    """The first three requests of a recipe, whole, as they would be sent; nothing is sent."""
    with _candidates(name, options, engine) as (recipe, pairs):
        prompt = prompt_for(recipe, options.writing)
        model = chat_model(options.writing.model or "", options.writing.prices)
        return [dict(model.request(prompt.messages(pair)).body) for pair in itertools.islice(pairs, 3)]


@contextmanager
def _candidates(
    name: str, options: BuildOptions, engine: Engine | None
) -> Iterator[tuple[Recipe, Iterator[Pair]]]:
    """Yields the recipe, and the text of the figures that are first in rank, as many as it wants."""
    recipe = find_recipe(name)
    if recipe.converse.task is not Task.CONVERSATION:
        raise UsageError(f"{name} is not estimated: an LLM writes the conversations of 10k, 60k and 60k-im")
    with lock_work_folder(options.work):
        source = ArticleWork(Build(options, engine or LocalEngine()))
        recipe = source.sized(recipe)
        extracted, evaluation = source.extract(), load_recipe(EVAL)
        unseen = source.select([evaluation], extracted, excluded=None)[EVAL]
        articles = _first_in_rank(evaluation, unseen, ["pmcid", "pmid"])
        eval_articles = frozenset(name for row in articles for name in row.values() if name)
        excluded = ExcludedArticles(eval_articles, released_eval_pmids())
        selected = source.select([recipe], extracted, excluded=excluded)[recipe.name]
        figures = _first_in_rank(recipe, selected, list(Pair.__dataclass_fields__))
        yield recipe, (pair_of(row, mentions=recipe.converse.mentions) for row in figures)


def _first_in_rank(recipe: Recipe, selected: Selected, columns: Sequence[str]) -> list[dict[str, Any]]:
    """The figures that a recipe would take if all their images were sound."""
    by_domain = selected.candidates()
    domains = [by_domain[domain] for domain in recipe.select.domains if domain in by_domain]
    quotas = quotas_of(selected.size, [len(rows) for rows in domains])
    first = [rows[:quota] for rows, quota in zip(domains, quotas, strict=True)]
    numbers = np.concatenate([np.empty(0, np.int64), *first])
    figures: list[dict[str, Any]] = selected.extracted.take(numbers, columns).to_pylist()
    return figures
