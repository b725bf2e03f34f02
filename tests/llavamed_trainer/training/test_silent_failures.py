"""Failures that stock TRL does not report, each shown with it first. That of resuming is in test_checkpoints."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from transformers import AutoProcessor
from trl import SFTTrainer
from trl.trainer.sft_trainer import DataCollatorForVisionLanguageModeling

from llavamed_trainer.collate import LlavaMedCollator
from llavamed_trainer.models import Stage
from llavamed_trainer.training import LlavaMedTrainer

from .runs import BOTH, Row, config, dataset, load, losses, same, state_of, trainer


@pytest.fixture(scope="module")
def rows(drawn_rows: list[Row], tiny_llava: Path) -> Dataset:
    return dataset(drawn_rows[:16], tiny_llava)


def _plain(row: Row) -> Row:
    """The row as TRL's collator takes it, without keys that are None."""
    import io

    from PIL import Image

    held = copy.deepcopy(row)
    held["images"] = [Image.open(io.BytesIO(image["bytes"])) for image in row["images"]]
    for turn in held["messages"]:
        turn["content"] = [{k: v for k, v in part.items() if v is not None} for part in turn["content"]]
    return held


def test_image_tokens_are_not_learnt(tiny_llava: Path, drawn_rows: list[Row]) -> None:
    processor = AutoProcessor.from_pretrained(tiny_llava)
    image = processor.image_token_id
    stock = DataCollatorForVisionLanguageModeling(processor, max_length=None)([_plain(drawn_rows[0])])
    assert (stock["labels"] == image).any()  # the failure
    ours = LlavaMedCollator(processor)([drawn_rows[0]])
    assert (ours["labels"] != -100).any()
    assert not (ours["labels"] == image).any()


def test_a_row_that_loses_all_its_labels_is_counted_not_trained_on_as_zero(
    tiny_llava: Path, drawn_rows: list[Row]
) -> None:
    processor = AutoProcessor.from_pretrained(tiny_llava)
    row = copy.deepcopy(drawn_rows[1])
    row["messages"][0]["content"][-1]["text"] = "Why? " * 100
    stock = DataCollatorForVisionLanguageModeling(processor, max_length=200, assistant_only_loss=True)
    assert (stock([_plain(row)])["labels"] == -100).all()  # the failure
    collator = LlavaMedCollator(processor, max_length=200)
    batch = collator([row, drawn_rows[2]])
    assert len(batch["labels"]) == 1
    assert [bad.id for bad in collator.bad_rows] == ["drawn-1"]


def _in_the_tower(kind: type, tiny_llava: Path, rows: Dataset, out: Path) -> tuple[list[str], torch.Tensor]:
    """The passes through a block of the frozen tower in one training step, and the projector's gradient."""
    model = load(tiny_llava, Stage.PROJECTOR)
    made = trainer(model, tiny_llava, config(out, max_steps=1, save_strategy="no"), rows, kind=kind)
    seen: list[str] = []
    first = model.model.vision_tower.encoder.layers[0]
    first.mlp.register_forward_hook(lambda *_: seen.append("forward"))
    first.mlp.register_full_backward_hook(lambda *_: seen.append("backward"))
    held: list[torch.Tensor] = []
    model.model.multi_modal_projector.linear_1.weight.register_post_accumulate_grad_hook(
        lambda parameter: held.append(parameter.grad.clone())
    )
    made.train()
    return seen, held[0]


def test_a_frozen_tower_is_run_once_and_not_propagated_through(
    tiny_llava: Path, rows: Dataset, tmp_path: Path
) -> None:
    stock, wanted = _in_the_tower(SFTTrainer, tiny_llava, rows, tmp_path / "stock")
    assert "backward" in stock  # the failure
    ours, gradient = _in_the_tower(LlavaMedTrainer, tiny_llava, rows, tmp_path / "ours")
    assert ours == ["forward"]
    assert torch.allclose(gradient, wanted, atol=1e-6)


def test_a_tower_that_is_trained_keeps_its_graph(tiny_llava: Path, rows: Dataset, tmp_path: Path) -> None:
    model = load(tiny_llava, None)
    before = state_of(model.model.vision_tower)
    trainer(model, tiny_llava, config(tmp_path, max_steps=1, save_strategy="no"), rows).train()
    assert not same(before, state_of(model.model.vision_tower))


def _text_alone(rows: list[Row]) -> list[Row]:
    made = copy.deepcopy(rows)
    for row in made:
        row["images"] = []
        row["messages"][0]["content"] = row["messages"][0]["content"][1:]
    return made


@pytest.mark.parametrize("checkpointing", [False, True])
def test_text_alone_does_not_end_a_run_that_trains_the_projector(
    tiny_llava: Path, drawn_rows: list[Row], tmp_path: Path, checkpointing: bool
) -> None:
    texts = dataset(_text_alone(drawn_rows[:4]), tiny_llava)
    settings: dict[str, Any] = {
        "gradient_checkpointing": checkpointing,
        "max_steps": 1,
        "weight_decay": 0.0,
        "save_strategy": "no",
    }
    if not checkpointing:
        stock = trainer(
            load(tiny_llava, Stage.PROJECTOR),
            tiny_llava,
            config(tmp_path, **settings),
            texts,
            kind=SFTTrainer,
        )
        with pytest.raises(RuntimeError, match="does not require grad"):
            stock.train()
    made = trainer(load(tiny_llava, Stage.PROJECTOR), tiny_llava, config(tmp_path, **settings), texts)
    before = state_of(made.model)
    made.train()
    assert losses(made)[0] > 1
    assert same(before, state_of(made.model))


def test_a_batch_without_labels_is_a_finite_zero(
    tiny_llava: Path, drawn_rows: list[Row], tmp_path: Path
) -> None:
    broken = [{**row, "images": [{"bytes": b"no image", "path": "x.jpg"}]} for row in drawn_rows[:4]]
    made = trainer(
        load(tiny_llava, BOTH),
        tiny_llava,
        config(tmp_path, max_steps=1, save_strategy="no", weight_decay=0.0),
        dataset(broken, tiny_llava),
    )
    before = state_of(made.model)
    made.train()
    assert losses(made) == [0.0]
    assert same(before, state_of(made.model))
