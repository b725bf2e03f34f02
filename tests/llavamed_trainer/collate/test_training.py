"""Batches train a model, alone and in TRL's own trainer."""

from pathlib import Path

import pytest
import torch
from datasets import Dataset
from transformers import LlavaForConditionalGeneration, LlavaProcessor
from trl import SFTConfig, SFTTrainer

from llavamed_trainer.collate import LlavaMedCollator

from .conftest import Row


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_a_packed_batch_has_the_loss_and_gradient_of_the_padded_one(
    processor: LlavaProcessor, tiny_llava: Path, drawn_rows: list[Row], attention: str
) -> None:
    model = LlavaForConditionalGeneration.from_pretrained(tiny_llava, attn_implementation=attention)
    padded = LlavaMedCollator(processor)(drawn_rows[:5])
    packed = LlavaMedCollator(processor, packing=True, pad_to_multiple_of=64)(drawn_rows[:5])
    assert set(packed) == {"input_ids", "labels", "position_ids", "pixel_values"}
    assert packed["input_ids"].shape[0] == 1
    assert packed["input_ids"].shape[1] % 64 == 0
    starts = (packed["position_ids"][0] == 0).nonzero().flatten()
    assert len(starts) == 6  # five rows and the padding
    assert (packed["labels"][0, starts] == -100).all()
    assert torch.equal(packed["pixel_values"], padded["pixel_values"])

    losses, gradients = [], []
    for batch in (padded, packed):
        model.zero_grad()
        loss = model(**batch, use_cache=False).loss
        loss.backward()
        losses.append(loss.item())
        gradients.append(model.model.multi_modal_projector.linear_1.weight.grad.clone())
    assert losses[0] == pytest.approx(losses[1], abs=2e-6)
    assert torch.allclose(*gradients, atol=2e-6)


def _trained(
    tiny_llava: Path, processor: LlavaProcessor, rows: list[Row], out: Path, packing: bool
) -> SFTTrainer:
    trainer = SFTTrainer(
        model=LlavaForConditionalGeneration.from_pretrained(tiny_llava),
        args=SFTConfig(
            output_dir=str(out),
            max_steps=2,
            per_device_train_batch_size=4,
            learning_rate=1e-2,
            gradient_checkpointing=False,
            report_to=[],
            logging_steps=1,
            save_strategy="no",
            bf16=False,
            use_cpu=True,
        ),
        train_dataset=Dataset.from_list(rows),
        processing_class=processor,
        data_collator=LlavaMedCollator(processor, packing=packing),
    )
    trainer.train()
    return trainer


@pytest.mark.parametrize("packing", [False, True], ids=["padded", "packed"])
def test_trl_trains_with_it_as_it_is(
    processor: LlavaProcessor, tiny_llava: Path, drawn_rows: list[Row], tmp_path: Path, packing: bool
) -> None:
    trainer = _trained(tiny_llava, processor, drawn_rows[:8], tmp_path, packing)
    first, second = (entry["loss"] for entry in trainer.state.log_history if "loss" in entry)
    assert second < first


def test_nothing_is_learnt_from_bad_rows_alone(
    processor: LlavaProcessor, tiny_llava: Path, drawn_rows: list[Row], tmp_path: Path
) -> None:
    bad = [{**row, "images": [{"bytes": b"x", "path": None}]} for row in drawn_rows[:8]]
    trainer = _trained(tiny_llava, processor, bad, tmp_path, packing=False)
    assert len(trainer.data_collator.bad_rows) == 8
    before = LlavaForConditionalGeneration.from_pretrained(tiny_llava).state_dict()
    assert all(torch.equal(tensor, before[name]) for name, tensor in trainer.model.state_dict().items())
