"""The record of a run in its output folder, by which the same run is resumed there and another one is refused."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from hub_cards import TrainingData
from llavamed_data.errors import UsageError
from llavamed_data.io.atomic import write_text
from llavamed_trainer.models import Stage
from llavamed_trainer.running.arguments import TrainingSettings
from llavamed_trainer.running.scores import BestScore
from llavamed_trainer.training import newest_checkpoint

RECORD = "run.json"

_FREE_SETTINGS = frozenset(
    name
    for names in yaml.safe_load(files(__package__).joinpath("free_settings.yaml").read_text("utf-8")).values()
    for name in names
)
"""The settings that a resumed run may change."""


@dataclass(frozen=True, slots=True)
class StartingPoint:
    """Where a run begins.

    Attributes:
        checkpoint: the one that it resumes from; None if it begins from the start.
        done: whether nothing is left to do.
    """

    checkpoint: Path | None
    done: bool = False


def find_starting_point(folder: Path, settings: TrainingSettings) -> StartingPoint:
    """Finds out whether a run begins, resumes or is done; nothing is written.

    The same settings in the same folder resume from the last complete checkpoint. With `--resume_from_checkpoint true`
    (or the folder of a checkpoint) other settings may resume too, such as more epochs.

    Raises:
        UsageError: the folder holds the results of another run, or there is no checkpoint where one was named.
    """
    asked = (settings.training.resume_from_checkpoint or "").strip()
    if asked and asked.lower() not in ("true", "false"):
        if not (Path(asked) / "trainer_state.json").is_file():  # it is written last
            raise UsageError(
                f"{asked} is no complete checkpoint: --resume_from_checkpoint takes true or the folder of one"
            )
        return StartingPoint(Path(asked))
    last = newest_checkpoint(folder)
    if asked.lower() == "true":
        if last is None:
            raise UsageError(f"there is no complete checkpoint in {folder} to resume from")
        return StartingPoint(last)
    record = _read(folder)
    if record is None:
        _check_empty(folder)
        return StartingPoint(None)
    if changed := _changes(record["settings"], settings_that_matter(settings)):
        raise UsageError(
            f"{folder} holds another run ({record['recipe']}; {', '.join(changed)}): choose another --output_dir, or "
            "resume from its last checkpoint with --resume_from_checkpoint true"
        )
    if asked.lower() == "false" and last is not None:
        raise UsageError(f"{folder} holds checkpoints of this run: move it away to train from the start")
    return StartingPoint(last, done=record["state"] == "done")


def check_data(
    folder: Path, settings: TrainingSettings, checkpoint: Path | None, data: Sequence[TrainingData]
) -> None:
    """Checks that a run which resumes trains on the data that it began with, unless it was told which to resume from.

    Raises:
        UsageError: the data are another version, as far as both are known: without a connection a branch or a tag
            stands in the place of the commit that it names.
    """
    if checkpoint is None or settings.training.resume_from_checkpoint:
        return
    recorded = (_read(folder) or {}).get("data", {})
    for each in data:
        before = recorded.get(each.name)
        if len({before, each.revision} - {None, settings.arguments.dataset_revision}) > 1:
            told = "--resume_from_checkpoint true"
            is_folder = str(before).startswith("files ")
            back = "bring that version back" if is_folder else f"give --dataset_revision {before} {told}"
            raise UsageError(
                f"the dataset {each.name} has changed since the run in {folder} began ({before} there, {each.revision} "
                f"now): {back}, choose another --output_dir, or go on with these data by {told}"
            )


def write_record(
    folder: Path,
    settings: TrainingSettings,
    data: Sequence[TrainingData] = (),
    *,
    done: bool,
    best: BestScore | None = None,
) -> None:
    """Records which run the folder belongs to, on which versions of which data, whether it is done, and its score."""
    record = {
        "recipe": settings.recipe.name,
        "state": "done" if done else "running",
        "settings": settings_that_matter(settings),
        "data": {each.name: each.revision for each in data},
    }
    if best:
        record["best"] = {"score": best.score, "training_step": best.step, "benchmark": best.parts}
    write_text(folder / RECORD, json.dumps(record, indent=1, default=str) + "\n")


def trained_projector_alone(folder: Path) -> bool:
    """Whether a folder holds the result of a run that trained the projector and nothing else, as far as is known."""
    try:
        record = _read(folder)
    except UsageError:  # a run.json of another program
        return False
    if record is None:
        return False
    return record["settings"].get("stage") == Stage.PROJECTOR.value and not record["settings"].get("use_peft")


def settings_that_matter(settings: TrainingSettings) -> dict[str, Any]:
    """The given settings without those that a resumed run may change."""
    return {name: value for name, value in sorted(settings.given.items()) if name not in _FREE_SETTINGS}


def _read(folder: Path) -> dict[str, Any] | None:
    path = folder / RECORD
    if not path.is_file():
        return None
    try:
        record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        record["recipe"], record["state"], dict(record["settings"])
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{path} is damaged: move {folder} away, or choose another --output_dir") from error
    return record


def _check_empty(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file: choose another --output_dir")
    files_there = sorted(path.name for path in folder.iterdir()) if folder.exists() else []
    if files_there:
        raise UsageError(
            f"{folder} holds files that no training run wrote ({', '.join(files_there[:3])}): choose another "
            "--output_dir"
        )


def _changes(recorded: Mapping[str, Any], given: Mapping[str, Any]) -> list[str]:
    given = json.loads(json.dumps(given, default=str))
    return [
        f"{name} {recorded.get(name, 'not set')} there, {given.get(name, 'not set')} here"
        for name in sorted({*recorded, *given})
        if recorded.get(name) != given.get(name)
    ]
