"""Counts the shape of a model from its configuration, on the meta device, where weights have sizes and no values."""

import re
from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import nn
from transformers import AutoModelForImageTextToText, PreTrainedConfig

from llavamed_data.errors import UsageError, one_line
from llavamed_trainer.models import Stage, apply_stage, family_of, part_sizes
from llavamed_trainer.models.family import ModelFamily
from llavamed_trainer.models.loading import load_processor
from llavamed_trainer.models.stages import adapted_layers, trained_projector
from llavamed_trainer.planning.shape import (
    ASSUMED_HEIGHT,
    ASSUMED_WIDTH,
    ImageShape,
    LanguageShape,
    ModelShape,
    ProjectorShape,
    VisionShape,
)

_EXPERTS = ("n_routed_experts", "num_local_experts", "num_experts", "moe_num_experts")
_EXPERTS_OF_A_TOKEN = ("num_experts_per_tok", "moe_topk", "top_k_experts")
_CLASS_TOKENS = ("class_embedding", "cls_token")
_SIZE = f"{ASSUMED_WIDTH} × {ASSUMED_HEIGHT} px"


def count_shape(config: PreTrainedConfig, name: str, processor: Any = None) -> ModelShape:
    """Counts the shape of the model of a configuration, in the parts that `train` trains and freezes.

    Args:
        config: of a model that can be trained.
        name: of the model.
        processor: of the model, which tells the tokens of an image; without it they are assumed from the configuration.

    Raises:
        UsageError: the configuration is not whole, or the parts of its model cannot be told apart.
    """
    auto: Any = AutoModelForImageTextToText
    try:
        with torch.device("meta"):
            model = auto.from_config(config)
        return _count(model, family_of(model), name, processor)
    except (AttributeError, TypeError, ValueError) as error:  # code of any model runs on any configuration
        raise UsageError(
            f"the shape of {name} cannot be counted from its config.json: {one_line(error, 160)}"
        ) from error


def processor_at_hand(name: str) -> Any:
    """The processor of a checkpoint in a folder; None if it has none, or if a package that it needs is missing."""
    if not Path(name).is_dir():
        return None
    try:
        return load_processor(name)
    except (UsageError, OSError, ValueError):
        return None


def _count(model: Any, family: ModelFamily, name: str, processor: Any) -> ModelShape:
    apply_stage(model, Stage.PROJECTOR)
    parts = {part.name: part for part in part_sizes(model)}
    total = {name: part.total for name, part in parts.items()}
    # other parts are frozen as the tower is
    vision = _vision(model, family, total["vision tower"] + total.get("other parts", 0))
    projector = parts["projector"]
    return ModelShape(
        name=name,
        note="counted from its config.json",
        vision=vision,
        projector=_projector(model, family, projector.total, projector.trained),
        language=_language(model, family, total["language model"] + total.get("output layer", 0)),
        image=_image(model.config, processor),
        logits_at_labels=family.plain_logits,
    )


def _language(model: Any, family: ModelFamily, parameters: int) -> LanguageShape:
    text = model.config.get_text_config()
    language = model.get_submodule(family.language_model)
    head = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
    pattern = adapted_layers(model)
    passed_by = _passed_by(language, _experts(text))
    adapted = [module for path, module in model.named_modules() if re.fullmatch(pattern, path)]
    return LanguageShape(
        hidden=text.hidden_size,
        layers=text.num_hidden_layers,
        attention=text.num_attention_heads * head,
        intermediate=text.intermediate_size,
        vocabulary=model.get_output_embeddings().weight.shape[0],
        parameters=parameters,
        matrices=_matrices(language),
        last=0 if passed_by else _last_products(language),
        adapters=sum(module.in_features + module.out_features for module in adapted),
        passed_by=passed_by,
    )


def _experts(text: Any) -> tuple[int, int] | None:
    """The experts of a layer, and those of them that a token is given to; None if there are no experts."""
    found = (
        next((int(value) for name in names if (value := getattr(text, name, None))), 0)
        for names in (_EXPERTS, _EXPERTS_OF_A_TOKEN)
    )
    all_of_them, of_a_token = found
    return (all_of_them, of_a_token) if of_a_token and all_of_them > of_a_token else None


def _passed_by(language: nn.Module, experts: tuple[int, int] | None) -> int:
    """The weights of the experts that a token is not given to; those of all experts of a layer are one tensor."""
    if experts is None:
        return 0
    count, of_a_token = experts
    weights = sum(
        each.numel()
        for name, each in language.named_parameters()
        if ".experts." in name and each.ndim == 3 and each.shape[0] == count
    )
    return weights * (count - of_a_token) // count


