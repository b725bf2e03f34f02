"""One YAML a training recipe: every number with the table of the paper, or "released code", that it is from."""

from llavamed_trainer.recipes.batches import accumulation
from llavamed_trainer.recipes.recipe import RECIPES, Recipe, find_recipe, load_recipe

__all__ = ["RECIPES", "Recipe", "accumulation", "find_recipe", "load_recipe"]
