"""Writes a model as the Hub has it: weights under the names by which stock transformers, vLLM and llama.cpp find them.

In memory, transformers calls the weights of most models otherwise than their checkpoints on the Hub do, and renames
them when it loads and saves. It saves the names that it loaded: a checkpoint in the names of memory keeps them, and the
tower of a model that was made from parts lacks the level `vision_model` that all checkpoints of CLIP and SigLIP have.
vLLM does not find such weights, and llama.cpp's converter leaves them out without a word.
"""

from pathlib import Path
from typing import Any

from transformers.conversion_mapping import get_model_conversion_mapping


def name_weights_as_on_hub(model: Any) -> None:
    """Makes `save_pretrained` write the names of the Hub, whatever the names that the model was loaded from.

    Args:
        model: of transformers; nothing in memory is renamed.
    """
    model._weight_conversions = get_model_conversion_mapping(model, add_legacy=False)


def save_checkpoint(model: Any, processor: Any, folder: Path) -> None:
    """Writes a whole checkpoint: weights, configurations, tokenizer, processor and chat template."""
    name_weights_as_on_hub(model)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
