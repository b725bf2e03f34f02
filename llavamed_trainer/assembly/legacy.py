"""Loads checkpoints in the layout of the released LLaVA code (LLaVA, LLaVA-Med v1.5) as transformers' LLaVA.

| released weights | transformers |
| --- | --- |
| `model.embed_tokens`, `model.layers.*`, `model.norm`, `lm_head` | the language model |
| `model.mm_projector.weight`, `.bias` | `linear_1` of the linear projector |
| `model.mm_projector.0.*`, `model.mm_projector.2.*` | `linear_1`, `linear_2` of `mlp2x_gelu` |
| `model.vision_tower.vision_tower.*`, if it was trained | the vision tower |

These keys of config.json are read: `mm_vision_tower`, `mm_projector_type`, `mm_vision_select_layer`, `architectures`.
"""

import json
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, LlavaForConditionalGeneration

from llavamed_data.errors import UsageError, one_line
from llavamed_trainer.assembly.parts import FEATURE_LAYER, join, load_vision, with_image_token
from llavamed_trainer.assembly.weights import State, read_file, read_weights

_LANGUAGE_TYPES = {"LlavaLlamaForCausalLM": "llama", "LlavaMistralForCausalLM": "mistral"}
"""The model type of the language model, by the architecture that config.json states."""

_PROJECTOR = "model.mm_projector."
_VISION = "model.vision_tower.vision_tower."


_PROJECTOR_NAMES = {
    "weight": "linear_1.weight",
    "bias": "linear_1.bias",
    "0.weight": "linear_1.weight",
    "0.bias": "linear_1.bias",
    "2.weight": "linear_2.weight",
    "2.bias": "linear_2.bias",
}
"""The names of the projector's weights in transformers, by what follows `mm_projector.` in the released ones."""


def template_of(folder: Path) -> str:
    """The name of the chat template that a released checkpoint was trained with, by its language model."""
    architectures = _read_config(folder).get("architectures") or ()
    return "mistral" if "LlavaMistralForCausalLM" in architectures else "vicuna_v1"


def load_legacy(
    folder: Path, *, vision_tower: str | None, template: str, dtype: torch.dtype
) -> tuple[LlavaForConditionalGeneration, Any]:
    """Loads the model and makes its processor.

    Args:
        folder: of the checkpoint.
        vision_tower: folder or Hub name of the vision tower; if None, the name that the checkpoint states.
        template: chat template as Jinja text.
        dtype: of the weights.

    Raises:
        UsageError: it is no such checkpoint, or weights are missing.
        LlavaMedError: a file is damaged.
    """
    stated = _read_config(folder)
    if stated.get("mm_vision_select_feature", "patch") != "patch" or stated.get("mm_use_im_start_end"):
        raise UsageError(
            f"{folder} gives the class token, or marks before and after the image, to its language model "
            "(mm_vision_select_feature, mm_use_im_start_end): a stock LLaVA cannot"
        )
    state = read_weights(folder)
    vision = load_vision(vision_tower or stated["mm_vision_tower"], dtype)
    trained = {name.removeprefix(_VISION): value for name, value in state.items() if name.startswith(_VISION)}
    if trained:
        _load(vision.model, _renamed_vision(trained, vision.model), f"the vision tower of {folder}")
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder)
    except (OSError, ValueError) as error:
        raise UsageError(f"{folder} has no tokenizer: {one_line(error, 160)}") from error
    language = with_image_token(_load_language(stated, state, folder, dtype), tokenizer, str(folder))
    is_linear = _PROJECTOR + "weight" in state
    model, processor = join(
        vision,
        language,
        projector="linear" if is_linear else str(stated.get("mm_projector_type", "mlp2x_gelu")),
        template=template,
        feature_layer=int(stated.get("mm_vision_select_layer", FEATURE_LAYER)),
    )
    _load_projector(model, state, str(folder))
    return model, processor


