"""What a stage of the curriculum trains in a model, and what it freezes (section 4 and Figure 3 of the paper)."""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import reduce
from math import prod
from typing import Any

from torch import nn

from llavamed_data.errors import UsageError
from llavamed_trainer.models.family import ModelFamily
from llavamed_trainer.models.registry import family_of


class Stage(StrEnum):
    """The parts of a model that a stage trains. The vision tower is in none of them."""

    PROJECTOR = "projector"
    PROJECTOR_AND_LANGUAGE_MODEL = "projector+language-model"


@dataclass(frozen=True, slots=True)
class PartSize:
    """How much of a part of a model is trained.

    Attributes:
        name: `vision tower`, `projector`, `language model`, `output layer`, `adapters`, or `other parts`.
        trained: the number of parameters that are trained.
        total: the number of parameters.
    """

    name: str
    trained: int
    total: int


def trained_projector(model: Any) -> tuple[str, ...]:
    """The paths of the parts of a model's projector that are trained; modules, and single parameters."""
    family = family_of(model)
    return family.trained_projector(model) if family.trained_projector else family.projector


def apply_stage(model: Any, stage: Stage) -> None:
    """Freezes what the stage does not train. Call it before the trainer is built, which makes the optimizer.

    Args:
        model: a vision–language model.
        stage: which parts are trained.

    Raises:
        UsageError: the parts of the model cannot be told apart.
    """
    family = family_of(model)
    model.requires_grad_(False)
    trained = [*trained_projector(model)]
    if stage is Stage.PROJECTOR_AND_LANGUAGE_MODEL:
        trained += [family.language_model, family.output_layer]
    for path in trained:
        part = _part(model, path)
        for parameter in part.parameters() if isinstance(part, nn.Module) else (part,):
            parameter.requires_grad_(True)


def lora_config(model: Any, **settings: Any) -> Any:
    """A LoRA configuration for the language model's linear layers; the projector is trained whole beside them.

    The vision tower gets no adapter.

    Args:
        model: a vision–language model.
        settings: further arguments of `peft.LoraConfig` (`r`, `lora_alpha`, `lora_dropout`, …).

    Raises:
        UsageError: the package peft is missing, or the parts of the model cannot be told apart.
    """
    try:
        from peft import LoraConfig
    except ImportError as error:
        raise UsageError("LoRA needs the package peft: pip install peft") from error
    return LoraConfig(
        task_type="CAUSAL_LM",
        target_modules=adapted_layers(model),
        modules_to_save=[path for part in trained_projector(model) for path in _modules(model, part)],
        **settings,
    )


def adapted_layers(model: Any, chosen: Collection[str] = ()) -> str:
    """The regular expression of the paths of the layers that get LoRA adapters: the language model's linear layers.

    Neither "all-linear" nor bare names would do: both adapt the frozen vision tower too.

    Args:
        model: a vision–language model.
        chosen: names of layers, or the ends of their paths, such as `q_proj` or `self_attn.q_proj`; all by default.

    Raises:
        UsageError: the language model has no linear layer of a chosen name.
    """
    family = family_of(model)
    paths = [
        f".{path}"
        for path, module in model.get_submodule(family.language_model).named_modules()
        if isinstance(module, nn.Linear)
    ]
    names = sorted({path.rpartition(".")[2] for path in paths})
    if unknown := [name for name in chosen if not any(path.endswith(f".{name}") for path in paths)]:
        raise UsageError(
            f"the language model has no linear layer called {unknown[0]}: choose from {', '.join(names)}"
        )
    ends = "|".join(map(re.escape, chosen or names))
    return rf"{re.escape(family.language_model)}\..*\.({ends})"


def part_sizes(model: Any) -> list[PartSize]:
    """Counts the parameters of each part of a model, and how many of them are trained; with LoRA adapters or without.

    Weights that two parts share are counted once, and the frozen copies that PEFT keeps of what it trains not at all.
    """
    base = model.get_base_model() if hasattr(model, "peft_config") else model
    family = family_of(base)
    places = _places(family)
    counts = {name: [0, 0] for name in (*dict.fromkeys(places.values()), "adapters", "other parts")}
    for name, parameter in base.named_parameters():
        if ".original_module." in name:
            continue
        path = max((path for path in places if f"{name}.".startswith(f"{path}.")), key=len, default="")
        part = "adapters" if ".lora_" in name else places.get(path, "other parts")
        # a tensor of 4 bit holds two parameters in a byte
        count = prod(parameter.quant_state.shape) if hasattr(parameter, "quant_state") else parameter.numel()
        counts[part][0] += count * parameter.requires_grad
        counts[part][1] += count
    return [PartSize(name, trained, total) for name, (trained, total) in counts.items() if total]


def _places(family: ModelFamily) -> dict[str, str]:
    """The name of each part of a model by the path of what it holds."""
    return {
        family.vision_tower: "vision tower",
        **dict.fromkeys(family.projector, "projector"),
        family.language_model: "language model",
        family.output_layer: "output layer",
    }


def _part(model: Any, path: str) -> Any:
    return reduce(getattr, path.split("."), model)


def _modules(model: Any, path: str) -> Iterator[str]:
    """The modules at a path, as PEFT takes them: those of a list one by one; no parameter."""
    part = _part(model, path)
    if isinstance(part, nn.ModuleList):
        yield from (f"{path}.{number}" for number in range(len(part)))
    elif isinstance(part, nn.Module):
        yield path
