"""Every command and option that the README and the guides name exists, whether its block is run or not."""

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import EnumType
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any, get_type_hints

import pytest
import typer

from llavamed_data.cli.app import app as data_app
from llavamed_trainer.cli.app import app as trainer_app
from llavamed_trainer.running import make_parser
from tests.docs.blocks import Block, blocks, commands, pages

APPS = {"llavamed_data": data_app, "llavamed_trainer": trainer_app}

SHELLS = ("sh", "console")

OPTIONS_OF_OTHERS = {
    *("--config_file", "--machine_rank", "--main_process_ip", "--num_processes"),  # accelerate launch
    *("--port", "--latency", "--rpm", "--tpm", "--faults", "--data"),  # tests.servers
    *("--nodes", "--partition"),  # sbatch
    *("--config", "--base"),  # train's own, read before its parser
}


@dataclass(frozen=True)
class Option:
    """An option of a command: whether it must be given, and the values that it takes (any if empty)."""

    required: bool = False
    values: frozenset[str] = frozenset()


@cache
def options(package: str, name: str) -> Mapping[str, Option]:
    """The options of a command.

    Raises:
        AssertionError: there is no such command.
    """
    if (package, name) == ("llavamed_trainer", "train"):
        return dict.fromkeys(
            [*make_parser()._option_string_actions, "--config", "--base", "--help-all"], Option()
        )
    group: Any = typer.main.get_command(APPS[package])
    assert name in group.commands, f"{package} has no command {name}"
    command = group.commands[name]
    kinds = get_type_hints(command.callback)
    found = {}
    for parameter in command.params:
        kind = kinds.get(parameter.name)
        values = [value.value for value in kind] if isinstance(kind, EnumType) else []
        option = Option(parameter.required, frozenset(values))
        found |= dict.fromkeys((opt for opt in parameter.opts if opt.startswith("-")), option)
    return found


def calls(block: Block) -> Iterator[tuple[str, list[str]]]:
    """The calls of our command lines in a block: package and words."""
    for line in commands(block):
        words = shlex.split(line, comments=True)
        for number, word in enumerate(words):
            package = word.replace("-", "_")
            if package not in APPS or (number > 0 and words[number - 1] not in ("-m", "&&")):
                continue
            rest = words[number + 1 :]
            end = next((n for n, word in enumerate(rest) if word in ("&&", "|", ";", ">")), len(rest))
            yield package, rest[:end]


def fault_of(package: str, words: list[str]) -> str:
    """What is wrong with a call; empty if nothing is."""
    if words and words[0] == "--config":  # of the whole command line
        words = words[2:]
    if not words or words[0].startswith("--"):
        return ""
    known = options(package, words[0])
    given = [word.split("=", 1)[0] for word in words[1:] if re.match(r"--?[a-zA-Z]", word)]
    if unknown := [option for option in given if option not in known]:
        return f"{words[0]} has no {unknown[0]}"
    for option, value in pairwise(words):
        if option in known and known[option].values and value not in known[option].values:
            return f"{words[0]} {option} does not take {value}"
    if "--help" in given:
        return ""
    missing = [name for name, option in known.items() if option.required and name not in given]
    return f"{words[0]} needs {missing[0]}" if missing else ""


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_commands_in_blocks_exist_and_take_these_options(page: Path) -> None:
    found = [(block, call) for block in blocks(page) if block.language in SHELLS for call in calls(block)]
    faults = [f"{block}: {fault}" for block, call in found if (fault := fault_of(*call))]
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_options_in_sentences_exist(page: Path) -> None:
    known = set(OPTIONS_OF_OTHERS)
    for package, app in APPS.items():
        group: Any = typer.main.get_command(app)
        known |= {option for parameter in group.params for option in parameter.opts}
        known |= {option for name in group.commands for option in options(package, name)}
    text = re.sub(r"(?ms)^ *```.*?^ *```", "", page.read_text(encoding="utf-8"))
    code = " ".join(re.findall(r"`([^`\n]+)`", text))
    named = set(re.findall(r"(?<![\w-])--[a-zA-Z][\w-]*", code))
    assert named <= known
