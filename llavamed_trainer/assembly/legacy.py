"""Checkpoints in the layout of the released LLaVA code (LLaVA, LLaVA-Med v1.5) → transformers' one.

| released | here |
| --- | --- |
| `model.embed_tokens`, `model.layers.*`, `model.norm`, `lm_head` | the language model |
| `model.mm_projector.weight`, `.bias` | the linear projector's `linear_1` |
| `model.mm_projector.0.*`, `model.mm_projector.2.*` | `linear_1`, `linear_2` of `mlp2x_gelu` |
| `model.vision_tower.vision_tower.*`, where it was trained | the vision tower |

Configuration keys read: `mm_vision_tower`, `mm_projector_type`, `mm_vision_select_layer`, `architectures`.
"""

import json
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, LlavaForConditionalGeneration

from llavamed_data.errors import UsageError
from llavamed_trainer.assembly.joining import join
from llavamed_trainer.assembly.language import with_image_token
from llavamed_trainer.assembly.vision import load_vision
from llavamed_trainer.assembly.weights import State, read_file, read_weights

_LANGUAGE = {"LlavaLlamaForCausalLM": "llama", "LlavaMistralForCausalLM": "mistral"}
"""Architecture as config.json names it → model type of its language model."""

_PROJECTOR = "model.mm_projector."
_VISION = "model.vision_tower.vision_tower."


def is_legacy(folder: Path) -> bool:
    """Whether a folder is laid out as the released code does."""
    config = folder / "config.json"
    return config.is_file() and "mm_vision_tower" in json.loads(config.read_text(encoding="utf-8"))


def template_of(folder: Path) -> str:
    """The chat template that a released checkpoint was trained with, by its language model."""
    stated = json.loads((folder / "config.json").read_text(encoding="utf-8")) if is_legacy(folder) else {}
    return "mistral" if "LlavaMistralForCausalLM" in (stated.get("architectures") or ()) else "vicuna_v1"


def load_legacy(
    folder: Path, *, vision_tower: str | None, template: str, dtype: torch.dtype
) -> tuple[LlavaForConditionalGeneration, Any]:
    """The model and its processor.

    Args:
        folder: of the checkpoint.
        vision_tower: where the vision tower is; the name that the checkpoint states where None.
        template: chat template.
        dtype: of the weights.

    Raises:
        UsageError: it is no such checkpoint, or weights are missing.
        LlavaMedError: a file is damaged.
    """
    if not is_legacy(folder):
        raise UsageError(
            f"{folder} is not laid out as the released LLaVA code does: its config.json has no mm_vision_tower"
        )
    stated = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    if stated.get("mm_vision_select_feature", "patch") != "patch" or stated.get("mm_use_im_start_end"):
        raise UsageError(
            f"{folder} feeds the class token, or marks before and after the image, to its language model "
            "(mm_vision_select_feature, mm_use_im_start_end): a stock LLaVA does not"
        )
    state = read_weights(folder)
    vision = load_vision(vision_tower or stated["mm_vision_tower"], dtype)
    inside = {name.removeprefix(_VISION): value for name, value in state.items() if name.startswith(_VISION)}
    if inside:
        _load(vision.model, _renamed_vision(inside, vision.model), f"the vision tower of {folder}")
    language = with_image_token(_language(stated, state, folder, dtype), _tokenizer(folder), str(folder))
    projector = (
        "linear" if _PROJECTOR + "weight" in state else str(stated.get("mm_projector_type", "mlp2x_gelu"))
    )
    model, processor = join(
        vision,
        language,
        projector=projector,
        template=template,
        feature_layer=int(stated.get("mm_vision_select_layer", -2)),
    )
    load_projector(
        model, {name: value for name, value in state.items() if name.startswith(_PROJECTOR)}, str(folder)
    )
    return model, processor


