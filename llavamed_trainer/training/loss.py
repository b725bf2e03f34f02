"""Logits only at the positions that have labels.

In an image row most positions are image and question: of a VQA-RAD row some 3 in 300 are learnt. TRL's fused head
leaves the others out where Triton runs, and scores them all elsewhere; here they are left out everywhere.
"""

import functools
from typing import Any

import torch
from torch import Tensor
from trl.trainer.utils import FusedCausalLMOutput

IGNORED = -100

_CHUNK = 1024
"""Positions whose logits are held at a time: 128 MB in float32 with 32,000 tokens."""


def score_labels_alone(model: Any) -> None:
    """Has the forward that TRL's `compute_loss` calls (`fused_lm_head=True`) project labelled positions alone.

    To be called after TRL's own head was added; any other call of the forward stays as it was. The loss is that of the
    model's own forward within the tolerance of floats. A batch that reaches nothing that is trained (text without
    images where only the projector is) has a gradient of zero, where TRL's would end the run.

    Args:
        model: a `LlavaForConditionalGeneration`, not wrapped.
    """
    stock = model.forward
    on_triton = torch.cuda.is_available()

    @functools.wraps(type(model).forward)
    def forward(*args: Any, fused_lm_head: bool = False, labels: Tensor | None = None, **given: Any) -> Any:
        if not fused_lm_head or labels is None:
            return stock(*args, **({} if labels is None else {"labels": labels}), **given)
        if on_triton:
            made = stock(*args, fused_lm_head=True, labels=labels, **given)
        else:
            made = _scored(model, labels, *args, **given)
        if torch.is_grad_enabled() and not made.log_probs.requires_grad:
            made.log_probs = made.log_probs + _zero_of_trained(model)
        return made

    model.forward = forward


def _scored(
    model: Any, labels: Tensor, *args: Any, num_items_in_batch: Any = None, **given: Any
) -> FusedCausalLMOutput:
    hidden = model.model(*args, **given).last_hidden_state[:, :-1]
    wanted = labels[:, 1:]
    mask = wanted != IGNORED
    wanted = wanted[mask]
    chunks = zip(torch.split(hidden[mask], _CHUNK), torch.split(wanted, _CHUNK), strict=True)
    parts = [_score(model.lm_head, *chunk) for chunk in chunks]
    log_probs, entropy, is_top1 = (torch.cat(each) for each in zip(*parts, strict=True))
    count = mask.sum().clamp(min=1) if num_items_in_batch is None else num_items_in_batch
    return FusedCausalLMOutput(
        loss=-log_probs.sum() / count,
        log_probs=_placed(log_probs, mask),
        entropy=_placed(entropy, mask),
        is_top1=_placed(is_top1, mask),
        label_mask=mask,
    )


def _score(head: Any, hidden: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Log-probability of each label, entropy and whether the label is the likeliest: [positions] each."""
    all_log_probs = torch.log_softmax(head(hidden).float(), dim=-1)
    log_probs = all_log_probs.gather(-1, wanted[:, None]).squeeze(-1)
    with torch.no_grad():
        entropy = -(all_log_probs.exp() * all_log_probs).sum(-1)
        is_top1 = all_log_probs.argmax(-1) == wanted if len(wanted) else wanted.bool()
    return log_probs, entropy, is_top1


def _placed(values: Tensor, mask: Tensor) -> Tensor:
    """Back to [rows, length - 1], zero where nothing is learnt."""
    return values.new_zeros(mask.shape).masked_scatter(mask, values)


def _zero_of_trained(model: Any) -> Tensor:
    """Zero, through every trained parameter: gradients are zero, and processes that wait for them get them."""
    return sum(
        (each.sum() * 0.0 for each in model.parameters() if each.requires_grad),
        start=torch.zeros((), device=model.device),
    )
