"""What a recipe says, read from its YAML; a user's own file may build on one."""

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml

from llavamed_data.errors import UsageError

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
"""The curriculum in its order, variants of Stage 1 beside each other."""

_OWN = "own settings"
_ABOUT = ("recipe", "source")


@dataclass(frozen=True, slots=True)
class Recipe:
    """One training run, as settings of `train`.

    Attributes:
        name: of the packaged recipe, or of a file that builds on none.
        title: its first comment: what it does, and the section that says so.
        source: tables and sections it follows, for the model card.
        settings: name of an argument → value, as YAML gives it.
    """

    name: str
    title: str
    source: str
    settings: Mapping[str, Any]


@cache
def load_recipe(name: str) -> Recipe:
    """The packaged recipe of that name.

    Raises:
        UsageError: there is none.
    """
    if name not in RECIPES:
        near = get_close_matches(name, RECIPES, 1)
        hint = f"did you mean {near[0]}?" if near else f"choose from {', '.join(RECIPES)}"
        raise UsageError(f"no recipe is called {name!r}: {hint}")
    text = files("llavamed_trainer.recipes").joinpath(f"{name}.yaml").read_text(encoding="utf-8")
    return _recipe(yaml.safe_load(text), text)


def find_recipe(config: str) -> Recipe:
    """The settings that `--config` names: a file if there is one, else a packaged recipe.

        find_recipe("stage1")            # packaged, as stage1.yaml is, unless such a file is here
        find_recipe("my/settings.yaml")  # {recipe: stage1, learning_rate: 1.0e-3}: stage1 but for the rate

    Raises:
        UsageError: neither is there, or the file is not a table of settings.
    """
    path = Path(config)
    if not path.is_file():
        if path.parent != Path():
            raise UsageError(f"there is no file {config}; packaged recipes go by name: {', '.join(RECIPES)}")
        return load_recipe(config.removesuffix(".yaml"))
    stated, text = _read(path)
    own = _recipe(stated, text)
    if "recipe" not in stated:
        return own
    base = load_recipe(str(stated["recipe"]))
    return Recipe(base.name, base.title, stated.get("source", base.source), {**base.settings, **own.settings})


def _read(path: Path) -> tuple[dict[str, Any], str]:
    try:
        text = path.read_text(encoding="utf-8")
        stated = yaml.safe_load(text)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UsageError(f"the settings {path} cannot be read: {' '.join(str(error).split())}") from error
    if not isinstance(stated, dict):
        raise UsageError(f"the settings {path} must be a table such as learning_rate: 2.0e-5")
    return {str(key): value for key, value in stated.items()}, text


def _recipe(stated: dict[str, Any], text: str) -> Recipe:
    first = text.split("\n", 1)[0]
    settings = {key: value for key, value in stated.items() if key not in _ABOUT}
    return Recipe(
        name=str(stated.get("recipe", _OWN)),
        title=first.lstrip("# ") if first.startswith("#") else "",
        source=str(stated.get("source", _OWN)),
        settings=MappingProxyType(settings),
    )
