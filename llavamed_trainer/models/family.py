"""What a family of vision–language models is: the models of one `model_type`, whose parts have the same names.

To add a family, write a module like `llava.py` that defines one `ModelFamily`, and list it in `stages.FAMILIES`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class ModelFamily:
    """The names of the parts of a vision–language model, as paths that `torch.nn.Module.get_submodule` takes.

    Attributes:
        model_type: the `model_type` in the checkpoint's config.json.
        vision_tower: turns pixels into image features; no stage trains it.
        projector: turns image features into embeddings of the language model.
        language_model: turns embeddings into hidden states.
        backbone: all of the model but the output layer.
        output_layer: turns hidden states into logits.
        lora_layers: a regular expression of the linear layers that LoRA adapts.
        trained_projector: a function from a model to the path of the part of its projector that is trained.
    """

    model_type: str
    vision_tower: str
    projector: str
    language_model: str
    backbone: str
    output_layer: str
    lora_layers: str
    trained_projector: Callable[[Any], str]
