"""One YAML file a dataset: everything that tells one dataset from another."""

from llavamed_data.recipes.benchmark import (
    SPLITS,
    Benchmark,
    ChoiceFormat,
    Counts,
    HubCopy,
    load_benchmark,
)
from llavamed_data.recipes.recipe import (
    ALL_BENCHMARKS,
    BENCHMARKS,
    CHOICE_BENCHMARKS,
    DOMAINS,
    EVAL,
    RECIPES,
    Converse,
    Recipe,
    Select,
    Task,
    find_recipe,
    load_recipe,
)

__all__ = [
    "ALL_BENCHMARKS",
    "BENCHMARKS",
    "CHOICE_BENCHMARKS",
    "DOMAINS",
    "EVAL",
    "RECIPES",
    "SPLITS",
    "Benchmark",
    "ChoiceFormat",
    "Converse",
    "Counts",
    "HubCopy",
    "Recipe",
    "Select",
    "Task",
    "find_recipe",
    "load_benchmark",
    "load_recipe",
]
