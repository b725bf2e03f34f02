"""The parts of a LLaVA: a vision tower and a language model, loaded by folder or Hub name and joined by a projector."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from huggingface_hub import hf_hub_download
from huggingface_hub.errors import HfHubHTTPError
from safetensors import SafetensorError
from transformers import (
    AutoConfig,
    AutoImageProcessor,
    AutoModel,
    AutoModelForCausalLM,
    AutoTokenizer,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
)
from transformers.models.vit.modeling_vit import ViTPooler

from llavamed_data.errors import UsageError, one_line
from llavamed_trainer.assembly.biomedclip import FILES, file_of, load_biomedclip
from llavamed_trainer.models.llava import IMAGE_TOKEN, make_linear
from llavamed_trainer.models.loading import refuse_missing_weights

PROJECTORS = {"linear": "linear", "mlp2x_gelu": "gelu"}
"""The activation of each projector. `linear` is the paper's (section 4), `mlp2x_gelu` that of LLaVA-1.5."""

FEATURE_LAYER = -2
"""LLaVA takes the features of the second-to-last layer of the vision tower."""

_VISION_TYPES = {"clip": "clip_vision_model", "siglip": "siglip_vision_model"}
"""The type of the vision tower in checkpoints that hold a text tower too, by the type of the checkpoint."""

_CLASS_TOKENS = {"clip_vision_model": 1, "vit": 1, "dinov2": 1, "siglip_vision_model": 0}
"""The vision towers that a stock LLaVA can hold, and the number of class tokens that each adds."""

_PAD_TOKEN = "<pad>"  # noqa: S105  (a token of text, no password)

_EMBEDDING_MULTIPLE = 64
"""The embedding grows to a multiple of this number of rows, which matrix products run faster with."""


