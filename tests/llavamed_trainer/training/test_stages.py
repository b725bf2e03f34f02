"""What a stage freezes stays the same to the bit, what it trains changes; the paper's projector stays linear."""

from pathlib import Path

import pytest
import torch
from datasets import Dataset, Image, List
from torch import nn
from transformers import AutoProcessor, LlavaForConditionalGeneration

from llavamed_trainer.assembly import assemble_tiny
from llavamed_trainer.collate import LlavaMedCollator
from llavamed_trainer.models import Stage

from .runs import BOTH, Row, config, dataset, load, losses, state_of, trainer

TRAINED = {
    Stage.PROJECTOR: ("model.multi_modal_projector.linear_1.",),
    BOTH: ("model.multi_modal_projector.linear_1.", "model.language_model.", "lm_head."),
}


@pytest.mark.parametrize("stage", list(Stage))
@pytest.mark.parametrize("checkpointing", [False, True], ids=["plain", "checkpointing"])
def test_a_stage_changes_what_it_trains_and_no_other_bit(
    tiny_llava: Path, drawn_rows: list[Row], tmp_path: Path, stage: Stage, checkpointing: bool
) -> None:
    made = trainer(
        load(tiny_llava, stage),
        tiny_llava,
        config(tmp_path, save_strategy="no", gradient_checkpointing=checkpointing, weight_decay=0.1),
        dataset(drawn_rows[:16], tiny_llava),
    )
    before = state_of(made.model)
    made.train()
    after = state_of(made.model)
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {name for name in before if name.startswith(TRAINED[stage])}
    assert losses(made)[-1] < losses(made)[0]


def test_the_projector_is_the_papers_linear_layer_before_and_after_training_and_reload(
    tiny_llava: Path, drawn_rows: list[Row], tmp_path: Path
) -> None:
    features = torch.randn(5, 64, generator=torch.Generator().manual_seed(0))

    def is_linear(model: LlavaForConditionalGeneration) -> bool:
        first = model.model.multi_modal_projector.linear_1
        layer = nn.Linear(64, 64)
        layer.load_state_dict({"weight": first.weight.detach(), "bias": first.bias.detach()})
        return torch.equal(model.model.multi_modal_projector(features), layer(features))

    made = trainer(
        load(tiny_llava, BOTH),
        tiny_llava,
        config(tmp_path, max_steps=2),
        dataset(drawn_rows[:8], tiny_llava),
    )
    assert is_linear(made.model)
    made.train()
    made.save_model(str(tmp_path / "final"))
    assert is_linear(made.model)
    assert is_linear(LlavaForConditionalGeneration.from_pretrained(tmp_path / "final"))


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_32_rows_of_the_evaluation_set_are_memorised(eval_rows: list[Row], tmp_path: Path) -> None:
    """Real questions and answers are learnt to a loss under 0.1 and generated word for word."""
    rows = eval_rows[:32]
    texts = [part["text"] for row in rows for turn in row["messages"] for part in turn["content"]]
    path = assemble_tiny(tmp_path / "tiny", [text for text in texts if text])
    processor = AutoProcessor.from_pretrained(path)
    held = Dataset.from_list(rows).cast_column("images", List(Image(decode=False)))
    settings = {
        "max_steps": 240,
        "per_device_train_batch_size": 16,
        "learning_rate": 5e-3,
        "lr_scheduler_type": "cosine",
        "warmup_steps": 10,
        "save_strategy": "no",
        "gradient_checkpointing": False,
    }
    made = trainer(load(path, BOTH), path, config(tmp_path / "run", **settings), held)
    made.train()
    assert losses(made)[-1] < 0.1

    made.model.eval()
    for row in rows:
        batch = LlavaMedCollator(processor)([row])
        start = int((batch["labels"][0] != -100).nonzero()[0])
        prompt = {name: batch[name][:, :start] for name in ("input_ids", "attention_mask")}
        said = made.model.generate(
            **prompt, pixel_values=batch["pixel_values"], max_new_tokens=300, do_sample=False
        )[0, start:]
        wanted = row["messages"][1]["content"][0]["text"]
        assert processor.tokenizer.decode(said, skip_special_tokens=True).strip() == wanted, row["id"]
