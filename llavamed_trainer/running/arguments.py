"""From a recipe and flags to the settings of a training run. A wrong name or value is reported with the likely one."""

import argparse
import os
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, Literal, NoReturn

import torch
from trl import ModelConfig, SFTConfig, TrlParser

from llavamed_data.errors import UsageError, one_line
from llavamed_trainer.recipes import TrainingRecipe, accumulation, find_recipe, layered, split_config
from llavamed_trainer.recipes.recipe import OWN_SETTINGS

_NO_RECIPE = TrainingRecipe(OWN_SETTINGS, OWN_SETTINGS, {})
_LISTS = ("report_to", "lora_target_modules", "lora_modules_to_save", "lora_target_parameters")
_SETTINGS_OF_WORKERS = {"dataloader_prefetch_factor", "dataloader_persistent_workers"}
_ONLY: dict[str, tuple[Any, str]] = {
    "chat_template_path": (None, "--template FILE chooses the chat template"),
    "truncation_mode": ("keep_start", "rows that are too long lose text at their end"),
    "padding_free": (False, "--packing joins rows without padding"),
    "eval_packing": (False, "rows are evaluated one by one"),
    "packing_strategy": ("bfd", "--packing joins whole rows"),
    "completion_only_loss": (True, "answers and their end tokens are learnt, and nothing else"),
    "assistant_only_loss": (True, "answers and their end tokens are learnt, and nothing else"),
    "dataset_text_field": ("text", "rows have the columns messages and images"),
    "dataset_kwargs": (None, "rows are read as they are"),
    "shuffle_dataset": (False, "rows are shuffled anew in each epoch"),
}
"""Settings of TRL that have one value here, whatever is given: the value, and what is done."""

_KINDS = {"int": "a whole number", "float": "a number", "string_to_bool": "true or false"}


def _setting(default: Any, text: str) -> Any:
    """Makes a field of `TrainArguments` with the text that `--help-all` shows."""
    return field(default=default, metadata={"help": text})


@dataclass
class TrainArguments:
    """The settings of a run that TRL's `SFTConfig` and `ModelConfig` lack; each is a flag and a key of a recipe."""

    dataset: str | None = _setting(None, "Name or folder of the dataset, as load_dataset takes it.")
    dataset_revision: str | None = _setting(None, "Branch, tag or commit of a dataset on the Hub.")
    split: str = _setting("train", "Split that is trained on.")
    eval_dataset: str | None = _setting(None, "Dataset for --eval_strategy, if it is another one.")
    eval_split: str | None = _setting(None, "Split that is evaluated.")
    streaming: bool = _setting(False, "Read rows while training, without downloading the dataset first.")
    shuffle_buffer: int = _setting(
        1000, "Number of rows among which --streaming shuffles; 0 does not shuffle."
    )
    max_rows: int | None = _setting(None, "Train on the first rows only.")
    stage: Literal["projector", "projector+language-model"] = _setting(
        "projector+language-model", "Parts of the model that are trained; the vision tower never is."
    )
    text: Literal["all", "answers"] = _setting("all", "answers: the image is the only input (section C.2).")
    template: str | None = _setting(
        None, "Chat template in place of the model's own: vicuna_v1, mistral, or a file."
    )
    global_batch_size: int = _setting(
        128,
        "Rows in a training step, over all processes and accumulated batches (Table 5); with --packing, packs.",
    )
    evaluate: str | None = _setting(
        None,
        "Score the model while it trains: BENCHMARK:SPLIT, or BENCHMARK:train[10%%] to hold out a part; several "
        "separated by commas.",
    )
    every: int | None = _setting(None, "Training steps between two scores of --evaluate.")
    early_stopping_patience: int | None = _setting(
        None, "End the run when so many scores of --evaluate in a row are no better than the best."
    )
    evaluate_limit: int | None = _setting(
        None, "Ask so many questions of each benchmark alone, chosen by the seed."
    )
    evaluate_language: Literal["en", "zh", "all"] = _setting(
        "en", "Language of the questions of --evaluate (SLAKE has both)."
    )
    evaluate_max_new_tokens: int = _setting(128, "Longest answer for --evaluate, in tokens.")
    exact_images: bool = _setting(
        False, "Decode images to the bit as the stock processor does, at half the speed."
    )
    allow_test_split: bool = _setting(
        False,
        "Train on data for evaluation without a warning, and let --evaluate name a test split; the model card states "
        "it all the same.",
    )
    max_bad_rows: int | None = _setting(
        None, "End the run if more rows than this cannot be trained on; no limit by default."
    )


@dataclass(frozen=True, slots=True)
class TrainingSettings:
    """All settings of a training run.

    Attributes:
        recipe: the recipe or file that gave what no flag gave.
        arguments: the settings of this package.
        training: TRL's training arguments, with the number of accumulated batches worked out.
        model: TRL's model arguments.
        given: what the recipe, its base and the flags gave, by argument; the defaults of libraries are not in it.
        notes: what was decided differently from the recipe, and why.
    """

    recipe: TrainingRecipe
    arguments: TrainArguments
    training: SFTConfig
    model: ModelConfig
    given: Mapping[str, Any]
    notes: tuple[str, ...] = ()


