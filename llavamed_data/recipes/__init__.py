"""One YAML file a dataset: everything that tells one dataset from another."""

from llavamed_data.recipes.benchmark import SPLITS, Benchmark, Counts, HubCopy, load_benchmark
from llavamed_data.recipes.recipe import (
    BENCHMARKS,
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
    "BENCHMARKS",
    "DOMAINS",
    "EVAL",
    "RECIPES",
    "SPLITS",
    "Benchmark",
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
