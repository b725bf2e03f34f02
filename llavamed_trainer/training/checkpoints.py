"""Weights on disk that a run goes on from, to the bit.

Stock `save_pretrained` writes LLaVA under older names and the trainer loads them with `strict=False`, so that nothing
matches and but for a warning nothing is said (transformers issue 43701). Here a checkpoint has either the whole model
under the names it has in memory, or, where only a small part is trained, that part; loading is strict.
"""

import json
import re
import zipfile
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch.distributed.tensor import DTensor

from llavamed_data.errors import LlavaMedError
from llavamed_trainer.training.sharding import is_sharded, load_full_state

TRAINED = "trained.safetensors"
"""The parameters that a stage trains, where the others are in the model that it started from."""

_SMALL = 0.5
"""Share of all parameters below which a checkpoint holds only the trained ones."""

State = dict[str, torch.Tensor]


def newest_checkpoint(folder: Path) -> Path | None:
    """The checkpoint of the highest step, of those in a run's folder that are whole; None if there is none.

    A run that is killed while it writes leaves a folder without `trainer_state.json`, which is written last, or with
    part of it.
    """
    found = {
        int(match[1]): path
        for path in folder.glob("checkpoint-*")
        if (match := re.fullmatch(r"checkpoint-(\d+)", path.name)) and fault_of(path) is None
    }
    return found[max(found)] if found else None


def fault_of(checkpoint: Path) -> str | None:
    """What is wrong with a checkpoint; None if its files are whole."""
    state = checkpoint / "trainer_state.json"
    try:
        json.loads(state.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return "trainer_state.json, which is written last, is missing or damaged"
    for path in sorted(checkpoint.glob("*.safetensors")):
        try:
            with safe_open(path, framework="pt"):
                pass
        except (OSError, SafetensorError):
            return f"{path.name} is damaged"
    for path in sorted([*checkpoint.glob("*.pt"), *checkpoint.glob("*.pth")]):
        if not zipfile.is_zipfile(path):
            return f"{path.name} is damaged"
    return None


def holds_trained_only(model: Any) -> bool:
    """Whether a checkpoint of this model needs the trained part alone."""
    sizes = [(parameter.numel(), parameter.requires_grad) for parameter in model.parameters()]
    trained = sum(size for size, is_trained in sizes if is_trained)
    return bool(trained < _SMALL * sum(size for size, _ in sizes))


def save_weights(model: Any, folder: Path, *, write: bool = True) -> None:
    """Writes a checkpoint's weights; all processes of a sharded model take part, one of them writes."""
    if holds_trained_only(model):
        trained = ((name, each) for name, each in model.named_parameters() if each.requires_grad)
        state = {name: _whole_tensor(parameter) for name, parameter in trained}
        if write:
            save_file(state, folder / TRAINED, metadata={"format": "pt"})
    elif write or is_sharded(model):
        model.save_pretrained(folder, save_original_format=False, is_main_process=write)


def load_weights(model: Any, folder: Path) -> None:
    """Puts a checkpoint's weights into the model, all of them and nothing else.

    Raises:
        LlavaMedError: the checkpoint is damaged, or of another model or stage.
    """
    if (fault := fault_of(folder)) is not None:
        raise LlavaMedError(f"the checkpoint {folder} cannot be resumed, {fault}: go on from an earlier one")
    part = folder / TRAINED
    try:
        state = load_file(part) if part.is_file() else _whole(model, folder)
    except (OSError, SafetensorError, ValueError, RuntimeError) as error:
        raise LlavaMedError(
            f"the checkpoint {folder} is damaged or of another model: {_line(error)}"
        ) from error
    own = model.state_dict()
    wanted = _trained_names(model) if part.is_file() else list(own)
    _check_same(folder, {name: own[name] for name in wanted}, state)
    if is_sharded(model):
        load_full_state(model, state, strict=not part.is_file())
    else:
        model.load_state_dict(state, strict=not part.is_file())


def _check_same(folder: Path, own: State, state: State) -> None:
    missing, unexpected = sorted(set(own) - set(state)), sorted(set(state) - set(own))
    if missing or unexpected:
        names = ", ".join((missing + unexpected)[:3])
        raise LlavaMedError(
            f"the checkpoint {folder} is of another model or stage: {len(missing)} parameters are missing, "
            f"{len(unexpected)} are unknown ({names}, …)"
        )
    for name, held in own.items():
        if held.shape != state[name].shape:
            raise LlavaMedError(
                f"the checkpoint {folder} is of another model: {name} is {tuple(state[name].shape)} there, "
                f"{tuple(held.shape)} here"
            )


def _trained_names(model: Any) -> list[str]:
    return [name for name, parameter in model.named_parameters() if parameter.requires_grad]


def _whole_tensor(parameter: torch.Tensor) -> torch.Tensor:
    held = parameter.detach()
    gathered: torch.Tensor = held.full_tensor() if isinstance(held, DTensor) else held
    return gathered.cpu().contiguous()


def _whole(model: Any, folder: Path) -> State:
    loaded, info = type(model).from_pretrained(folder, dtype=model.dtype, output_loading_info=True)
    if info["missing_keys"] or info["unexpected_keys"]:
        raise ValueError(
            f"{len(info['missing_keys'])} weights are missing, {len(info['unexpected_keys'])} are unknown"
        )
    state: State = loaded.state_dict()
    return state


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]
