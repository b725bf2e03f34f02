"""The numbers of a model that the cost of training depends on: of a known model, or counted from its config.json."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from llavamed_data.errors import UsageError, one_line

ASSUMED_WIDTH, ASSUMED_HEIGHT = 640, 480
"""The size of an image, in pixels, where the tokens that it takes depend on it: an assumption of ours. The figures of
the released evaluation set measure 624 × 463 in the median."""


@dataclass(frozen=True, slots=True)
class VisionShape:
    """The shape of a vision tower, without a projector inside it.

    Attributes:
        hidden: width of the hidden states.
        intermediate: width of its widest layer.
        layers: those whose patches all see each other.
        windowed: those whose patches see each other within a window.
        window: patches of a window.
        parameters: all weights and biases.
        matrices: weights of the matrices that each patch is multiplied with, in all layers.
        embedding: weights that turn the pixels of a patch into a hidden state.
        class_token: 1 if a class token stands beside the patches, else 0.
    """

    hidden: int
    intermediate: int
    layers: int
    parameters: int
    matrices: int
    embedding: int
    class_token: int
    windowed: int = 0
    window: int = 0


@dataclass(frozen=True, slots=True)
class ProjectorShape:
    """The shape of what turns image features into embeddings of the language model.

    Attributes:
        parameters: all weights and biases.
        trained: weights and biases that the stages train.
        adapted: those that are trained beside LoRA adapters.
        matrices: weights of its matrices.
        trained_matrices: weights of the matrices that the stages train.
        first: weights of the matrices that the features of the frozen tower enter as they are, to which no gradient is
            due.
    """

    parameters: int
    trained: int
    adapted: int
    matrices: int
    trained_matrices: int
    first: int


@dataclass(frozen=True, slots=True)
class LanguageShape:
    """The shape of a language model.

    Attributes:
        hidden: width of the hidden states.
        layers: their number.
        attention: width of all heads of queries together.
        intermediate: width of the MLP.
        vocabulary: number of tokens.
        parameters: all weights and biases, with the output layer; a tied one is counted once.
        matrices: weights of the matrices that each token is multiplied with, in all layers.
        last: weights of those products that end a layer; checkpointing need not compute these again.
        adapters: weights that LoRA of rank 1 adds.
        passed_by: of `matrices`, the weights that a token is not multiplied with: of a mixture of experts, all experts
            but those that a token is given to.
    """

    hidden: int
    layers: int
    attention: int
    intermediate: int
    vocabulary: int
    parameters: int
    matrices: int
    last: int
    adapters: int
    passed_by: int = 0


@dataclass(frozen=True, slots=True)
class ImageShape:
    """What an image is to a model.

    Attributes:
        tiles: pictures that the tower sees of it; patches of different tiles do not see each other.
        patches: of a tile.
        projected: what the projector is applied to, in all tiles.
        tokens: of a row that the image takes, with the marks around it.
        source: where the numbers are from.
    """

    tiles: int
    patches: int
    projected: int
    tokens: int
    source: str

    def with_tokens(self, tokens: int) -> "ImageShape":
        """The same for an image that takes another number of tokens: so many more tiles, or larger ones."""
        share = tokens / self.tokens
        tiles = max(1, round(self.tiles * share)) if self.tiles > 1 or share > 1 else 1
        return replace(
            self,
            tiles=tiles,
            patches=max(1, round(self.tiles * self.patches * share / tiles)),
            projected=max(1, round(self.projected * share)),
            tokens=tokens,
            source="given",
        )


@dataclass(frozen=True, slots=True)
class ModelShape:
    """The shape of a vision–language model.

    Attributes:
        name: of the known model, or of the checkpoint.
        note: a description of the model.
        vision: the shape of the vision tower.
        projector: the shape of the projector.
        language: the shape of the language model.
        image: what an image is to it.
        logits_at_labels: whether logits are computed only for the tokens that have labels.
    """

    name: str
    note: str
    vision: VisionShape
    projector: ProjectorShape
    language: LanguageShape
    image: ImageShape
    logits_at_labels: bool = True

    @property
    def parameters(self) -> int:
        """The weights and biases of the whole model."""
        return self.vision.parameters + self.projector.parameters + self.language.parameters

    def numbers(self) -> dict[str, Any]:
        """The numbers as `shapes.yaml` has them, by part."""
        return {part: asdict(self)[part] for part in ("vision", "projector", "language", "image")}


def find_shape(model: str) -> ModelShape:
    """Finds the shape of a known model by its name or repository, or counts that of a checkpoint.

    A checkpoint is a folder or a name on the Hub; its config.json is read, no weights. An adapter has the shape of its
    base.

    Raises:
        UsageError: it is none of these, or its model is not supported.
    """
    shapes = known_shapes()
    repositories = {repo: name for name, stated in read_table("shapes").items() for repo in stated["names"]}
    if (name := repositories.get(model, model)) in shapes:
        return shapes[name]
    # These import torch, which the known models do without.
    from llavamed_trainer.models.loading import adapter_base, read_config
    from llavamed_trainer.planning.counting import count_shape, processor_at_hand

    try:
        if (base := adapter_base(model)) is not None:
            return find_shape(base)
        config = read_config(model)
    except UsageError:
        raise
    except Exception as error:  # libraries raise many kinds of errors on what is not there or damaged
        raise UsageError(
            f"the shape of {model} is not known ({one_line(error, 160)}): give --model {' | '.join(shapes)}, a folder "
            "with a config.json, or a name on the Hub"
        ) from error
    return count_shape(config, model, processor_at_hand(model))


@cache
def known_shapes() -> Mapping[str, ModelShape]:
    """The models of `shapes.yaml`, by name."""
    return {
        name: ModelShape(
            name=name,
            note=stated["note"],
            vision=VisionShape(**stated["vision"]),
            projector=ProjectorShape(**stated["projector"]),
            language=LanguageShape(**stated["language"]),
            image=ImageShape(**stated["image"]),
        )
        for name, stated in read_table("shapes").items()
    }


@cache
def read_table(name: str) -> Any:
    """Reads one of the YAML tables of this package."""
    return yaml.safe_load(files(__package__).joinpath(f"{name}.yaml").read_text(encoding="utf-8"))
