"""What a family of vision–language models is: models whose parts have the same names, and what is right for them.

To add a family:

1. Write a module like `qwen_vl.py` that defines a `ModelFamily`. The paths of the parts are those of the model in
   memory: `for name, _ in model.named_modules(): print(name)`.
2. List it in `registry.FAMILIES`.
3. Add a tiny model of it to `tests/llavamed_trainer/tiny_models.py`. The tests of all families then run for it: when
   they pass, set `tested`.

A model of no family in the list is trained too if its parts can be told apart by their names, which are in `registry`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

NOT_SHOWN = "packing has not been shown to give the same loss for them as batches of single rows"
"""Why rows of a family are not packed, where no better reason is known."""


@dataclass(frozen=True, slots=True)
class ModelFamily:
    """The parts of a family's models, as paths that `torch.nn.Module.get_submodule` takes, and what is right for it.

    Attributes:
        name: for people, such as `Qwen2.5-VL`.
        model_types: the `model_type` in config.json of its models.
        vision_tower: turns pixels into image features; no stage trains it. If the projector lies inside it, as in
            Qwen's models, the tower is what is left without the projector.
        projector: what turns image features into embeddings of the language model; modules, and single parameters.
        language_model: turns embeddings into hidden states.
        processors: the names of the classes of its processors.
        backbone: all of the model but the output layer.
        output_layer: turns hidden states into logits.
        image_mark: a token that the processor writes once for each image, where a batch has tiles and not images.
        vision_type: the `model_type` of the vision tower, where it tells families of one `model_type` apart.
        packing_refused: why rows cannot be packed; None if packing has been shown to be right.
        mrope: whether positions have three dimensions, time, height and width (M-RoPE).
        plain_logits: whether logits are those of the output layer, without a scale or a cap after it.
        tested: whether the tests of all families run for it.
        trained_projector: a function from a model to the paths of its projector that are trained, if not all are.
    """

    name: str
    model_types: tuple[str, ...]
    vision_tower: str
    projector: tuple[str, ...]
    language_model: str
    processors: tuple[str, ...]
    backbone: str = "model"
    output_layer: str = "lm_head"
    image_mark: str | None = None
    vision_type: str | None = None
    packing_refused: str | None = NOT_SHOWN
    mrope: bool = False
    plain_logits: bool = True
    tested: bool = True
    trained_projector: Callable[[Any], tuple[str, ...]] | None = None
