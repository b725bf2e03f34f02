"""What an LLM would be asked for a recipe's conversations, and what that costs: before a cent is spent."""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from llavamed_data.engine.local import Engine
from llavamed_data.errors import UsageError
from llavamed_data.instruct.conversation import Pair
from llavamed_data.instruct.cost import Estimate, estimate
from llavamed_data.instruct.generation import prompt_of
from llavamed_data.io.locks import lock_work_folder
from llavamed_data.io.parquet import read_rows
from llavamed_data.llm.completer import model_settings
from llavamed_data.llm.request import JsonObject
from llavamed_data.pipeline.builds.articles import ArticleBuild
from llavamed_data.pipeline.builds.options import BuildOptions
from llavamed_data.pipeline.steps.acquire import quotas_of
from llavamed_data.pipeline.steps.converse import pair_of
from llavamed_data.pipeline.steps.select import take_rows
from llavamed_data.recipes import Recipe, Task, load_recipe
from llavamed_data.sources.open import open_source


def estimate_recipe(name: str, options: BuildOptions, engine: Engine | None = None) -> Estimate:
    """Tokens, dollars and hours of a recipe's conversations, both ways of asking.

    Articles are read and ranked as `build` does, and no image is fetched: the figures counted are the first in rank,
    as many as the recipe wants.

    Args:
        name: an instruct recipe.
        options: source, work folder, size, and who writes.
        engine: what runs the extraction.

    Raises:
        UsageError: the recipe asks no model, or the model or its prices are not known.
        LlavaMedError: the model's encoding cannot be had.
    """
    with _candidates(name, options, engine) as (recipe, pairs):
        writing = options.writing
        prompt = prompt_of(recipe, writing)
        return estimate(
            pairs, prompt, writing.model or "", rpm=writing.rpm, tpm=writing.tpm, prices=writing.prices
        )


def first_requests(name: str, options: BuildOptions, engine: Engine | None = None) -> list[JsonObject]:
    """The first three requests of a recipe, whole, as they would be sent; nothing is sent."""
    with _candidates(name, options, engine) as (recipe, pairs):
        prompt = prompt_of(recipe, options.writing)
        model = model_settings(options.writing.model or "", options.writing.prices)
        return [dict(model.request(prompt.messages(pair)).body) for pair in itertools.islice(pairs, 3)]


@contextmanager
def _candidates(
    name: str, options: BuildOptions, engine: Engine | None
) -> Iterator[tuple[Recipe, Iterator[Pair]]]:
    recipe = load_recipe(name)
    if recipe.converse.task is not Task.CONVERSATION:
        raise UsageError(f"{name} is not estimated: an LLM writes the conversations of 10k, 60k and 60k-im")
    with lock_work_folder(options.work):
        work = ArticleBuild(open_source(options.source), options, engine or Engine())
        work.extract()
        yield work.sized(recipe), _pairs(work, work.sized(recipe))


def _pairs(work: ArticleBuild, recipe: Recipe) -> Iterator[Pair]:
    work.select(recipe)
    by_domain: dict[str, list[int]] = {domain: [] for domain in recipe.select.domains}
    for row in read_rows([work.candidates(recipe)], ["domain", "row"]):
        by_domain[row["domain"]].append(row["row"])
    quotas = quotas_of(recipe.size, [len(rows) for rows in by_domain.values()])
    first = [row for rows, quota in zip(by_domain.values(), quotas, strict=True) for row in rows[:quota]]
    columns = list(Pair.__dataclass_fields__)
    for row in take_rows(work.pairs, np.array(first, dtype=np.int64), columns).to_pylist():
        yield pair_of(row, mentions=recipe.converse.mentions)
