"""The numbers of a model that the cost of training depends on: of a known model, or read from any config.json."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from llavamed_data.errors import UsageError

LINEAR = "linear"


@dataclass(frozen=True, slots=True)
class VisionShape:
    """The shape of a vision transformer.

    Attributes:
        hidden: width of the hidden states.
        layers: the layers that are computed.
        heads: attention heads.
        intermediate: width of the MLP.
        patch: width and height of a patch in pixels.
        pixels: width and height of an image.
        class_token: 1 if a class token stands beside the patches, else 0.
    """

    hidden: int
    layers: int
    heads: int
    intermediate: int
    patch: int
    pixels: int
    class_token: int

    @property
    def patches(self) -> int:
        """The number of patches, which is the number of image tokens."""
        return (self.pixels // self.patch) ** 2

    @property
    def parameters(self) -> int:
        """The weights and biases of patches, positions, blocks with two norms, and the norms around them."""
        block = 4 * self.hidden**2 + 2 * self.hidden * self.intermediate
        biases = 9 * self.hidden + self.intermediate  # attention 4, two layers, two norms of two
        embedding = 3 * self.patch**2 * self.hidden + (self.patches + 2 * self.class_token) * self.hidden
        return self.layers * (block + biases) + embedding + 4 * self.hidden


@dataclass(frozen=True, slots=True)
class LanguageShape:
    """The shape of a Llama-like language model: gated MLP, grouped keys and values, no biases.

    Attributes:
        hidden: width of the hidden states.
        layers: their number.
        heads: attention heads.
        kv_heads: heads of keys and values.
        intermediate: width of the MLP.
        vocabulary: number of tokens.
        head: width of an attention head.
        tied: whether the output layer is the embedding.
    """

    hidden: int
    layers: int
    heads: int
    kv_heads: int
    intermediate: int
    vocabulary: int
    head: int
    tied: bool = False

    @property
    def block(self) -> int:
        """The weights of the matrices of one block."""
        queries, keys = self.heads * self.head, self.kv_heads * self.head
        return 2 * self.hidden * queries + 2 * self.hidden * keys + 3 * self.hidden * self.intermediate

    @property
    def parameters(self) -> int:
        """The weights of blocks with two norms, the last norm, embeddings, and the output layer unless it is tied."""
        tables = 1 if self.tied else 2
        norms = (2 * self.layers + 1) * self.hidden
        return self.layers * self.block + norms + tables * self.vocabulary * self.hidden


@dataclass(frozen=True, slots=True)
class ModelShape:
    """The shape of a LLaVA model.

    Attributes:
        name: of the known model, or of the checkpoint.
        note: a description of the model.
        vision: the shape of the vision tower.
        language: the shape of the language model.
        linear: whether the projector is the paper's single layer.
    """

    name: str
    note: str
    vision: VisionShape
    language: LanguageShape
    linear: bool

    @property
    def projector(self) -> int:
        """The weights and biases of the projector, with the identity of a linear one."""
        hidden = self.language.hidden
        return self.vision.hidden * hidden + hidden + hidden**2 + hidden

    @property
    def projector_trained(self) -> int:
        """The weights and biases of the projector that are trained."""
        hidden = self.language.hidden
        return self.vision.hidden * hidden + hidden if self.linear else self.projector

    @property
    def parameters(self) -> int:
        """The weights and biases of the whole model."""
        return self.vision.parameters + self.projector + self.language.parameters


def find_shape(model: str) -> ModelShape:
    """Finds the shape of a known model, by its name or repository, or reads that of a checkpoint's folder.

    Raises:
        UsageError: it is none of these, or no LLaVA.
    """
    shapes = known_shapes()
    repositories = {repo: name for name, stated in read_table("shapes").items() for repo in stated["names"]}
    if (name := repositories.get(model, model)) in shapes:
        return shapes[name]
    config = Path(model) / "config.json" if Path(model).is_dir() else Path(model)
    if not config.is_file():
        raise UsageError(
            f"the shape of {model} is not known: give --model {' | '.join(shapes)}, or a folder with a config.json"
        )
    try:
        return _from_config(json.loads(config.read_text(encoding="utf-8")), model)
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(f"{config} is not the config.json of a transformers LLaVA: {error!r}") from error


@cache
def known_shapes() -> Mapping[str, ModelShape]:
    """The models of `shapes.yaml`, by name."""
    return {
        name: ModelShape(
            name=name,
            note=stated["note"],
            vision=VisionShape(**stated["vision"]),
            language=LanguageShape(
                head=stated["language"]["hidden"] // stated["language"]["heads"], **stated["language"]
            ),
            linear=stated["projector"] == LINEAR,
        )
        for name, stated in read_table("shapes").items()
    }


@cache
def read_table(name: str) -> Any:
    """Reads one of the YAML tables of this package."""
    return yaml.safe_load(files(__package__).joinpath(f"{name}.yaml").read_text(encoding="utf-8"))


def _from_config(stated: Mapping[str, Any], name: str) -> ModelShape:
    vision, text = stated["vision_config"], stated["text_config"]
    heads = text.get("num_attention_heads", 32)
    hidden = text.get("hidden_size", 4096)
    return ModelShape(
        name=name,
        note="from its config.json",
        vision=VisionShape(
            hidden=vision["hidden_size"],
            layers=vision["num_hidden_layers"],
            heads=vision["num_attention_heads"],
            intermediate=vision.get("intermediate_size", 4 * vision["hidden_size"]),
            patch=vision["patch_size"],
            pixels=vision["image_size"],
            class_token=0 if vision["model_type"].startswith("siglip") else 1,
        ),
        language=LanguageShape(
            hidden=hidden,
            layers=text.get("num_hidden_layers", 32),
            heads=heads,
            kv_heads=text.get("num_key_value_heads") or heads,
            intermediate=text.get("intermediate_size", 11008),
            vocabulary=text.get("vocab_size", 32000),
            head=text.get("head_dim") or hidden // heads,
            tied=bool(text.get("tie_word_embeddings", stated.get("tie_word_embeddings", False))),
        ),
        linear=stated.get("projector_hidden_act") == LINEAR,
    )
