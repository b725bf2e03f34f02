"""Training recipes: settings of `train` read from YAML, for the paper's model or laid out for another base model.

A recipe says what is trained on what; a base says which model, and what is right for it. Settings of a base come over
those of the recipe, so any recipe goes with any base and none is written twice. A user's own file builds on a packaged
recipe (`recipe: stage1`) and a base (`base: qwen2.5-vl-3b`), and comes over both.
"""

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

BASES = (
    "llava-1.5-7b",
    "llava-med-v1.5",
    "qwen2.5-vl-3b",
    "qwen2.5-vl-7b",
    "qwen3-vl-4b",
    "qwen3-vl-8b",
    "medgemma-4b",
    "smolvlm-500m",
    "smolvlm-2.2b",
)
"""The packaged base models."""

RUNS = "runs"
"""The folder of the results of recipes."""

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
        base: the name of the packaged base model whose settings are among these; None for the paper's.
    """

    name: str
    source: str
    settings: Mapping[str, Any]
    env: Mapping[str, str] = field(default_factory=dict)
    base: str | None = None


@dataclass(frozen=True, slots=True)
class BaseModel:
    """What is right for a base model, whatever the recipe.

    Attributes:
        name: of the base.
        model: a name on the Hub, or the folder into which it is made.
        source: where the learning rates are from, for the model card.
        full: settings where the weights themselves are trained.
        lora: settings where adapters are trained (`use_peft`).
    """

    name: str
    model: str
    source: str
    full: Mapping[str, Any]
    lora: Mapping[str, Any]


@cache
def load_base(name: str) -> BaseModel:
    """Loads a packaged base model.

    Raises:
        UsageError: there is none of that name.
    """
    _check_known(name, BASES, "base model")
    text = files("llavamed_trainer.recipes").joinpath("bases", f"{name}.yaml").read_text(encoding="utf-8")
    stated = yaml.safe_load(text)
    both = {key: value for key, value in stated.items() if key not in ("model", "source", "full", "lora")}
    return BaseModel(
        name,
        stated["model"],
        stated["source"],
        MappingProxyType({**both, **(stated["full"] or {})}),
        MappingProxyType({**both, **stated["lora"]}),
    )


@cache
def load_recipe(name: str) -> TrainingRecipe:
    """Loads a packaged recipe.

    Raises:
        UsageError: there is none of that name.
    """
    _check_known(name, RECIPES, "recipe")
    text = files("llavamed_trainer.recipes").joinpath(f"{name}.yaml").read_text(encoding="utf-8")
    return _recipe(yaml.safe_load(text), name)


def find_recipe(config: str, base: str | None = None, *, adapters: bool | None = None) -> TrainingRecipe:
    """Loads the settings that `--config` names: a file if there is one, else a packaged recipe.

        find_recipe("stage1")            # packaged, as stage1.yaml is, unless such a file is here
        find_recipe("my/settings.yaml")  # {recipe: stage1, learning_rate: 1.0e-3}: stage1 with another learning rate
        find_recipe("stage2-60k-im", "qwen2.5-vl-3b", adapters=True)    # laid out for LoRA on another base model

    Args:
        config: a file or a packaged recipe.
        base: the name of a packaged base model, in place of the one that a file states (`base:`).
        adapters: whether LoRA adapters are trained, which decides on the settings of a base; if None, as the settings
            state by `use_peft`.

    Raises:
        UsageError: there is no such file, recipe or base, or the file is not a table of settings.
    """
    path = Path(config)
    if not path.is_file():
        if path.parent != Path():
            raise UsageError(f"there is no file {config}; packaged recipes are {', '.join(RECIPES)}")
        recipe, own = load_recipe(config.removesuffix(".yaml")), None
    else:
        own = _own_recipe(path)
        recipe = load_recipe(own.name) if own.name != OWN_SETTINGS else own
        base = base or own.base
    if base is not None:
        if adapters is None:
            adapters = bool({**recipe.settings, **(own.settings if own else {})}.get("use_peft"))
        recipe = _laid_out(recipe, load_base(base), adapters)
    if own is None or own is recipe:
        return recipe
    source = own.source if own.source != OWN_SETTINGS else recipe.source
    settings = MappingProxyType(layered(recipe.settings, own.settings))
    return TrainingRecipe(recipe.name, source, settings, own.env, recipe.base)


def layered(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """The settings with others over them.

    A chat template belongs to the model that is named beside it: it goes where another model is named without one.
    """
    settings = {**under, **over}
    if "model_name_or_path" in over and "template" not in over:
        settings.pop("template", None)
    return settings


def _laid_out(recipe: TrainingRecipe, base: BaseModel, adapters: bool) -> TrainingRecipe:
    """The recipe for a base model: it starts from the base, or from what an earlier recipe made of it."""
    settings = dict(recipe.settings)
    folder = f"{RUNS}/{base.name}"
    before = str(settings.get("model_name_or_path", ""))
    # Stage 1 teaches a new projector, and a base has one that is trained: Stage 2 starts from the base itself.
    continues = before.startswith(f"{RUNS}/") and not before.startswith(f"{RUNS}/stage1")
    stated = {
        "model_name_or_path": before.replace(RUNS, folder, 1) if continues else base.model,
        "output_dir": f"{folder}/{recipe.name}",
        **(base.lora if adapters else base.full),
    }
    if recipe.name == OWN_SETTINGS:
        del stated["output_dir"]
    source = f"{recipe.source}; for {base.name}: {base.source}"
    return TrainingRecipe(
        recipe.name, source, MappingProxyType(layered(settings, stated)), recipe.env, base.name
    )


def split_config(words: Sequence[str]) -> tuple[str | None, str | None, list[str]]:
    """Splits the words of a command line into the values of `--config` and `--base`, and the other words.

    Raises:
        UsageError: one of them has no value.
    """
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("--config")
    parser.add_argument("--base")
    try:
        stated, rest = parser.parse_known_args(words)
    except argparse.ArgumentError as error:
        raise UsageError(
            "--config takes the name of a recipe or a file of settings, --base that of a base model"
        ) from error
    return stated.config, stated.base, rest


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


def _own_recipe(path: Path) -> TrainingRecipe:
    try:
        stated = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UsageError(f"the settings {path} cannot be read: {one_line(error)}") from error
    if not isinstance(stated, dict):
        raise UsageError(f"the settings {path} must be a table such as learning_rate: 2.0e-5")
    return _recipe(stated, str(path))


def _recipe(stated: Mapping[Any, Any], config: str) -> TrainingRecipe:
    settings = {str(key): value for key, value in stated.items()}
    name, source = settings.pop("recipe", OWN_SETTINGS), settings.pop("source", OWN_SETTINGS)
    env, base = settings.pop("env", {}), settings.pop("base", None)
    if not isinstance(env, dict):
        raise UsageError(f"env in {config} must be a table such as OMP_NUM_THREADS: 4")
    return TrainingRecipe(
        name=str(name),
        source=str(source),
        settings=MappingProxyType(settings),
        env={str(key): str(value) for key, value in env.items()},
        base=None if base is None else str(base),
    )


def _check_known(name: str, known: Sequence[str], kind: str) -> None:
    if name not in known:
        begun = [each for each in known if each.startswith(name)] if name else []
        near = begun or get_close_matches(name, known, 1)
        hint = f"did you mean {' or '.join(near)}?" if near else f"choose from {', '.join(known)}"
        raise UsageError(f"no {kind} is called {name!r}: {hint}")
