"""One YAML for each training recipe: every number names the table of the paper, or "released code", that it is from.

One YAML for each base model, too, in `bases`: what is right for a model goes with any recipe.
"""

from llavamed_trainer.recipes.recipe import (
    BASES,
    RECIPES,
    RUNS,
    BaseModel,
    TrainingRecipe,
    accumulation,
    find_recipe,
    layered,
    load_base,
    load_recipe,
    split_config,
)

__all__ = [
    "BASES",
    "RECIPES",
    "RUNS",
    "BaseModel",
    "TrainingRecipe",
    "accumulation",
    "find_recipe",
    "layered",
    "load_base",
    "load_recipe",
    "split_config",
]
