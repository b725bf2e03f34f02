"""The numbers of a model that its cost depends on: of a known model, or of any checkpoint's config.json."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from llavamed_data.errors import UsageError
from llavamed_trainer.planning.data_facts import table

LINEAR = "linear"


@dataclass(frozen=True, slots=True)
class Tower:
    """A vision transformer; `layers` run, `class_token` stands beside the patches."""

    hidden: int
    layers: int
    heads: int
    intermediate: int
    patch: int
    pixels: int
    class_token: int

    @property
    def patches(self) -> int:
        """Image tokens."""
        return (self.pixels // self.patch) ** 2

    @property
    def parameters(self) -> int:
        """Weights and biases: patches, positions, blocks with two norms, norms around them."""
        block = 4 * self.hidden**2 + 2 * self.hidden * self.intermediate
        biases = 9 * self.hidden + self.intermediate  # attention 4, two layers, two norms of two
        embedding = 3 * self.patch**2 * self.hidden + (self.patches + 2 * self.class_token) * self.hidden
        return self.layers * (block + biases) + embedding + 4 * self.hidden


@dataclass(frozen=True, slots=True)
class Language:
    """A Llama-like language model: gated MLP, grouped keys and values, no biases."""

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
        """Weights of one block's matrices."""
        queries, keys = self.heads * self.head, self.kv_heads * self.head
        return 2 * self.hidden * queries + 2 * self.hidden * keys + 3 * self.hidden * self.intermediate

    @property
    def parameters(self) -> int:
        """Blocks with two norms, a last norm, embeddings, and the head where it is not the embeddings."""
        tables = 1 if self.tied else 2
        norms = (2 * self.layers + 1) * self.hidden
        return self.layers * self.block + norms + tables * self.vocabulary * self.hidden


@dataclass(frozen=True, slots=True)
class Shape:
    """A LLaVA model.

    Attributes:
        name: of the known model, or of the checkpoint.
        note: what it is.
        linear: whether the projection is the paper's single layer.
    """

    name: str
    note: str
    vision: Tower
    language: Language
    linear: bool

    @property
    def projector(self) -> int:
        """Weights and biases of the projection, the identity of a linear one included."""
        hidden = self.language.hidden
        return self.vision.hidden * hidden + hidden + hidden**2 + hidden

    @property
    def projector_trained(self) -> int:
        """Those that learn."""
        hidden = self.language.hidden
        return self.vision.hidden * hidden + hidden if self.linear else self.projector

    @property
    def parameters(self) -> int:
        """All of the checkpoint's."""
        return self.vision.parameters + self.projector + self.language.parameters


@cache
def known_shapes() -> Mapping[str, Shape]:
    """Models whose shape is on file, by name."""
    return {name: _known(name, each) for name, each in table("shapes").items()}


@cache
def _names() -> Mapping[str, str]:
    return {repository: name for name, each in table("shapes").items() for repository in each["names"]}


def find_shape(model: str) -> Shape:
    """The shape of a known model, of its repository, or of a checkpoint's folder.

    Raises:
        UsageError: it is none of these, or no LLaVA.
    """
    shapes = known_shapes()
    if (name := _names().get(model, model)) in shapes:
        return shapes[name]
    config = Path(model) / "config.json" if Path(model).is_dir() else Path(model)
    if not config.is_file():
        raise UsageError(
            f"the shape of {model} is not known: give --model {' | '.join(shapes)}, or a folder with a config.json"
        )
    try:
        return _of_config(json.loads(config.read_text(encoding="utf-8")), model)
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(f"{config} is not the config.json of a transformers LLaVA: {error!r}") from error


def _known(name: str, stated: Mapping[str, Any]) -> Shape:
    language = stated["language"]
    return Shape(
        name=name,
        note=stated["note"],
        vision=Tower(**stated["vision"]),
        language=Language(head=language["hidden"] // language["heads"], **language),
        linear=stated["projector"] == LINEAR,
    )


def _of_config(stated: Mapping[str, Any], name: str) -> Shape:
    vision, text = stated["vision_config"], stated["text_config"]
    heads = text.get("num_attention_heads", 32)
    hidden = text.get("hidden_size", 4096)
    layers = vision["num_hidden_layers"]
    return Shape(
        name=name,
        note="from its config.json",
        vision=Tower(
            hidden=vision["hidden_size"],
            layers=layers,
            heads=vision["num_attention_heads"],
            intermediate=vision.get("intermediate_size", 4 * vision["hidden_size"]),
            patch=vision["patch_size"],
            pixels=vision["image_size"],
            class_token=0 if vision["model_type"].startswith("siglip") else 1,
        ),
        language=Language(
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
