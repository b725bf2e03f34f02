"""Saves and loads the weights of checkpoints so that a resumed run continues to the bit.

Stock `save_pretrained` writes the weights of LLaVA, Qwen2.5-VL, Gemma 3 and others under older names, and the trainer
loads them with `strict=False`: no name matches, and only a warning is logged (transformers issue 43701). Here a
checkpoint holds the whole model under the
names that it has in memory, or, if only a small part is trained, that part alone; and loading is strict.
"""

import json
import re
import zipfile
from pathlib import Path
from typing import Any, TypeAlias

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch.distributed.tensor import DTensor

from llavamed_data.errors import LlavaMedError, one_line
from llavamed_trainer.models.loading import TRAINED
from llavamed_trainer.training.sharding import is_sharded, load_full_state

State: TypeAlias = dict[str, torch.Tensor]

_SMALL_SHARE = 0.5
"""The share of trained parameters below which a checkpoint holds them alone."""


def newest_checkpoint(folder: Path) -> Path | None:
    """The complete checkpoint of the highest training step in the folder of a run; None if there is none.

    A run that is killed while it writes a checkpoint leaves one without `trainer_state.json`, which is written last, or
    with a part of it.
    """
    found = {
        int(match[1]): path
        for path in folder.glob("checkpoint-*")
        if (match := re.fullmatch(r"checkpoint-(\d+)", path.name)) and find_damage(path) is None
    }
    return found[max(found)] if found else None


def find_damage(checkpoint: Path) -> str | None:
    """Says which file of a checkpoint is missing or damaged; None if it is complete."""
    try:
        json.loads((checkpoint / "trainer_state.json").read_text(encoding="utf-8"))
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


def save_weights(model: Any, folder: Path, *, write: bool = True) -> None:
    """Writes the weights of a checkpoint.

    Args:
        model: the model in training.
        folder: of the checkpoint.
        write: whether this process writes; all processes of a sharded model must call this, and one writes.
    """
    parameters = list(model.parameters())
    trained = sum(each.numel() for each in parameters if each.requires_grad)
    if trained < _SMALL_SHARE * sum(each.numel() for each in parameters):
        state = {
            name: _gathered(parameter)
            for name, parameter in model.named_parameters()
            if parameter.requires_grad
        }
        if write:
            save_file(state, folder / TRAINED, metadata={"format": "pt"})
    elif write or is_sharded(model):
        model.save_pretrained(folder, save_original_format=False, is_main_process=write)


def load_weights(model: Any, folder: Path) -> None:
    """Loads the weights of a checkpoint into the model, all of them and nothing else.

    Raises:
        LlavaMedError: the checkpoint is damaged, or of another model or stage.
    """
    if damage := find_damage(folder):
        raise LlavaMedError(
            f"the checkpoint {folder} cannot be resumed, {damage}: resume from an earlier one"
        )
    trained_only = (folder / TRAINED).is_file()
    try:
        state = load_file(folder / TRAINED) if trained_only else _whole_state(model, folder)
    except (OSError, SafetensorError, ValueError, RuntimeError) as error:
        raise LlavaMedError(
            f"the checkpoint {folder} is damaged or of another model: {one_line(error)}"
        ) from error
    own: State = model.state_dict()
    if trained_only:
        own = {name: own[name] for name, parameter in model.named_parameters() if parameter.requires_grad}
    _check_same(folder, own, state)
    if is_sharded(model):
        load_full_state(model, state, strict=not trained_only)
    else:
        model.load_state_dict(state, strict=not trained_only)


def _check_same(folder: Path, own: State, state: State) -> None:
    missing, unknown = sorted(set(own) - set(state)), sorted(set(state) - set(own))
    if missing or unknown:
        raise LlavaMedError(
            f"the checkpoint {folder} is of another model or stage: {len(missing)} parameters are missing, "
            f"{len(unknown)} are unknown ({', '.join((missing + unknown)[:3])}, …)"
        )
    for name, tensor in own.items():
        if tensor.shape != state[name].shape:
            raise LlavaMedError(
                f"the checkpoint {folder} is of another model: {name} is {tuple(state[name].shape)} there, "
                f"{tuple(tensor.shape)} here"
            )


def _gathered(parameter: torch.Tensor) -> torch.Tensor:
    """The whole tensor of a parameter, also of a sharded one, on the CPU."""
    tensor = parameter.detach()
    whole: torch.Tensor = tensor.full_tensor() if isinstance(tensor, DTensor) else tensor
    return whole.cpu().contiguous()


def _whole_state(model: Any, folder: Path) -> State:
    loaded, info = type(model).from_pretrained(folder, dtype=model.dtype, output_loading_info=True)
    if info["missing_keys"] or info["unexpected_keys"]:
        raise ValueError(
            f"{len(info['missing_keys'])} weights are missing, {len(info['unexpected_keys'])} are unknown"
        )
    state: State = loaded.state_dict()
    return state
