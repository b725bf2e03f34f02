"""From a recipe and flags to the arguments of a run; what does not fit is named, with what was likely meant."""

import argparse
import os
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, NoReturn

import torch
from trl.scripts.utils import TrlParser
from trl.trainer.model_config import ModelConfig
from trl.trainer.sft_config import SFTConfig

from llavamed_data.errors import UsageError
from llavamed_trainer.recipes import Recipe, accumulation, find_recipe
from llavamed_trainer.running.arguments import TrainArguments

_NO_RECIPE = Recipe("own settings", "", "own settings", {})
_LISTS = ("report_to", "lora_target_modules", "lora_modules_to_save", "lora_target_parameters")
_WANTED = {"int": "a whole number", "float": "a number", "string_to_bool": "true or false"}


@dataclass(frozen=True, slots=True)
class Call:
    """A run as it was asked for.

    Attributes:
        recipe: where settings came from that no flag gave.
        arguments, training, model: what the run takes; `training` has its accumulation steps worked out.
        given: argument → value, of the recipe and of flags; what was left at a library's default is not in it.
        notes: what was settled otherwise than the recipe says, and why.
    """

    recipe: Recipe
    arguments: TrainArguments
    training: SFTConfig
    model: ModelConfig
    given: Mapping[str, Any]
    notes: tuple[str, ...] = ()


class _Parser(TrlParser):
    """TRL's parser, whose complaints are errors of ours."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(" ".join(message.split()))

    @property
    def settings(self) -> dict[str, argparse.Action]:
        first: dict[str, argparse.Action] = {}  # a switch has a second action, --no_…
        for action in self._actions:
            first.setdefault(action.dest, action)
        del first["help"]
        return first


def make_parser() -> _Parser:
    """The parser of `train`: our arguments, then all of `SFTConfig` and of `ModelConfig`."""
    return _Parser(
        (TrainArguments, SFTConfig, ModelConfig),  # type: ignore[arg-type]
        prog="python -m llavamed_trainer train",
        allow_abbrev=False,
    )


def parse_call(words: Sequence[str]) -> Call:
    """The run that a command line asks for: recipe, then file, then flags, the later wins.

        parse_call(["--config", "stage1", "--learning_rate", "1e-3"])

    Raises:
        UsageError: an unknown setting, a value of the wrong kind, a batch that does not divide.
    """
    config, words = _take_config(words)
    recipe = find_recipe(config) if config else _NO_RECIPE
    parser = make_parser()
    settings = {**recipe.settings}
    for name, value in _environment(settings.pop("env", {})).items():
        os.environ[name] = value
    settings = {key: _checked(parser, key, value, config or "") for key, value in settings.items()}
    parser.set_defaults_with_config(**settings)
    flags = _flags(parser, words)
    stated, stray = parser.parse_known_args(words)
    if stray:
        raise UsageError(f"train takes flags alone, not {stray[0]!r}; a recipe or file goes by --config")
    given = settings | {name: getattr(stated, name) for name in flags}
    parser.set_defaults(gradient_accumulation_steps=_accumulation(stated, given))
    notes = _settle_precision(parser, stated, flags)
    arguments, training, model = _objects(parser, words)
    return Call(recipe, arguments, training, model, given, notes)


def _take_config(words: Sequence[str]) -> tuple[str | None, list[str]]:
    config, rest, left = None, [], iter(words)
    for word in left:
        if word == "--config":
            config = next(left, None)
            if config is None:
                raise UsageError("--config takes the name of a recipe or a file of settings")
        elif word.startswith("--config="):
            config = word.removeprefix("--config=")
        else:
            rest.append(word)
    return config, rest


def _environment(stated: Any) -> dict[str, str]:
    if not isinstance(stated, dict):
        raise UsageError("env in the settings must be a table such as OMP_NUM_THREADS: 4")
    return {str(name): str(value) for name, value in stated.items()}


def _checked(parser: _Parser, key: str, value: Any, config: str) -> Any:
    """The value as the argument's own type, from what YAML made of it."""
    action = parser.settings.get(key)
    if action is None:
        raise UsageError(f"{config} names {key}, which train does not take{_hint(key, parser.settings)}")
    if value is None or (isinstance(value, dict) and key in SFTConfig._VALID_DICT_FIELDS):
        return value
    if isinstance(value, list) and (action.nargs or key in _LISTS):
        return value
    text = str(value).lower() if isinstance(value, bool) else str(value)
    kind: Any = action.type or str
    try:
        if isinstance(value, list | dict):
            raise TypeError
        converted = kind(text)
    except (ValueError, TypeError, argparse.ArgumentTypeError):
        wanted = _WANTED.get(getattr(kind, "__name__", ""), "one value of the right kind")
        raise UsageError(f"{config} sets {key} to {value!r}: it must be {wanted}") from None
    if action.choices and converted not in action.choices:
        raise UsageError(
            f"{config} sets {key} to {value!r}: choose from {', '.join(map(str, action.choices))}"
        )
    return converted


def _hint(name: str, known: Iterable[str]) -> str:
    near = get_close_matches(name, list(known), 1)
    return f": did you mean {near[0]}?" if near else " (see train --help-all)"


def _flags(parser: _Parser, words: Sequence[str]) -> set[str]:
    """Names of the arguments that flags give."""
    names = set()
    for word in words:
        if not word.startswith("--"):
            continue
        flag = word.split("=", 1)[0]
        action = parser._option_string_actions.get(flag)
        if action is None:
            raise UsageError(f"train does not take {flag}{_hint(flag, parser._option_string_actions)}")
        if action.dest == "hub_token":
            raise UsageError("a token is no flag, others could read it: set HF_TOKEN, or run `hf auth login`")
        names.add(action.dest)
    return names


def _accumulation(stated: argparse.Namespace, given: Mapping[str, Any]) -> int:
    return accumulation(
        stated.global_batch_size,
        stated.per_device_train_batch_size,
        int(os.environ.get("WORLD_SIZE", "1")),
        stated=given.get("gradient_accumulation_steps"),
    )


def _settle_precision(parser: _Parser, stated: argparse.Namespace, flags: set[str]) -> tuple[str, ...]:
    """A recipe's bf16 is for accelerators; a flag's is obeyed."""
    if "bf16" in flags or stated.fp16 or (torch.accelerator.is_available() and not stated.use_cpu):
        return ()
    parser.set_defaults(bf16=False, use_cpu=True)
    return ("no accelerator: float32 on the processor",) if stated.bf16 is not False else ()


def _objects(parser: _Parser, words: Sequence[str]) -> tuple[TrainArguments, SFTConfig, ModelConfig]:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*gradient_checkpointing", category=FutureWarning)
        try:
            parsed = parser.parse_args_into_dataclasses(list(words), look_for_args_file=False)
        except (ValueError, ImportError) as error:
            raise UsageError(" ".join(str(error).split())) from error
    arguments, training, model = parsed
    return arguments, training, model
