"""One YAML a dataset: everything that tells one dataset from another."""

from llavamed_data.recipes.recipe import (
    EVAL,
    RECIPES,
    Converse,
    Recipe,
    Select,
    Task,
    load_recipe,
    recipe_names,
)

__all__ = ["EVAL", "RECIPES", "Converse", "Recipe", "Select", "Task", "load_recipe", "recipe_names"]
