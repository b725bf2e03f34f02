"""Recipes of datasets: those of the paper's, and a user's own that vary one of them, each read from its YAML file."""

import difflib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from llavamed_data.errors import UsageError, one_line
from llavamed_data.io.regular_files import read_settings

RECIPES = ("alignment-600k", "10k", "60k", "60k-im", "eval")
"""The datasets of the paper, in the order in which they are built and shown."""

BENCHMARKS = ("vqa-rad", "slake", "path-vqa")
"""The benchmarks of the paper's Table 3, in its order."""

CHOICE_BENCHMARKS = (
    "pmc-vqa",
    "pmc-vqa-2",
    "mmmu-medical",
    "medxpertqa-mm",
    "omni-medvqa",
    "medframeqa",
    "pathmmu",
)
"""The benchmarks of multiple-choice questions, which the paper does not have."""

ALL_BENCHMARKS = (*BENCHMARKS, *CHOICE_BENCHMARKS)

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
    """One dataset: of the paper (section 3, section 5.1), or a user's own that varies one of the paper's.

    Attributes:
        name: folder and repository name.
        title: as cards print it.
        schema: which JSON Schema its rows follow.
        split: `train` or `test`.
        size: figures wanted.
        select: which figures it draws from.
        converse: what is written about each.
        base: of a user's own recipe, the name of the recipe that it varies; else "".
        file: of a user's own recipe, its file.
    """

    name: str
    title: str
    schema: str
    split: str
    size: int
    select: Select
    converse: Converse
    base: str = ""
    file: Path | None = None


@cache
def load_recipe(name: str) -> Recipe:
    """Returns the paper's recipe of that name.

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


def find_recipe(name: str | Path) -> Recipe:
    """Returns the paper's recipe of that name, or a user's own from a YAML file.

        find_recipe("60k-im")
        find_recipe("mine.yaml")  # {recipe: 60k-im, name: ct-and-mri, size: 1000, select: {domains: [ct_scan, mri]}}

    A user's own recipe varies an instruct set (`recipe`): it has another `name`, and whatever else it states (`title`,
    `size`, parts of `select` and `converse`) replaces what that recipe states.

    Raises:
        UsageError: there is neither such a recipe nor such a file, or the file states what no recipe has.
    """
    if str(name) in RECIPES or not str(name).endswith((".yaml", ".yml")):
        return load_recipe(str(name))
    file = Path(name)
    try:
        stated = yaml.safe_load(read_settings(file))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UsageError(f"the recipe {file} cannot be read: {one_line(error)}") from error
    _check_own(stated, file)
    base = load_recipe(stated["recipe"])
    select = base.select
    if own := stated.get("select"):
        select = replace(select, **{**own, "domains": tuple(own.get("domains", select.domains))})
        select = replace(select, unit=own.get("unit") or _unit(select))
    return replace(
        base,
        name=stated["name"],
        title=stated.get("title", stated["name"]),
        size=stated.get("size", base.size),
        select=select,
        converse=replace(base.converse, **stated.get("converse", {})),
        base=base.name,
        file=file,
    )


def _check_own(stated: object, file: Path) -> None:
    """Checks a user's own recipe against `own_recipe.schema.json`."""
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import best_match

    text = files("llavamed_data.recipes").joinpath("own_recipe.schema.json").read_text(encoding="utf-8")
    if error := best_match(Draft202012Validator(json.loads(text)).iter_errors(stated)):
        place = ".".join(str(part) for part in error.absolute_path)
        schema = error.schema if isinstance(error.schema, dict) and place else {}
        fault = f"{error.instance!r} is {schema['description']}" if "description" in schema else error.message
        raise UsageError(f"the recipe {file} has a fault{f' in {place}' if place else ''}: {fault}")


def _unit(select: Select) -> str:
    """The figures that can be drawn, in words."""
    figures = "single-plot figures" if select.single_plot else "figures"
    mentioned = " that a sentence mentions" if select.mentioned else ""
    return f"{figures} of the domains {', '.join(select.domains)}{mentioned}"


def read_stated(name: str, known: Sequence[str], *, kind: str) -> dict[str, Any]:
    """Returns the content of the file `<name>.yaml` of this folder.

    Args:
        name: of a recipe or benchmark.
        known: the names that there are.
        kind: what they name, for the message.

    Raises:
        UsageError: `name` is not one of them.
    """
    if kind == "recipe" and name in ALL_BENCHMARKS:
        raise UsageError(f"{name} is a benchmark, which no LLM writes: choose from {', '.join(known)}")
    if name not in known:
        raise UsageError(f"no {kind} is called {name!r}: {_suggestion(name, known)}")
    text = files("llavamed_data.recipes").joinpath(f"{name}.yaml").read_text(encoding="utf-8")
    stated: dict[str, Any] = yaml.safe_load(text)
    return stated


def _suggestion(name: str, known: Sequence[str]) -> str:
    alike = {each.replace("-", ""): each for each in (*known, *ALL_BENCHMARKS)}
    plain = "".join(filter(str.isalnum, name.lower()))
    close = difflib.get_close_matches(plain, alike, n=1, cutoff=0.75)
    choice = f"choose from {', '.join(known)}"
    return f"did you mean {alike[close[0]]}? Or {choice}" if close else choice
