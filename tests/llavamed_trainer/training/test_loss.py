"""The loss is the model's own, computed from fewer logits, and the same however a batch is divided."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from transformers import (
    AutoConfig,
    AutoModelForImageTextToText,
    AutoProcessor,
    LlavaForConditionalGeneration,
)
from trl import SFTTrainer

from llavamed_trainer.collate import LlavaMedCollator
from llavamed_trainer.training.forward import compute_logits_at_labels

from .runs import Row, config, dataset, load, losses, state_of, trainer


@pytest.fixture(scope="module")
def rows(drawn_rows: list[Row], tiny_llava: Path) -> Dataset:
    return dataset(drawn_rows[:16], tiny_llava)


def test_logits_are_computed_at_labels_alone_and_the_loss_is_the_models_own(
    tiny_llava: Path, rows: Dataset, tmp_path: Path
) -> None:
    batch = LlavaMedCollator(AutoProcessor.from_pretrained(tiny_llava))(list(rows.select(range(5))))
    plain = load(tiny_llava)
    wanted = plain(**batch).loss
    wanted.backward()

    made = trainer(load(tiny_llava), tiny_llava, config(tmp_path), rows)
    widths: list[int] = []
    made.model.lm_head.register_forward_hook(lambda _m, _i, out: widths.append(out.shape[0]))
    loss = made.compute_loss(made.model, dict(batch))
    loss.backward()
    assert widths == [int((batch["labels"][:, 1:] != -100).sum())]
    assert loss.item() == pytest.approx(wanted.item(), abs=2e-6)
    mine = dict(made.model.named_parameters())
    for name, parameter in plain.named_parameters():
        if parameter.requires_grad:
            assert torch.allclose(mine[name].grad, parameter.grad, atol=1e-6), name

    half = made.compute_loss(made.model, dict(batch), num_items_in_batch=torch.tensor(widths[0] * 2))
    assert half.item() == pytest.approx(wanted.item() / 2, abs=2e-6)


def test_the_loss_and_the_metrics_are_stock_trls(tiny_llava: Path, rows: Dataset, tmp_path: Path) -> None:
    runs = [
        trainer(load(tiny_llava), tiny_llava, config(tmp_path, save_strategy="no"), rows, kind=kind)
        if kind
        else trainer(load(tiny_llava), tiny_llava, config(tmp_path, save_strategy="no"), rows)
        for kind in (SFTTrainer, None)
    ]
    logs: list[list[dict[str, Any]]] = []
    for run in runs:
        run.train()
        logs.append([entry for entry in run.state.log_history if "loss" in entry])
    for stock, ours in zip(*logs, strict=True):
        for name in ("loss", "entropy", "mean_token_accuracy", "num_tokens", "grad_norm"):
            assert ours[name] == pytest.approx(stock[name], rel=1e-4), name


@pytest.mark.parametrize(("size", "accumulated"), [(2, 4), (1, 8)])
def test_accumulated_steps_are_one_large_batch(
    tiny_llava: Path, rows: Dataset, tmp_path: Path, size: int, accumulated: int
) -> None:
    whole = trainer(
        load(tiny_llava),
        tiny_llava,
        config(tmp_path, per_device_train_batch_size=8, save_strategy="no"),
        rows,
    )
    parts = trainer(
        load(tiny_llava),
        tiny_llava,
        config(
            tmp_path,
            per_device_train_batch_size=size,
            gradient_accumulation_steps=accumulated,
            save_strategy="no",
        ),
        rows,
    )
    whole.train()
    parts.train()
    assert losses(parts) == pytest.approx(losses(whole), abs=2e-4)


def test_packed_rows_are_all_trained_on_once_an_epoch(
    tiny_llava: Path, drawn_rows: list[Row], tmp_path: Path
) -> None:
    rows = dataset(drawn_rows, tiny_llava)
    collator = LlavaMedCollator(AutoProcessor.from_pretrained(tiny_llava), packing=True, max_length=480)
    args = config(
        tmp_path,
        per_device_train_batch_size=1,
        max_length=480,
        num_train_epochs=1,
        max_steps=-1,
        save_strategy="no",
    )
    made = trainer(load(tiny_llava), tiny_llava, args, rows, collator=collator)
    made.train()
    assert made.state.global_step == len(made.get_train_dataloader()) < len(rows)
    assert made.state.log_history[-2]["num_tokens"] == sum(rows["length"])
    assert made.evaluate(rows.select(range(4)))["eval_loss"] < losses(made)[0]


def test_generation_gives_the_stock_models_tokens(tiny_llava: Path, rows: Dataset, tmp_path: Path) -> None:
    batch = LlavaMedCollator(AutoProcessor.from_pretrained(tiny_llava))(list(rows.select([1])))
    start = int((batch["labels"][0] != -100).nonzero()[0])
    asked = {
        "input_ids": batch["input_ids"][:, :start],
        "attention_mask": batch["attention_mask"][:, :start],
        "pixel_values": batch["pixel_values"],
        "max_new_tokens": 5,
        "do_sample": False,
    }
    made = trainer(load(tiny_llava), tiny_llava, config(tmp_path), rows)
    made.model.eval()
    stock = LlavaForConditionalGeneration.from_pretrained(tiny_llava)
    assert torch.equal(made.model.generate(**asked), stock.generate(**asked))
    assert state_of(made.model).keys() == state_of(stock).keys()


def test_the_trainer_does_not_change_the_arguments_that_it_was_given(
    tiny_llava: Path, rows: Dataset, tmp_path: Path
) -> None:
    args = config(tmp_path, remove_unused_columns=True)
    before = copy.deepcopy(args.to_dict())
    made = trainer(load(tiny_llava), tiny_llava, args, rows)
    assert args.to_dict() == before
    assert made.args.remove_unused_columns is False


def test_a_cap_on_logits_is_the_models_own(tmp_path: Path) -> None:
    """PaliGemma 2 caps its logits after the output layer; its parts are told apart by their names."""
    text = {"model_type": "gemma2", "final_logit_softcapping": 2.0, "vocab_size": 64, "head_dim": 8}
    small = {
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
    }
    vision = {
        "model_type": "siglip_vision_model",
        "image_size": 16,
        "patch_size": 8,
        "vision_use_head": False,
    }
    config = AutoConfig.for_model(
        "paligemma",
        text_config=small | text,
        vision_config=small | vision | {"projection_dim": 16},
        image_token_index=63,
        projection_dim=16,
        hidden_size=16,
    )
    torch.manual_seed(0)
    model = AutoModelForImageTextToText.from_config(config)
    torch.nn.init.normal_(model.lm_head.weight, std=3.0)
    ids = torch.tensor([[63, 63, 63, 63, 5, 6, 7, 8], [63, 63, 63, 63, 9, 10, 11, 12]])
    labels = torch.tensor([[-100] * 5 + [6, 7, 8], [-100] * 6 + [11, -100]])
    batch = {
        "input_ids": ids,
        "attention_mask": torch.ones_like(ids),
        "token_type_ids": (ids < 63).long(),
        "pixel_values": torch.randn(2, 3, 16, 16),
    }
    wanted = model(**batch, labels=labels).loss
    compute_logits_at_labels(model)
    output = model(**batch, labels=labels, fused_lm_head=True, use_cache=False)
    assert output.loss.item() == pytest.approx(wanted.item(), abs=1e-5)
    assert output.label_mask.sum() == 4
