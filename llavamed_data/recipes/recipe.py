"""The recipe of one of the paper's datasets, read from its YAML file."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from llavamed_data.errors import UsageError

RECIPES = ("alignment-600k", "10k", "60k", "60k-im", "eval")
"""The datasets of the paper, in the order in which they are built and shown."""

EVAL = "eval"

DOMAINS = ("chest_xray", "mri", "histology", "gross", "ct_scan")
"""The five domains of section 3, in the order in which they take turns and in which the first flagged one counts."""


class Task(StrEnum):
    """The kind of text that is written about a figure."""

    CAPTION = "caption"
    CONVERSATION = "conversation"
    EVALUATION = "evaluation"


@dataclass(frozen=True, slots=True)
class Select:
    """Which figures a dataset draws from, and in which order.

    Attributes:
        ranking: name of the ranking; recipes that share it nest.
        unit: the figures that can be drawn, in words, for "the source has no more …".
        single_plot: only figures with one plot (section 3).
        mentioned: only figures that a sentence of the article mentions.
        one_per_article: at most one figure an article.
        article_share: no more figures than one eligible article in this many; None for no such limit.
        domains: the domains taken round-robin; empty for all figures in one ranking.
    """

    ranking: str
    unit: str
    single_plot: bool = False
    mentioned: bool = False
    one_per_article: bool = False
    article_share: int | None = None
    domains: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Converse:
    """What is written about each figure, and whether the inline mentions are part of the prompt."""

    task: Task
    mentions: bool


@dataclass(frozen=True, slots=True)
class Recipe:
    """One dataset of the paper (section 3, section 5.1).

    Attributes:
        name: folder and repository name.
        title: as cards print it.
        schema: which JSON Schema its rows follow.
        split: `train` or `test`.
        size: figures wanted.
    """

    name: str
    title: str
    schema: str
    split: str
    size: int
    select: Select
    converse: Converse


@cache
def load_recipe(name: str) -> Recipe:
    """Returns the recipe of that name.

    Raises:
        UsageError: there is none.
    """
    stated = read_stated(name, RECIPES, kind="recipe")
    select, converse = stated["select"], stated["converse"]
    return Recipe(
        **{
            **stated,
            "select": Select(**{**select, "domains": tuple(select.get("domains", ()))}),
            "converse": Converse(task=Task(converse["task"]), mentions=converse["mentions"]),
        }
    )


def read_stated(name: str, known: Sequence[str], *, kind: str) -> dict[str, Any]:
    """Returns the content of the file `<name>.yaml` of this folder.

    Args:
        name: of a recipe or benchmark.
        known: the names that there are.
        kind: what they name, for the message.

    Raises:
        UsageError: `name` is not one of them.
    """
    if name not in known:
        raise UsageError(f"no {kind} is called {name!r}: choose from {', '.join(known)}")
    text = files("llavamed_data.recipes").joinpath(f"{name}.yaml").read_text(encoding="utf-8")
    stated: dict[str, Any] = yaml.safe_load(text)
    return stated
