"""Reads weight files: safetensors or PyTorch's, whole or in shards. Nothing but tensors is ever unpickled."""

import json
import pickle
from pathlib import Path
from typing import TypeAlias

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from llavamed_data.errors import LlavaMedError, UsageError, one_line

State: TypeAlias = dict[str, torch.Tensor]

_INDICES = ("model.safetensors.index.json", "pytorch_model.bin.index.json")
_WHOLE = ("model.safetensors", "pytorch_model.bin")


def read_weights(folder: Path) -> State:
    """Reads all tensors of a checkpoint's folder.

    Raises:
        UsageError: the folder holds no weights, or a shard that its index names is missing.
        LlavaMedError: a file is damaged.
    """
    for name in _INDICES:
        index = folder / name
        if index.is_file():
            shards = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
            if missing := [shard for shard in shards if not (folder / shard).is_file()]:
                raise UsageError(
                    f"{folder} lacks {', '.join(missing)}, which {name} names: the copy is incomplete"
                )
            return {key: value for shard in shards for key, value in read_file(folder / shard).items()}
    for name in _WHOLE:
        if (folder / name).is_file():
            return read_file(folder / name)
    raise UsageError(f"{folder} holds no weights: {' or '.join(_WHOLE)}, whole or in shards with their index")


def read_file(path: Path) -> State:
    """Reads the tensors of one file.

    Raises:
        UsageError: there is no such file.
        LlavaMedError: it is damaged, or holds something other than tensors.
    """
    if not path.is_file():
        raise UsageError(f"there is no file {path}")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except (OSError, SafetensorError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise LlavaMedError(
            f"{path} is damaged, or holds something other than tensors: {one_line(error, 160)}"
        ) from error
    tensors = state.get("state_dict", state) if isinstance(state, dict) else None
    if not isinstance(tensors, dict) or not all(isinstance(each, torch.Tensor) for each in tensors.values()):
        raise LlavaMedError(f"{path} holds something other than tensors")
    return tensors
