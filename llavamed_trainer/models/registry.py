"""Finds the family of a model: in the list of families, or by the names of its parts.

A family is found from the configuration alone, before any weights are downloaded.
"""

from typing import Any

import torch
from torch import nn
from transformers import (
    CONFIG_MAPPING,
    MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING,
    AutoModelForImageTextToText,
    PreTrainedConfig,
)

from llavamed_data.errors import UsageError, one_line
from llavamed_trainer.models.family import ModelFamily
from llavamed_trainer.models.gemma3 import GEMMA3
from llavamed_trainer.models.internvl import INTERNVL
from llavamed_trainer.models.llava import LLAVA
from llavamed_trainer.models.llava_next import LLAVA_NEXT
from llavamed_trainer.models.llava_onevision import LLAVA_ONEVISION
from llavamed_trainer.models.mistral3 import MISTRAL3, PIXTRAL
from llavamed_trainer.models.qwen_vl import QWEN2_VL, QWEN3_VL
from llavamed_trainer.models.smolvlm import SMOLVLM

FAMILIES = (
    LLAVA,
    LLAVA_NEXT,
    LLAVA_ONEVISION,
    QWEN2_VL,
    QWEN3_VL,
    SMOLVLM,
    GEMMA3,
    INTERNVL,
    MISTRAL3,
    PIXTRAL,
)
"""The families whose parts are known."""

_REFUSED = {
    "paligemma": "its processor takes one prompt and one answer, which it puts own text around, and no conversation: "
    "choose another model, such as Qwen2.5-VL",
    "mllama": "images reach its language model through layers of cross attention within it, not as tokens: "
    "choose another model, such as Qwen2.5-VL",
    "internvl_chat": "its code is not in transformers: take the checkpoint whose name ends in -hf",
}
"""Models that are not supported, and why, by `model_type`."""

_TOWERS = ("vision_tower", "vision_model", "visual", "vision_encoder", "image_encoder")
_PROJECTORS = ("multi_modal_projector", "mm_projector", "merger", "connector", "mlp1", "aligner")
_LANGUAGE_MODELS = ("language_model", "text_model", "llm")
"""What vision towers, projectors and language models are called in models of unknown families."""


def check_model_type(kind: str) -> None:
    """Checks that a `model_type` is one that transformers knows, and that it is not known to be untrainable.

    Raises:
        UsageError: it is not.
    """
    if kind in _REFUSED:
        raise UsageError(f"{kind} models are not supported: {_REFUSED[kind]}")
    if kind not in CONFIG_MAPPING:
        raise UsageError(
            f"{kind} models are not supported: this version of transformers does not know it; a newer one may "
            "(pip install --upgrade transformers), or the checkpoint may be there in the layout of transformers too"
        )


def find_family(config: PreTrainedConfig) -> ModelFamily:
    """The family of the models of a configuration; no weights are needed.

    Raises:
        UsageError: it is no vision–language model, or its parts cannot be told apart.
    """
    kind = str(config.model_type)
    check_model_type(kind)
    if known := _listed(config):
        return known
    auto: Any = AutoModelForImageTextToText
    if type(config) not in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING:
        raise UsageError(
            f"{kind} is no vision–language model of transformers, which this command needs: choose one "
            "that AutoModelForImageTextToText loads, such as a LLaVA or a Qwen2.5-VL; python -m llavamed_trainer "
            "assemble makes a LLaVA of a language model"
        )
    try:
        with torch.device("meta"):
            model = auto.from_config(config)
    except Exception as error:  # code of any model runs here
        raise UsageError(_untold(kind, f"it cannot be built ({one_line(error, 160)})")) from error
    return _by_names(model)


def family_of(model: Any) -> ModelFamily:
    """The family of a loaded model.

    Raises:
        UsageError: its parts cannot be told apart.
    """
    return _listed(model.config) or _by_names(model)


def family_of_processor(processor: Any) -> ModelFamily | None:
    """The family whose models a processor belongs to; None if no listed family has it."""
    kind = type(processor).__name__
    return next((family for family in FAMILIES if kind in family.processors), None)


def _listed(config: Any) -> ModelFamily | None:
    kind = config.model_type
    vision = getattr(getattr(config, "vision_config", None), "model_type", None)
    found = [family for family in FAMILIES if kind in family.model_types]
    special = [family for family in found if family.vision_type == vision]
    return next((family for family in special or found if family.vision_type in (None, vision)), None)


def _by_names(model: Any) -> ModelFamily:
    """The family that a single model is taken for, by the names of its parts."""
    kind = str(model.config.model_type)
    if getattr(model.config, "is_encoder_decoder", False):
        raise UsageError(_untold(kind, "it has an encoder and a decoder"))
    head = model.get_output_embeddings()
    output_layer = next((name for name, module in model.named_modules() if module is head), None)
    backbone = getattr(model, "base_model_prefix", "")
    if head is None or output_layer is None or not isinstance(getattr(model, backbone, None), nn.Module):
        raise UsageError(_untold(kind, "its output layer cannot be told from the rest"))
    parts = {
        part: _one_named(model, names)
        for part, names in (
            ("vision tower", _TOWERS),
            ("projector", _PROJECTORS),
            ("language model", _LANGUAGE_MODELS),
        )
    }
    if missing := [part for part, path in parts.items() if path is None]:
        raise UsageError(_untold(kind, f"its {' and its '.join(missing)} cannot be told from the rest"))
    return ModelFamily(
        name=kind,
        model_types=(kind,),
        vision_tower=str(parts["vision tower"]),
        projector=(str(parts["projector"]),),
        language_model=str(parts["language model"]),
        processors=(),
        backbone=backbone,
        output_layer=output_layer,
        plain_logits=False,
        tested=False,
    )


def _one_named(model: nn.Module, names: tuple[str, ...]) -> str | None:
    """The path of the only module with one of the names that lies least deep; None if there is none, or several."""
    found = [name for name, _ in model.named_modules() if name.rpartition(".")[2] in names]
    least = min((name.count(".") for name in found), default=0)
    shallow = [name for name in found if name.count(".") == least]
    return shallow[0] if len(shallow) == 1 else None


def _untold(kind: str, reason: str) -> str:
    return (
        f"{kind} models are not supported: {reason}; TRL's SFTTrainer may train it, or add its family (the "
        "module llavamed_trainer/models/family.py says how)"
    )