class _Parser(TrlParser):
    """TRL's parser, which raises an error of this package in place of ending the process."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(one_line(message, 1000))


def make_parser() -> _Parser:
    """Makes the parser of `train`: the arguments of this package, then all of `SFTConfig` and of `ModelConfig`."""
    return _Parser(
        (TrainArguments, SFTConfig, ModelConfig),  # type: ignore[arg-type]
        prog="python -m llavamed_trainer train",
        allow_abbrev=False,
    )


def parse_settings(words: Sequence[str]) -> TrainingSettings:
    """Reads the settings that a command line asks for: of a recipe, a base, a file, and flags; the later wins.

        parse_settings(["--config", "stage1", "--learning_rate", "1e-3"])
        parse_settings(["--config", "stage2-60k-im", "--base", "qwen2.5-vl-3b", "--use_peft"])

    The environment variables of a file's `env` are in `recipe.env`. They are not set here: the command line sets them
    before it imports torch.

    Raises:
        UsageError: an unknown setting, a value of the wrong kind, or a batch that does not divide.
    """
    config, base, words = split_config(words)
    if base and not config:
        raise UsageError(
            "--base needs --config, a recipe or a file of settings, which says what is trained on what"
        )
    parser = make_parser()
    flags = _given_by_flags(parser, words)
    stated, others = parser.parse_known_args(words)
    recipe = _NO_RECIPE
    if config:
        recipe = find_recipe(config, base, adapters=stated.use_peft if "use_peft" in flags else None)
    # A switch has a second action, --no_…, after its own: read from the end, so that its own is the one kept.
    actions = {action.dest: action for action in reversed(parser._actions) if action.dest != "help"}
    of_recipe = layered(recipe.settings, dict.fromkeys(flags))  # flags are parsed again, over these
    settings = {
        name: _converted(actions, name, value, config or "")
        for name, value in recipe.settings.items()
        if name in of_recipe
    }
    parser.set_defaults_with_config(**settings)
    stated, others = parser.parse_known_args(words)
    if others:
        raise UsageError(
            f"train takes only flags, not {others[0]!r}; give a recipe or a file of settings by --config"
        )
    given = settings | {name: getattr(stated, name) for name in flags}
    _check_fixed(given)
    accumulated = accumulation(
        stated.global_batch_size,
        stated.per_device_train_batch_size,
        int(os.environ.get("WORLD_SIZE", "1")),
        stated=given.get("gradient_accumulation_steps"),
    )
    parser.set_defaults(gradient_accumulation_steps=accumulated)
    if _SETTINGS_OF_WORKERS & given.keys():  # which are refused where there are no workers
        parser.set_defaults(dataloader_num_workers=given.get("dataloader_num_workers", 2))
    notes: tuple[str, ...] = ()
    has_accelerator = torch.accelerator.is_available() and not stated.use_cpu
    if not has_accelerator and "bf16" not in flags and not stated.fp16:
        parser.set_defaults(bf16=False, use_cpu=True)
        if "dtype" not in flags:
            parser.set_defaults(dtype="float32")
        if stated.bf16 is not False:
            notes = ("There is no accelerator here: training runs in float32 on the CPU.",)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*gradient_checkpointing", category=FutureWarning)
        try:
            parsed = parser.parse_args_into_dataclasses(list(words), look_for_args_file=False)
        except (ValueError, TypeError, ImportError, OSError) as error:
            raise UsageError(one_line(error, 1000)) from error
    arguments, training, model = parsed
    return TrainingSettings(recipe, arguments, training, model, given, notes)


def _check_fixed(given: Mapping[str, Any]) -> None:
    """Refuses settings that would have no effect."""
    for name, (value, what_is_done) in _ONLY.items():
        if given.get(name, value) not in (value, None):
            raise UsageError(f"--{name} {given[name]} would have no effect, leave it out: {what_is_done}")


def _converted(actions: Mapping[str, argparse.Action], name: str, value: Any, config: str) -> Any:
    """Converts a value from a file to the type of its argument."""
    action = actions.get(name)
    if action is None:
        raise UsageError(f"{config} names {name}, which train does not take{_suggestion(name, actions)}")
    if value is None and action.type in (int, float) and action.default is not None:
        raise UsageError(f"{config} sets {name} to nothing: give it a value, or leave it out")
    if value is None or (isinstance(value, dict) and name in SFTConfig._VALID_DICT_FIELDS):
        return value
    if isinstance(value, list) and (action.nargs or name in _LISTS):
        return value
    text = str(value).lower() if isinstance(value, bool) else str(value)
    kind: Any = action.type or str
    try:
        if isinstance(value, list | dict):
            raise TypeError
        converted = kind(text)
    except (ValueError, TypeError, argparse.ArgumentTypeError):
        wanted = _KINDS.get(getattr(kind, "__name__", ""), "one value of the right kind")
        raise UsageError(f"{config} sets {name} to {value!r}: it must be {wanted}") from None
    if action.choices and converted not in action.choices:
        raise UsageError(
            f"{config} sets {name} to {value!r}: choose from {', '.join(map(str, action.choices))}"
        )
    return converted


def _given_by_flags(parser: _Parser, words: Sequence[str]) -> set[str]:
    """The names of the arguments that are given by flags."""
    names = set()
    for word in words:
        if not word.startswith("--"):
            continue
        flag = word.split("=", 1)[0]
        action = parser._option_string_actions.get(flag)
        if action is None:
            raise UsageError(f"train does not take {flag}{_suggestion(flag, parser._option_string_actions)}")
        if action.dest == "evaluate" and "evaluate" in names:
            raise UsageError("give --evaluate once: several benchmarks are separated by commas")
        if action.dest == "hub_token":
            raise UsageError(
                "a token must not be a flag, which others can read: set HF_TOKEN, or run `hf auth login`"
            )
        names.add(action.dest)
    return names


def _suggestion(name: str, known: Iterable[str]) -> str:
    near = get_close_matches(name, list(known), 1)
    return f": did you mean {near[0]}?" if near else " (see train --help-all)"