def load_projector_file(model: LlavaForConditionalGeneration, path: Path) -> None:
    """Puts the projector of LLaVA's `mm_projector.bin` into a model.

    Raises:
        UsageError: it is of another shape, or holds no projector.
        LlavaMedError: the file is damaged.
    """
    load_projector(model, read_file(path), str(path))


def load_projector(model: LlavaForConditionalGeneration, state: State, origin: str) -> None:
    """Puts the weights named `…mm_projector.*` into a model.

    Raises:
        UsageError: they do not fit.
    """
    renames = {"weight": "linear_1.weight", "bias": "linear_1.bias"}
    renames |= {
        f"{old}.{kind}": f"{new}.{kind}"
        for old, new in (("0", "linear_1"), ("2", "linear_2"))
        for kind in ("weight", "bias")
    }
    given = {}
    for name, value in state.items():
        if "mm_projector." in name and (part := name.rsplit("mm_projector.", 1)[1]) in renames:
            given[renames[part]] = value
    projector = model.model.multi_modal_projector
    own = projector.state_dict()
    if model.config.projector_hidden_act == "linear":
        own = {name: value for name, value in own.items() if name.startswith("linear_1")}
    if set(given) != set(own):
        raise UsageError(
            f"{origin} has the projector {', '.join(sorted(given)) or 'nowhere'}, the model wants "
            f"{', '.join(sorted(own))}: choose another --projector (linear has one layer, mlp2x_gelu two)"
        )
    for name, value in given.items():
        if value.shape != own[name].shape:
            raise UsageError(
                f"the projector of {origin} is for other widths: {name} is {tuple(value.shape)}, "
                f"not {tuple(own[name].shape)}"
            )
    projector.load_state_dict({**projector.state_dict(), **given})


def _language(stated: dict[str, Any], state: State, folder: Path, dtype: torch.dtype) -> Any:
    architecture = (stated.get("architectures") or ["nothing"])[0]
    if architecture not in _LANGUAGE:
        raise UsageError(f"{folder} is a {architecture}: known are {', '.join(_LANGUAGE)}")
    kept = {key: value for key, value in stated.items() if not key.startswith("mm_")}
    for key in ("model_type", "architectures", "transformers_version", "torch_dtype", "dtype", "auto_map"):
        kept.pop(key, None)
    config = AutoConfig.for_model(_LANGUAGE[architecture], **kept)
    config.vocab_size = state["model.embed_tokens.weight"].shape[0]
    model = AutoModelForCausalLM.from_config(config, dtype=dtype)  # type: ignore[no-untyped-call]
    words = {name: value for name, value in state.items() if not name.startswith((_PROJECTOR, _VISION))}
    if config.tie_word_embeddings:
        words.setdefault("lm_head.weight", words["model.embed_tokens.weight"])
    _load(
        model,
        {name: value for name, value in words.items() if "rotary_emb" not in name},
        f"the language model of {folder}",
    )
    return model


def _tokenizer(folder: Path) -> Any:
    try:
        return AutoTokenizer.from_pretrained(folder)
    except (OSError, ValueError) as error:
        line = " ".join(str(error).split())[:160]
        raise UsageError(f"{folder} has no tokenizer: {line}") from error


def _renamed_vision(state: State, tower: Any) -> State:
    """Names with or without the outer `vision_model.`, as this version of transformers has them."""
    wanted = set(tower.state_dict())
    renamed = {}
    for name, value in state.items():
        bare = name.removeprefix("vision_model.")
        renamed[next((each for each in (name, bare, f"vision_model.{bare}") if each in wanted), name)] = value
    return {name: value for name, value in renamed.items() if not name.endswith("position_ids")}


def _load(module: Any, state: State, what: str) -> None:
    missing, unknown = module.load_state_dict(state, strict=False)
    if missing or unknown:
        raise UsageError(
            f"{what} is not whole: {len(missing)} weights are missing, {len(unknown)} are unknown "
            f"({', '.join([*missing, *unknown][:3])})"
        )
