"""A run that asked for sharded weights gets them or ends: never silently the whole model on every device.

On GPUs accelerate shards (`--use_fsdp`). On CPU it refuses, and forced by the environment gives DDP without a word;
there `load_sharded` has transformers shard the model by torch's `fully_shard` while it loads. Such a model is trained,
saved and loaded as any other, but for its optimizer, whose state torch's distributed checkpoints keep.
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
from transformers import LlavaForConditionalGeneration
from transformers.distributed.configuration_utils import DistributedConfig

from llavamed_data.errors import LlavaMedError

_OPTIMIZER = "optimizer_shards"


def wants_sharding(args: Any = None) -> bool:
    """Whether the launch, or the training arguments, ask for FSDP."""
    launched = os.environ.get("ACCELERATE_USE_FSDP", "").lower() in ("1", "true", "yes")
    return launched or bool(getattr(args, "fsdp", None))


def load_sharded(name: str, **options: Any) -> LlavaForConditionalGeneration:
    """A checkpoint, sharded over all processes while it is loaded (FSDP2).

    Args:
        name: folder or Hub name.
        options: of `from_pretrained`.

    Raises:
        LlavaMedError: there is one process alone.
    """
    if not dist.is_initialized() or dist.get_world_size() == 1:
        raise LlavaMedError(
            "weights are sharded over processes, and there is one: accelerate launch --num_processes 2"
        )
    config = DistributedConfig(fsdp_size=dist.get_world_size())
    model: LlavaForConditionalGeneration = LlavaForConditionalGeneration.from_pretrained(
        name, distributed_config=config, **options
    )
    return model


def is_sharded(model: torch.nn.Module) -> bool:
    """Whether any part of the model is sharded."""
    return any(isinstance(module, FSDPModule | FullyShardedDataParallel) for module in model.modules())


def check_sharded(model: torch.nn.Module) -> None:
    """To be called with the model as it is trained.

    Raises:
        LlavaMedError: no part of it is sharded.
    """
    if not is_sharded(model):
        raise LlavaMedError(
            f"the launch asked for FSDP and the model, a {type(model).__name__}, is not sharded (accelerate shards "
            "neither on CPU nor with one process): load it with llavamed_trainer.training.load_sharded, or launch "
            "without FSDP"
        )


def load_full_state(model: torch.nn.Module, state: dict[str, Any], *, strict: bool) -> None:
    """Puts whole tensors into a sharded model; every process has all of them."""
    set_model_state_dict(model, state, options=StateDictOptions(full_state_dict=True, strict=strict))


def save_optimizer(model: torch.nn.Module, optimizer: torch.optim.Optimizer, folder: Path) -> None:
    """Every process writes its shard."""
    state = get_optimizer_state_dict(model, optimizer)
    save({"optimizer": state}, checkpoint_id=folder / _OPTIMIZER)


def load_optimizer(model: torch.nn.Module, optimizer: torch.optim.Optimizer, folder: Path) -> None:
    """Reads what `save_optimizer` wrote.

    Raises:
        LlavaMedError: the checkpoint is of a run whose weights were not sharded while they were loaded.
    """
    if not (folder / _OPTIMIZER).is_dir():
        raise LlavaMedError(
            f"the checkpoint {folder} has no sharded optimizer: go on with it as it was begun"
        )
    state = {"optimizer": get_optimizer_state_dict(model, optimizer)}
    load(state, checkpoint_id=folder / _OPTIMIZER)
    set_optimizer_state_dict(model, optimizer, optim_state_dict=state["optimizer"])