def load_projector_file(model: LlavaForConditionalGeneration, path: Path) -> None:
    """Loads the projector of LLaVA's `mm_projector.bin` into a model.

    Raises:
        UsageError: its shape is another, or the file holds no projector.
        LlavaMedError: the file is damaged.
    """
    _load_projector(model, read_file(path), str(path))


def _read_config(folder: Path) -> dict[str, Any]:
    config = folder / "config.json"
    stated: dict[str, Any] = json.loads(config.read_text(encoding="utf-8")) if config.is_file() else {}
    if "mm_vision_tower" not in stated:
        raise UsageError(
            f"{folder} has not the layout of the released LLaVA code: its config.json has no mm_vision_tower"
        )
    return stated


def _load_projector(model: LlavaForConditionalGeneration, state: State, origin: str) -> None:
    """Loads the weights named `…mm_projector.*` into the projector of a model."""
    given = {
        _PROJECTOR_NAMES[part]: value
        for name, value in state.items()
        if (part := name.rpartition("mm_projector.")[2]) != name and part in _PROJECTOR_NAMES
    }
    projector = model.model.multi_modal_projector
    own = projector.state_dict()
    if model.config.projector_hidden_act == "linear":
        own = {name: value for name, value in own.items() if name.startswith("linear_1")}
    if set(given) != set(own):
        raise UsageError(
            f"the projector of {origin} has the weights {', '.join(sorted(given)) or 'of no layer'}, the model needs "
            f"{', '.join(sorted(own))}: choose another --projector (linear has one layer, mlp2x_gelu two)"
        )
    for name, value in given.items():
        if value.shape != own[name].shape:
            raise UsageError(
                f"the projector of {origin} is for parts of other widths: {name} is {tuple(value.shape)}, not "
                f"{tuple(own[name].shape)}"
            )
    projector.load_state_dict({**projector.state_dict(), **given})


def _load_language(stated: dict[str, Any], state: State, folder: Path, dtype: torch.dtype) -> Any:
    architecture = (stated.get("architectures") or ["nothing"])[0]
    if architecture not in _LANGUAGE_TYPES:
        raise UsageError(
            f"{folder} states the architecture {architecture}: known are {', '.join(_LANGUAGE_TYPES)}"
        )
    kept = {key: value for key, value in stated.items() if not key.startswith("mm_")}
    for key in ("model_type", "architectures", "transformers_version", "torch_dtype", "dtype", "auto_map"):
        kept.pop(key, None)
    config = AutoConfig.for_model(_LANGUAGE_TYPES[architecture], **kept)
    config.vocab_size = state["model.embed_tokens.weight"].shape[0]
    model = AutoModelForCausalLM.from_config(config, dtype=dtype)  # type: ignore[no-untyped-call]
    weights = {
        name: value
        for name, value in state.items()
        if not name.startswith((_PROJECTOR, _VISION)) and "rotary_emb" not in name
    }
    if config.tie_word_embeddings:
        weights.setdefault("lm_head.weight", weights["model.embed_tokens.weight"])
    _load(model, weights, f"the language model of {folder}")
    return model


def _renamed_vision(state: State, tower: Any) -> State:
    """Gives weights the names that this version of transformers has: with the outer `vision_model.` or without."""
    own = set(tower.state_dict())
    renamed = {}
    for name, value in state.items():
        if not name.endswith("position_ids"):
            bare = name.removeprefix("vision_model.")
            renamed[next((each for each in (name, bare, f"vision_model.{bare}") if each in own), name)] = (
                value
            )
    return renamed


def _load(module: Any, state: State, what: str) -> None:
    missing, unknown = module.load_state_dict(state, strict=False)
    if missing or unknown:
        raise UsageError(
            f"{what} is incomplete: {len(missing)} weights are missing, {len(unknown)} are unknown "
            f"({', '.join([*missing, *unknown][:3])})"
        )