def _vision(model: Any, family: ModelFamily, parameters: int) -> VisionShape:
    config = model.config.vision_config
    tower = model.get_submodule(family.vision_tower)
    inside = tuple(path.removeprefix(f"{family.vision_tower}.") for path in family.projector)
    used = {
        path: module
        for path, module in tower.named_modules()
        # a pooling head, whose result is not used, is applied once an image
        if not f"{path}.".startswith(tuple(f"{part}." for part in inside))
        and not {"head", "pooler"} & {*path.split(".")}
    }
    embedding = next(module for module in used.values() if _embeds_pixels(module))
    linear = [module for module in used.values() if isinstance(module, nn.Linear) and module is not embedding]
    layers = int(getattr(config, "num_hidden_layers", 0) or config.depth)
    full = getattr(config, "fullatt_block_indexes", None)
    windowed = layers - len(full) if full else 0
    return VisionShape(
        hidden=embedding.weight.shape[0],
        intermediate=max(module.out_features for module in linear),
        layers=layers - windowed,
        windowed=windowed,
        window=(config.window_size // config.patch_size) ** 2 if windowed else 0,
        parameters=parameters,
        matrices=sum(module.weight.numel() for module in linear),
        embedding=embedding.weight.numel(),
        class_token=int(any(path.endswith(_CLASS_TOKENS) for path, _ in tower.named_parameters())),
    )


def _projector(model: Any, family: ModelFamily, parameters: int, trained: int) -> ProjectorShape:
    paths = trained_projector(model)
    modules = [module for path in paths if isinstance(module := _part(model, path), nn.Module)]
    pieces = [piece for path in family.projector for piece in _pieces(_part(model, path))]
    return ProjectorShape(
        parameters=parameters,
        trained=trained,
        adapted=sum(weights.numel() for module in modules for weights in module.parameters()),
        matrices=sum(_matrices(piece) for piece in pieces),
        trained_matrices=sum(_matrices(module) for module in modules),
        # a norm that is trained comes before the first matrix, and the gradient must reach it
        first=sum(next(_sizes_of_matrices(piece), 0) for piece in pieces if not _has_norm(piece)),
    )


def _image(config: Any, processor: Any) -> ImageShape:
    """What an image of the assumed size is to the model."""
    if processor is not None and (made := _processed(config, processor)):
        return made
    stated = config.vision_config
    side, patch = getattr(stated, "image_size", None), _first(stated.patch_size)
    merged = _merged(config)
    if side is None or stated.model_type == "pixtral":  # the tower takes images of any size
        width, height = (
            max(1, round(size / patch / merged)) * merged for size in (ASSUMED_WIDTH, ASSUMED_HEIGHT)
        )
        source = f"assumed for an image of {_SIZE}"
    else:
        width = height = _first(side) // patch
        source = (
            f"assumed: one tile of {_first(side)} px; where its processor makes several, give --image-tokens"
        )
    patches = width * height
    projected = _projected(config, patches)
    return ImageShape(1, patches, projected, projected, source)


def _processed(config: Any, processor: Any) -> ImageShape | None:
    """What the processor makes of an image of the assumed size; None if it makes nothing of a simple conversation."""
    text = {"type": "text", "text": "What is it?"}
    image = Image.new("RGB", (ASSUMED_WIDTH, ASSUMED_HEIGHT))
    try:
        lengths = []
        for content in ([text], [{"type": "image"}, text]):
            asked = processor.apply_chat_template([{"role": "user", "content": content}], tokenize=False)
            made = processor(text=asked, images=[image] if len(content) > 1 else None, return_tensors="pt")
            lengths.append(made["input_ids"].shape[-1])
        pixels = made["pixel_values"].shape
    except Exception:  # templates and processors raise anything
        return None
    if len(pixels) == 2:  # one row a patch
        tiles, patches = 1, pixels[0]
    else:
        patch = _first(config.vision_config.patch_size)
        tiles, patches = prod(pixels[:-3]), (pixels[-2] // patch) * (pixels[-1] // patch)
    return ImageShape(
        tiles=tiles,
        patches=patches,
        projected=tiles * _projected(config, patches),
        tokens=lengths[1] - lengths[0],
        source=f"as its processor makes an image of {_SIZE}",
    )


def _merged(config: Any) -> int:
    """How many patches in a row the projector takes as one."""
    for holder in (config, config.vision_config):
        for name in ("spatial_merge_size", "scale_factor"):
            if merged := getattr(holder, name, None):
                return int(merged)
    return round(1 / getattr(config, "downsample_ratio", 1))


def _projected(config: Any, patches: int) -> int:
    """What the projector is applied to in a tile of so many patches."""
    return int(getattr(config, "mm_tokens_per_image", None) or patches // _merged(config) ** 2)


def _matrices(module: nn.Module) -> int:
    return sum(_sizes_of_matrices(module))


def _sizes_of_matrices(module: nn.Module) -> Iterator[int]:
    """The weights of each matrix that hidden states are multiplied with; tables of embeddings are none."""
    for part in module.modules():
        if not isinstance(part, nn.Embedding):
            yield from (weights.numel() for weights in part.parameters(recurse=False) if weights.ndim > 1)


def _last_products(language: Any) -> int:
    """The weights of the products whose results end the layers, with no norm after them."""
    layers = list(language.layers)
    if any(path.endswith("post_feedforward_layernorm") for path, _ in layers[0].named_modules()):
        return 0
    return sum([*_sizes_of_matrices(layer)][-1] for layer in layers)


def _pieces(part: Any) -> list[nn.Module]:
    """The modules of a part that the tower's features enter, each by itself; none of a single parameter."""
    if isinstance(part, nn.ModuleList):
        return list(part)
    return [part] if isinstance(part, nn.Module) else []


def _has_norm(module: nn.Module) -> bool:
    weights = (getattr(part, "weight", None) for part in module.modules())
    return any(weight is not None and weight.ndim == 1 for weight in weights)


def _embeds_pixels(module: nn.Module) -> bool:
    return isinstance(module, nn.Conv2d | nn.Conv3d)


def _part(model: Any, path: str) -> Any:
    for name in path.split("."):
        model = getattr(model, name)
    return model


def _first(size: Any) -> int:
    return int(size[0] if isinstance(size, list | tuple) else size)
