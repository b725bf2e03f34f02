"""Training recipes: settings of `train` read from YAML. A user's own file may build on a packaged recipe."""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml

from llavamed_data.errors import UsageError, one_line

RECIPES = (
    "stage1",
    "stage1-full",
    "stage1-no-instruction",
    "stage2-10k",
    "stage2-60k",
    "stage2-60k-im",
    "finetune-vqa-rad",
    "finetune-slake",
    "finetune-path-vqa",
)
"""The packaged recipes in the order of the curriculum, variants of Stage 1 beside each other."""

OWN_SETTINGS = "own settings"
"""The name and the source of a recipe that builds on none of the packaged ones."""


@dataclass(frozen=True, slots=True)
class TrainingRecipe:
    """The settings of a training run.

    Attributes:
        name: of the packaged recipe, also if a file builds on it.
        source: the tables and sections that it follows, for the model card.
        settings: values by the name of the argument, as YAML gives them.
        env: environment variables to set before torch is imported.
    """

    name: str
    source: str
    settings: Mapping[str, Any]
    env: Mapping[str, str] = field(default_factory=dict)


@cache
def load_recipe(name: str) -> TrainingRecipe:
    """Loads a packaged recipe.

    Raises:
        UsageError: there is none of that name.
    """
    if name not in RECIPES:
        near = get_close_matches(name, RECIPES, 1)
        hint = f"did you mean {near[0]}?" if near else f"choose from {', '.join(RECIPES)}"
        raise UsageError(f"no recipe is called {name!r}: {hint}")
    text = files("llavamed_trainer.recipes").joinpath(f"{name}.yaml").read_text(encoding="utf-8")
    return _recipe(yaml.safe_load(text), name)


def find_recipe(config: str) -> TrainingRecipe:
    """Loads the settings that `--config` names: a file if there is one, else a packaged recipe.

        find_recipe("stage1")            # packaged, as stage1.yaml is, unless such a file is here
        find_recipe("my/settings.yaml")  # {recipe: stage1, learning_rate: 1.0e-3}: stage1 with another learning rate

    Raises:
        UsageError: neither is there, or the file is not a table of settings.
    """
    path = Path(config)
    if not path.is_file():
        if path.parent != Path():
            raise UsageError(f"there is no file {config}; packaged recipes are {', '.join(RECIPES)}")
        return load_recipe(config.removesuffix(".yaml"))
    try:
        stated = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UsageError(f"the settings {path} cannot be read: {one_line(error)}") from error
    if not isinstance(stated, dict):
        raise UsageError(f"the settings {path} must be a table such as learning_rate: 2.0e-5")
    own = _recipe(stated, config)
    if "recipe" not in stated:
        return own
    base = load_recipe(str(stated["recipe"]))
    source = own.source if "source" in stated else base.source
    return TrainingRecipe(base.name, source, {**base.settings, **own.settings}, own.env)


def split_config(words: Sequence[str]) -> tuple[str | None, list[str]]:
    """Splits the words of a command line into the value of `--config` and the other words.

    Raises:
        UsageError: `--config` has no value.
    """
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("--config")
    try:
        stated, rest = parser.parse_known_args(words)
    except argparse.ArgumentError as error:
        raise UsageError("--config takes the name of a recipe or a file of settings") from error
    return stated.config, rest


def accumulation(rows: int, per_device: int, processes: int, *, stated: int | None = None) -> int:
    """The number of batches that each process accumulates so that a training step takes `rows` rows.

        accumulation(128, 16, 8) == 1
        accumulation(128, 16, 2) == 4

    Args:
        rows: the global batch size.
        per_device: rows of one batch on one process.
        processes: their number.
        stated: the number that the user gave, which must agree.

    Raises:
        UsageError: the numbers do not divide or do not agree.
    """
    if min(rows, per_device, processes) < 1:
        raise UsageError(
            f"a training step takes at least one row: global_batch_size is {rows}, per_device_train_batch_size "
            f"{per_device}"
        )
    at_once = per_device * processes
    if stated is not None and stated * at_once != rows:
        raise UsageError(
            f"{per_device} rows × {processes} processes × {stated} accumulated batches are {stated * at_once} rows a "
            f"training step, global_batch_size is {rows}: leave one of them out, gradient_accumulation_steps follows "
            "from the others"
        )
    if rows % at_once == 0:
        return rows // at_once
    if rows % processes:
        enough = -(-rows // processes) * processes
        way_out = f"--global_batch_size must be a multiple of {processes}, such as {enough}"
    else:
        share = rows // processes
        fits = max(size for size in range(1, min(per_device, share) + 1) if share % size == 0)
        way_out = f"--per_device_train_batch_size {fits} would"
    raise UsageError(
        f"a global batch of {rows} rows does not divide into batches of {per_device} on {processes} "
        f"{'processes' if processes > 1 else 'process'}: {way_out}"
    )


def _recipe(stated: Mapping[Any, Any], config: str) -> TrainingRecipe:
    settings = {str(key): value for key, value in stated.items()}
    name, source = settings.pop("recipe", OWN_SETTINGS), settings.pop("source", OWN_SETTINGS)
    env = settings.pop("env", {})
    if not isinstance(env, dict):
        raise UsageError(f"env in {config} must be a table such as OMP_NUM_THREADS: 4")
    return TrainingRecipe(
        name=str(name),
        source=str(source),
        settings=MappingProxyType(settings),
        env={str(key): str(value) for key, value in env.items()},
    )
