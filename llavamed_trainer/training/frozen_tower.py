"""A frozen vision tower runs without a graph.

Gradient checkpointing hooks the tower's patch embedding so that its output wants a gradient
(`enable_input_require_grads`), and the whole frozen tower is then run again and propagated through for nothing.
"""

import functools
from typing import Any

import torch


def run_frozen_tower_without_graph(model: Any) -> bool:
    """Wraps the forward of a vision tower of which nothing is trained; returns whether it did.

    The wrap is around the tower, so whatever `train()` or checkpointing sets inside it later stays without effect.

    Args:
        model: a `LlavaForConditionalGeneration`, frozen as it will be trained; not wrapped.
    """
    tower = model.model.vision_tower
    if any(parameter.requires_grad for parameter in tower.parameters()):
        return False
    forward = tower.forward

    @functools.wraps(forward)
    def without_graph(*args: Any, **kwargs: Any) -> Any:
        with torch.no_grad():
            return forward(*args, **kwargs)

    tower.forward = without_graph
    return True
