"""One YAML for each training recipe: every number names the table of the paper, or "released code", that it is from."""

from llavamed_trainer.recipes.recipe import (
    RECIPES,
    TrainingRecipe,
    accumulation,
    find_recipe,
    load_recipe,
    split_config,
)

__all__ = ["RECIPES", "TrainingRecipe", "accumulation", "find_recipe", "load_recipe", "split_config"]