@dataclass(frozen=True, slots=True)
class VisionTower:
    """A vision tower and its image processor.

    Attributes:
        model: the tower, with its `config`.
        image_processor: brings images to the size that the tower takes.
        class_tokens: the number of tokens beside those of the patches.
    """

    model: Any
    image_processor: Any
    class_tokens: int

    @property
    def strategy(self) -> Literal["default", "full"]:
        """Whether LLaVA leaves out the class token (`default`) or takes all tokens (`full`)."""
        return "default" if self.class_tokens else "full"

    @property
    def tokens(self) -> int:
        """The number of tokens that an image of the tower's own size takes."""
        image, patch = (
            int(size[0] if isinstance(size, tuple | list) else size)
            for size in (self.model.config.image_size, self.model.config.patch_size)
        )
        return (image // patch) ** 2


@dataclass(frozen=True, slots=True)
class LanguageModel:
    """A causal language model and its tokenizer, which has the image token and a token to pad with."""

    model: Any
    tokenizer: Any


def load_vision(name: str, dtype: torch.dtype) -> VisionTower:
    """Loads a vision tower.

    Args:
        name: folder, Hub name, or an open_clip file of BiomedCLIP.
        dtype: of its weights.

    Raises:
        UsageError: there is none, it lacks weights, or it is of a kind that a stock LLaVA cannot hold.
    """
    if (file := _open_clip_file(name)) is not None:
        tower, processor = load_biomedclip(file)
        _add_unused_pooler(tower)
        moved: torch.nn.Module = tower
        return VisionTower(moved.to(dtype), processor, class_tokens=1)
    try:
        config = AutoConfig.from_pretrained(name)
        kind = _VISION_TYPES.get(config.model_type, config.model_type)
        if kind not in _CLASS_TOKENS:
            raise UsageError(
                f"{name} is a {config.model_type} model, no vision tower of a stock LLaVA: give one of CLIP, SigLIP, "
                "ViT, DINOv2, or BiomedCLIP's open_clip file"
            )
        vision_config = config.vision_config if config.model_type in _VISION_TYPES else config
        options = {"add_pooling_layer": False} if kind == "vit" else {}
        model, loaded = AutoModel.from_pretrained(
            name, config=vision_config, dtype=dtype, output_loading_info=True, **options
        )
        processor = AutoImageProcessor.from_pretrained(name)  # type: ignore[no-untyped-call]
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise UsageError(
            f"there is no vision tower {name!r}, as a folder or on the Hub: {one_line(error)}"
        ) from error
    refuse_missing_weights(loaded, name)
    if kind == "vit":
        _add_unused_pooler(model)
    return VisionTower(model, processor, _CLASS_TOKENS[kind])


def load_language(name: str, dtype: torch.dtype) -> LanguageModel:
    """Loads a language model by its folder or Hub name, and prepares it for images.

    Raises:
        UsageError: there is none, it lacks weights, or its tokenizer has no fast form.
    """
    try:
        tokenizer = AutoTokenizer.from_pretrained(name)
        loading: Any = AutoModelForCausalLM.from_pretrained(name, dtype=dtype, output_loading_info=True)
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise UsageError(
            f"there is no language model {name!r}, as a folder or on the Hub: {one_line(error)}"
        ) from error
    model, loaded = loading
    refuse_missing_weights(loaded, name)
    return with_image_token(model, tokenizer, name)


def with_image_token(model: Any, tokenizer: Any, name: str) -> LanguageModel:
    """Adds the image token, and a token to pad with if there is none; the embedding grows if it must.

    Raises:
        UsageError: the tokenizer gives no character offsets, by which answers are told from questions.
    """
    if not tokenizer.is_fast:
        raise UsageError(
            f"the tokenizer of {name} gives no character offsets: convert it to its fast form (tokenizer.json)"
        )
    tokenizer.add_special_tokens({"additional_special_tokens": [IMAGE_TOKEN]})
    if tokenizer.pad_token is None:
        tokenizer.add_special_tokens({"pad_token": _PAD_TOKEN})
    if len(tokenizer) > model.get_input_embeddings().num_embeddings:
        model.resize_token_embeddings(len(tokenizer), pad_to_multiple_of=_EMBEDDING_MULTIPLE)
    model.config.pad_token_id = tokenizer.pad_token_id
    return LanguageModel(model, tokenizer)


def join(
    vision: VisionTower,
    language: LanguageModel,
    *,
    projector: str = "linear",
    template: str,
    feature_layer: int = FEATURE_LAYER,
) -> tuple[LlavaForConditionalGeneration, Any]:
    """Joins a vision tower and a language model by a new, random projector.

    Args:
        vision: the tower; it becomes part of the model and is not copied.
        language: the language model; it becomes part of the model and is not copied.
        projector: one of `PROJECTORS`.
        template: chat template as Jinja text.
        feature_layer: the layer of the tower whose features are taken.

    Returns:
        The model and its processor.

    Raises:
        UsageError: there is no such projector.
    """
    if projector not in PROJECTORS:
        raise UsageError(f"no projector is called {projector!r}: choose from {', '.join(PROJECTORS)}")
    tokenizer = language.tokenizer
    config = LlavaConfig(
        vision_config=vision.model.config,
        text_config=language.model.config,
        image_token_index=tokenizer.get_vocab()[IMAGE_TOKEN],
        projector_hidden_act=PROJECTORS[projector],
        vision_feature_select_strategy=vision.strategy,
        vision_feature_layer=feature_layer,
        image_seq_length=vision.tokens,
        tie_word_embeddings=bool(language.model.config.tie_word_embeddings),
    )
    with torch.device("meta"):
        model = LlavaForConditionalGeneration(config)
    projection = model.model.multi_modal_projector.to_empty(device="cpu").to(language.model.dtype)
    for layer in (projection.linear_1, projection.linear_2):
        layer.reset_parameters()
    model.model.vision_tower = vision.model
    model.model.language_model = language.model.get_decoder()
    model.lm_head = language.model.get_output_embeddings()
    if projector == "linear":
        make_linear(model)
    model.generation_config = language.model.generation_config
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    processor = LlavaProcessor(  # type: ignore[no-untyped-call]
        image_processor=vision.image_processor,
        tokenizer=tokenizer,
        patch_size=vision.model.config.patch_size,
        vision_feature_select_strategy=vision.strategy,
        num_additional_image_tokens=vision.class_tokens,
        image_token=IMAGE_TOKEN,
        chat_template=template,
    )
    return model, processor


def _add_unused_pooler(tower: Any) -> None:
    """Adds zeros as the pooler that a stock LLaVA gives a ViT and never uses: else each load would draw random ones."""
    tower.pooler = ViTPooler(tower.config).to(tower.dtype)
    for parameter in tower.pooler.parameters():
        torch.nn.init.zeros_(parameter)


def _open_clip_file(name: str) -> Path | None:
    """The open_clip file of BiomedCLIP that a path or a Hub name leads to; None if it is another model."""
    path = Path(name)
    if path.exists():
        return file_of(path)
    if "biomedclip" not in name.lower():
        return None
    for file in FILES:
        try:
            return Path(hf_hub_download(name, file))
        except (HfHubHTTPError, OSError):
            continue
    raise UsageError(f"{name} has none of the files {', '.join(FILES)}: give the path of the file")
