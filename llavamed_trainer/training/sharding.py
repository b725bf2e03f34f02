"""Sharded training (FSDP): a run that asked for it gets it or ends, and never holds the whole model on every device.

On GPUs accelerate shards the model (`--use_fsdp`). On CPU it refuses to, and if the environment forces it, it uses DDP
without saying so; there `load_sharded` has transformers shard the model by torch's `fully_shard` while it is loaded.
Such a model is trained, saved and loaded like any other, except that its optimizer is kept in torch's distributed
checkpoints.
"""

import os
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_optimizer_state_dict,
    set_model_state_dict,
    set_optimizer_state_dict,
)
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import save
from torch.distributed.fsdp import FSDPModule, FullyShardedDataParallel
from transformers import AutoModelForImageTextToText
from transformers.distributed.configuration_utils import DistributedConfig

from llavamed_data.errors import LlavaMedError

_OPTIMIZER = "optimizer_shards"


def wants_sharding(args: Any = None) -> bool:
    """Whether the launch, or the training arguments, ask for FSDP."""
    by_launch = os.environ.get("ACCELERATE_USE_FSDP", "").lower() in ("1", "true", "yes")
    return by_launch or bool(getattr(args, "fsdp", None))


def load_sharded(name: str, **options: Any) -> Any:
    """Loads a checkpoint sharded over all processes (FSDP2).

    Args:
        name: folder or Hub name.
        options: further arguments of `from_pretrained`.

    Raises:
        LlavaMedError: there is one process only.
    """
    if not dist.is_initialized() or dist.get_world_size() == 1:
        raise LlavaMedError(
            "weights are sharded over processes, and there is only one: use accelerate launch --num_processes 2"
        )
    config = DistributedConfig(fsdp_size=dist.get_world_size())
    auto: Any = AutoModelForImageTextToText
    return auto.from_pretrained(name, distributed_config=config, **options)


def is_sharded(model: torch.nn.Module) -> bool:
    """Whether any part of the model is sharded."""
    return any(isinstance(module, FSDPModule | FullyShardedDataParallel) for module in model.modules())


def check_sharded(model: torch.nn.Module) -> None:
    """Checks that a model whose launch asked for FSDP is sharded. Call it with the model as it is trained.

    Raises:
        LlavaMedError: no part of it is sharded.
    """
    if not is_sharded(model):
        raise LlavaMedError(
            f"the launch asked for FSDP and the model, a {type(model).__name__}, is not sharded (accelerate shards "
            "neither on CPU nor with one process): load it with llavamed_trainer.load_sharded, or launch without FSDP"
        )


def load_full_state(model: torch.nn.Module, state: dict[str, Any], *, strict: bool) -> None:
    """Loads whole tensors, which every process holds, into a sharded model."""
    set_model_state_dict(model, state, options=StateDictOptions(full_state_dict=True, strict=strict))


def save_optimizer(model: torch.nn.Module, optimizer: torch.optim.Optimizer, folder: Path) -> None:
    """Saves the state of a sharded optimizer; every process writes its shard."""
    save({"optimizer": get_optimizer_state_dict(model, optimizer)}, checkpoint_id=folder / _OPTIMIZER)


def load_optimizer(model: torch.nn.Module, optimizer: torch.optim.Optimizer, folder: Path) -> None:
    """Loads what `save_optimizer` wrote.

    Raises:
        LlavaMedError: the checkpoint is of a run that was not sharded while it was loaded.
    """
    if not (folder / _OPTIMIZER).is_dir():
        raise LlavaMedError(
            f"the checkpoint {folder} has no sharded optimizer: resume it with the launch that it was begun with"
        )
    state = {"optimizer": get_optimizer_state_dict(model, optimizer)}
    load(state, checkpoint_id=folder / _OPTIMIZER)
    set_optimizer_state_dict(model, optimizer, optim_state_dict=state["optimizer"])
