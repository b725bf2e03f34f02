"""What a folder of results says of its run, so that another run does not write over it and the same one goes on."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from llavamed_data.errors import UsageError
from llavamed_data.io.atomic import atomic_path
from llavamed_trainer.running.parsing import Call
from llavamed_trainer.training import newest_checkpoint

RECORD = "run.json"
_DONE = "done"
_RUNNING = "running"


@dataclass(frozen=True, slots=True)
class Standing:
    """How a run begins.

    Attributes:
        checkpoint: to go on from; None from the start.
        done: whether there is nothing left to do.
    """

    checkpoint: Path | None
    done: bool = False


def look_at(folder: Path, call: Call) -> Standing:
    """Whether the run goes on, is done, or begins; nothing is written.

    The same settings in the same folder go on from the last whole checkpoint. With `--resume_from_checkpoint true` (or
    a checkpoint's folder) other settings may go on too, such as more epochs.

    Raises:
        UsageError: the folder holds another run's results, or there is no checkpoint where one was named.
    """
    asked = (call.training.resume_from_checkpoint or "").strip()
    if asked and asked.lower() not in ("true", "false"):
        return Standing(_named(Path(asked)))
    last = newest_checkpoint(folder)
    if asked.lower() == "true":
        if last is None:
            raise UsageError(f"there is no whole checkpoint in {folder} to resume from")
        return Standing(last)
    found = _read(folder)
    if found is None:
        _check_empty(folder)
        return Standing(None)
    if changed := _changes(found["settings"], settings_of(call)):
        raise UsageError(
            f"{folder} holds another run ({found['recipe']}; {', '.join(changed)}): choose another --output_dir, or go "
            "on from its last checkpoint with --resume_from_checkpoint true"
        )
    if asked.lower() == "false" and last is not None:
        raise UsageError(f"{folder} holds checkpoints of this run: move it away to train from the start")
    return Standing(last, done=found["state"] == _DONE)


def begin(folder: Path, call: Call) -> None:
    """Notes whose folder it is."""
    _write(folder, call, _RUNNING)


def finish(folder: Path, call: Call) -> None:
    """Notes that all is there."""
    _write(folder, call, _DONE)


def settings_of(call: Call) -> dict[str, Any]:
    """What a run is, apart from how it is run."""
    return {name: value for name, value in sorted(call.given.items()) if name not in _free()}


@cache
def _free() -> frozenset[str]:
    text = files("llavamed_trainer.running").joinpath("free_settings.yaml").read_text(encoding="utf-8")
    return frozenset(name for names in yaml.safe_load(text).values() for name in names)


def _named(checkpoint: Path) -> Path:
    if not (checkpoint / "trainer_state.json").is_file():  # written last
        raise UsageError(
            f"{checkpoint} is no whole checkpoint: --resume_from_checkpoint takes true or its folder"
        )
    return checkpoint


def _read(folder: Path) -> dict[str, Any] | None:
    path = folder / RECORD
    if not path.is_file():
        return None
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UsageError(f"{path} is damaged: move {folder} away, or choose another --output_dir") from error
    return found


def _check_empty(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file: choose another --output_dir")
    held = sorted(path.name for path in folder.iterdir()) if folder.exists() else []
    if held:
        raise UsageError(
            f"{folder} holds what no run of train left there ({', '.join(held[:3])}): choose another --output_dir"
        )


def _changes(there: Mapping[str, Any], here: Mapping[str, Any]) -> list[str]:
    here = json.loads(json.dumps(here, default=str))
    return [
        f"{name} {there.get(name, 'not set')} there, {here.get(name, 'not set')} here"
        for name in sorted({*there, *here})
        if there.get(name) != here.get(name)
    ]


def _write(folder: Path, call: Call, state: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    stated = {"recipe": call.recipe.name, "state": state, "settings": settings_of(call)}
    with atomic_path(folder / RECORD) as aside:
        aside.write_text(json.dumps(stated, indent=1, default=str) + "\n", encoding="utf-8")
