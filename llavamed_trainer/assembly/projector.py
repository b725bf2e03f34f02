"""The paper's single linear projection, in the stock two-layer projector of transformers."""

import torch
from torch import nn
from torch.distributed.tensor import DTensor
from transformers import LlavaForConditionalGeneration


def make_linear(model: LlavaForConditionalGeneration) -> None:
    """Makes `linear_2` the identity, frozen: with `projector_hidden_act="linear"` the projector is `linear_1` alone.

    One linear layer connects vision tower and language model (section 4 and Figure 3 of the paper).

    Raises:
        ValueError: the model's projector has a nonlinearity between its layers.
    """
    if model.config.projector_hidden_act != "linear":
        raise ValueError(f"the projector's activation is {model.config.projector_hidden_act!r}, not 'linear'")
    second = model.model.multi_modal_projector.linear_2
    with torch.no_grad():
        nn.init.eye_(second.weight)
        if second.bias is not None:
            second.bias.zero_()
    second.requires_grad_(False)


def is_linear(model: LlavaForConditionalGeneration) -> bool:
    """Whether the projector computes a single linear layer, as `make_linear` leaves it."""
    projector = model.model.multi_modal_projector
    weight, bias = _whole(projector.linear_2.weight), _whole(projector.linear_2.bias)
    if model.config.projector_hidden_act != "linear" or weight is None or weight.shape[0] != weight.shape[1]:
        return False
    whole = torch.equal(weight, torch.eye(len(weight), dtype=weight.dtype, device=weight.device))
    return whole and (bias is None or not bool(bias.any()))


def _whole(tensor: torch.Tensor | None) -> torch.Tensor | None:
    """Of a sharded model too."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor
