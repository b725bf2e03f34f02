"""Changes to the forward pass of a model in training: no graph through a frozen tower, logits at labels alone."""

import functools
import inspect
from collections.abc import Collection, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from trl.trainer.utils import FusedCausalLMOutput

from llavamed_trainer.collate import IGNORED
from llavamed_trainer.models import ModelFamily, family_of

_SCALES = (
    "final_logit_softcapping",
    "logit_scale",
    "logits_scaling",
    "output_multiplier",
    "lm_head_multiplier",
)
"""Settings of a language model that change logits after the output layer."""

_CHUNK = 1024
"""The number of positions whose logits are held at a time: 128 MB in float32 with a vocabulary of 32,000."""


def run_frozen_tower_without_graph(model: Any) -> bool:
    """Wraps the forward of a frozen vision tower in `torch.no_grad()`; returns whether the tower is frozen.

    Gradient checkpointing makes the output of the tower's patch embedding require a gradient
    (`enable_input_require_grads`), and the whole frozen tower would be computed again and back-propagated through for
    nothing. The wrapper is around the tower, so nothing that `train()` or checkpointing sets inside it later matters. A
    tower that holds the projector, as Qwen's do, is wrapped block by block, and its projector is not.

    Args:
        model: a vision–language model, frozen as it will be trained; the model itself, not a wrapper such as DDP.
    """
    family = family_of(model)
    tower = model.get_submodule(family.vision_tower)
    inside = [path for path in family.projector if path.startswith(f"{family.vision_tower}.")]
    frozen = list(_outermost_without(tower, [model.get_submodule(path) for path in inside]))
    if any(parameter.requires_grad for module in frozen for parameter in module.parameters()):
        return False
    for module in frozen:
        _run_without_graph(module)
    return True


def _outermost_without(module: nn.Module, excluded: Collection[nn.Module]) -> Iterator[nn.Module]:
    """The modules of a tree that hold none of the excluded ones and have a forward, the largest there are."""
    if module in excluded:
        return
    if isinstance(module, nn.ModuleList) or any(other in excluded for other in module.modules()):
        for child in module.children():
            yield from _outermost_without(child, excluded)
    else:
        yield module


def _run_without_graph(module: nn.Module) -> None:
    forward = module.forward

    @functools.wraps(forward)
    def without_graph(*args: Any, **kwargs: Any) -> Any:
        with torch.no_grad():
            return forward(*args, **kwargs)

    module.forward = without_graph


def compute_logits_at_labels(model: Any) -> None:
    """Has the forward that TRL's `compute_loss` calls (`fused_lm_head=True`) compute logits only where labels are.

    Most positions of a row are image and question: of a VQA-RAD row some 3 in 300 have a label. TRL's fused head leaves
    the others out where Triton runs, and computes all logits elsewhere; here they are left out everywhere. The loss is
    that of the model's own forward within the tolerance of floats. A batch that reaches nothing that is trained (text
    without images where only the projector is trained) has a gradient of zero, where TRL's trainer would fail.

    Call it after TRL has added its own head. Any other call of the forward stays as it was.

    Args:
        model: a vision–language model itself, not a wrapper such as DDP.
    """
    stock = model.forward
    on_triton = torch.cuda.is_available()

    @functools.wraps(type(model).forward)
    def forward(*args: Any, fused_lm_head: bool = False, labels: Tensor | None = None, **kwargs: Any) -> Any:
        if not fused_lm_head or labels is None:
            return stock(*args, **({} if labels is None else {"labels": labels}), **kwargs)
        if on_triton:
            output = stock(*args, fused_lm_head=True, labels=labels, **kwargs)
        else:
            output = _forward_with_labels(model, stock, labels, *args, **kwargs)
        if torch.is_grad_enabled() and not output.log_probs.requires_grad:
            output.log_probs = output.log_probs + _zero_through_trained(model)
        return output

    model.forward = forward


def _forward_with_labels(
    model: Any, stock: Any, labels: Tensor, *args: Any, num_items_in_batch: Any = None, **kwargs: Any
) -> FusedCausalLMOutput:
    family = family_of(model)
    labels = labels[:, 1:]
    mask = labels != IGNORED
    if has_plain_logits(model, family):
        head = model.get_submodule(family.output_layer)
        states = model.get_submodule(family.backbone)(*args, **kwargs).last_hidden_state[:, :-1]
        scored = states[mask]
    elif "logits_to_keep" in inspect.signature(type(model).forward).parameters:
        head = nn.Identity()
        places = mask.any(dim=0).nonzero().squeeze(-1)  # where any row of the batch has a label
        scored = stock(*args, logits_to_keep=places, **kwargs).logits[mask[:, places]]
    else:
        head = nn.Identity()
        scored = stock(*args, **kwargs).logits[:, :-1][mask]
    chunks = zip(torch.split(scored, _CHUNK), torch.split(labels[mask], _CHUNK), strict=True)
    parts = [_score(head, *chunk) for chunk in chunks]
    log_probs, entropy, is_top1 = (torch.cat(each) for each in zip(*parts, strict=True))
    count = mask.sum().clamp(min=1) if num_items_in_batch is None else num_items_in_batch

    def at_labels(values: Tensor) -> Tensor:  # [rows, length - 1], zero where there is no label
        return values.new_zeros(mask.shape).masked_scatter(mask, values)

    return FusedCausalLMOutput(
        loss=-log_probs.sum() / count,
        log_probs=at_labels(log_probs),
        entropy=at_labels(entropy),
        is_top1=at_labels(is_top1),
        label_mask=mask,
    )


def has_plain_logits(model: Any, family: ModelFamily) -> bool:
    """Whether a model's logits are what its output layer makes, so that they can be computed at some places alone.

    They are not where a scale or a cap comes after it, which the configuration states.
    """
    text = model.config.get_text_config()
    return family.plain_logits and all(getattr(text, name, None) in (None, 1.0) for name in _SCALES)


def _score(head: Any, hidden: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The log-probability of each label, the entropy, and whether the label is the top token: [positions] each."""
    all_log_probs = torch.log_softmax(head(hidden).float(), dim=-1)
    log_probs = all_log_probs.gather(-1, labels[:, None]).squeeze(-1)
    with torch.no_grad():
        entropy = -(all_log_probs.exp() * all_log_probs).sum(-1)
        is_top1 = all_log_probs.argmax(-1) == labels if len(labels) else labels.bool()
    return log_probs, entropy, is_top1


def _zero_through_trained(model: Any) -> Tensor:
    """A zero that depends on every trained parameter: their gradients are zero, and processes that wait get them."""
    return sum(
        (parameter.sum() * 0.0 for parameter in model.parameters() if parameter.requires_grad),
        start=torch.zeros((), device=model.device),
    )
