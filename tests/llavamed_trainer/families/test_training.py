"""What holds for training a model of every family: losses, frozen parts, resuming, and the saved checkpoint."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from peft import PeftModel
from transformers import AutoModelForImageTextToText, AutoProcessor
from trl import SFTTrainer

from llavamed_trainer.collate import ConversationCollator
from llavamed_trainer.models import Stage, family_of, lora_config, part_sizes
from llavamed_trainer.training import LlavaMedTrainer
from tests.llavamed_trainer.training.runs import (
    BOTH,
    State,
    config,
    dataset,
    load,
    losses,
    same,
    state_of,
    trainer,
)

from .conftest import Row

RIGHT_IN_STOCK = {"qwen3-vl", "smolvlm", "idefics3", "unlisted"}
"""Models that stock TRL resumes with the weights of the checkpoint; others it resumes with those of the start."""


@pytest.fixture(scope="module")
def rows(drawn_rows: list[Row], tiny_model: Path) -> Dataset:
    return dataset(drawn_rows[:16], tiny_model)


def run(path: Path, out: Path, rows: Any, stage: Stage | None = BOTH, **settings: Any) -> Any:
    kind = settings.pop("kind", None)
    rest: dict[str, Any] = {"kind": kind} if kind else {}
    model = load(path, stage)
    if stage is None:
        rest["peft_config"] = lora_config(model, r=4)
    stated = {"max_steps": 4, "per_device_train_batch_size": 2, **settings}
    return trainer(model, path, config(out, **stated), rows, **rest)


@pytest.mark.parametrize("shape", ["one image", "mixed", "no image"])
def test_loss_and_gradients_are_stock_trls(
    tiny_model: Path, rows: Dataset, batches: dict[str, list[Row]], tmp_path: Path, shape: str
) -> None:
    batch = ConversationCollator(AutoProcessor.from_pretrained(tiny_model))(batches[shape])
    made = [run(tiny_model, tmp_path, rows, kind=kind) for kind in (SFTTrainer, None)]
    found = []
    for each in made:
        loss = each.compute_loss(each.model, dict(batch))
        loss.backward()
        found.append((loss.item(), {name: p.grad for name, p in each.model.named_parameters()}))
    (stock_loss, stock), (loss, ours) = found
    assert loss == pytest.approx(stock_loss, abs=1e-5)
    largest = max(1.0, *(float(each.abs().max()) for each in stock.values() if each is not None))
    for name, gradient in stock.items():
        if gradient is None:
            assert ours[name] is None or not ours[name].any(), name
        else:
            assert torch.allclose(ours[name], gradient, rtol=1e-5, atol=1e-5 * largest), name


@dataclass
class Finished:
    """A run of four training steps with a checkpoint after the second.

    Attributes:
        stage: None for LoRA adapters.
        out: the folder of the run.
        trainer: at the end of the run.
        before: the weights before it.
    """

    stage: Stage | None
    out: Path
    trainer: Any
    before: State


@pytest.fixture(scope="module", params=[BOTH, Stage.PROJECTOR, None], ids=["whole", "projector", "lora"])
def finished(
    request: pytest.FixtureRequest, tiny_model: Path, rows: Dataset, tmp_path_factory: pytest.TempPathFactory
) -> Finished:
    out = tmp_path_factory.mktemp("run")
    made = run(tiny_model, out, rows, request.param, gradient_checkpointing=True)
    before = state_of(made.model)
    made.train()
    return Finished(request.param, out, made, before)


def test_a_stage_changes_its_parts_and_no_other_bit(finished: Finished) -> None:
    model = finished.trainer.model
    trained = {name for name, each in model.named_parameters() if each.requires_grad}
    after = state_of(model)
    changed = {name for name in after if not torch.equal(finished.before[name], after[name])}
    assert changed - {"lm_head.weight"} == trained - {
        "lm_head.weight"
    }  # may share the weights of the embedding
    assert ("lm_head.weight" in changed) == (finished.stage is BOTH)
    sizes = {part.name: part for part in part_sizes(model)}
    assert not sizes["vision tower"].trained
    assert sizes["projector"].trained > 0
    assert sum(part.trained for part in sizes.values()) == sum(
        each.numel() for each in model.parameters() if each.requires_grad
    )


def test_adapters_are_on_the_language_model_alone(finished: Finished) -> None:
    if finished.stage is not None:
        pytest.skip("this run has no adapters")
    base = finished.trainer.model.get_base_model()
    family = family_of(base)
    trained = [name for name, each in base.named_parameters() if each.requires_grad]
    adapters = [name for name in trained if ".lora_" in name]
    assert adapters
    assert all(name.startswith(f"{family.language_model}.") for name in adapters)
    assert all(name.startswith(family.projector) for name in set(trained) - set(adapters))


def test_a_resumed_run_ends_with_the_same_bits(
    tiny_model: Path, rows: Dataset, tmp_path: Path, finished: Finished
) -> None:
    resumed = run(tiny_model, tmp_path, rows, finished.stage, gradient_checkpointing=True)
    resumed.train(resume_from_checkpoint=str(finished.out / "checkpoint-2"))
    assert losses(resumed) == losses(finished.trainer)
    assert same(state_of(resumed.model), state_of(finished.trainer.model))


def test_the_saved_model_has_the_same_logits_in_stock_transformers(
    tiny_model: Path, batches: dict[str, list[Row]], tmp_path: Path, finished: Finished
) -> None:
    finished.trainer.save_model(str(tmp_path))
    batch = ConversationCollator(AutoProcessor.from_pretrained(tmp_path))(batches["mixed"])
    stock: Any = AutoModelForImageTextToText
    if finished.stage is None:
        base = stock.from_pretrained(tiny_model)
        loaded = PeftModel.from_pretrained(base, tmp_path)
    else:
        loaded, found = stock.from_pretrained(tmp_path, output_loading_info=True)
        assert not found["missing_keys"]
        assert not found["unexpected_keys"]
    with torch.no_grad():
        logits = [each.eval()(**batch).logits for each in (finished.trainer.model, loaded)]
        assert torch.equal(*logits)
        if finished.stage is None:
            merged = loaded.merge_and_unload().eval()(**batch).logits
            assert torch.allclose(merged, logits[0], atol=1e-4)


def test_stock_trl_resumes_some_models_without_their_weights(
    kind: str, tiny_model: Path, rows: Dataset, tmp_path: Path
) -> None:
    through = run(tiny_model, tmp_path, rows, kind=SFTTrainer)
    through.train()
    resumed = run(tiny_model, tmp_path, rows, kind=SFTTrainer)
    resumed.train(resume_from_checkpoint=str(tmp_path / "checkpoint-2"))
    assert same(state_of(resumed.model), state_of(through.model)) == (kind in RIGHT_IN_STOCK)


@pytest.mark.parametrize("kind_of_trainer", [LlavaMedTrainer, SFTTrainer], ids=["ours", "stock"])
def test_accumulated_batches_are_one_large_batch(
    kind: str, tiny_model: Path, rows: Dataset, tmp_path: Path, kind_of_trainer: type
) -> None:
    settings: dict[str, Any] = {"kind": kind_of_trainer, "save_strategy": "no", "max_steps": 2}
    whole = run(tiny_model, tmp_path, rows, per_device_train_batch_size=4, **settings)
    parts = run(
        tiny_model, tmp_path, rows, per_device_train_batch_size=1, gradient_accumulation_steps=4, **settings
    )
    whole.train()
    parts.train()
    same_loss = losses(parts) == pytest.approx(losses(whole), abs=2e-4)
    assert same_loss == (
        kind_of_trainer is LlavaMedTrainer or kind not in ("qwen2.5-vl", "qwen3-vl", "unlisted")
    )


def test_a_frozen_tower_is_not_propagated_through(tiny_model: Path, rows: Dataset, tmp_path: Path) -> None:
    made = run(tiny_model, tmp_path, rows, Stage.PROJECTOR, save_strategy="no", gradient_checkpointing=True)
    family = family_of(made.model)
    tower = made.model.get_submodule(family.vision_tower)
    block = next(module for name, module in tower.named_modules() if name.endswith((".0", "layers.0")))
    passes: list[str] = []
    # A module within the block: checkpointing runs the block's own forward again.
    inner = next(module for module in block.modules() if isinstance(module, torch.nn.Linear))
    inner.register_forward_hook(lambda *_: passes.append("forward"))
    inner.register_full_backward_hook(lambda *_: passes.append("backward"))
    batch = made.data_collator(list(rows.select(range(2))))
    made.model.train()
    made.model.gradient_checkpointing_enable()
    made.model.enable_input_require_grads()
    made.compute_loss(made.model, dict(batch)).backward()
    assert passes == ["forward"]
    assert all(p.grad is not None for p in made.model.parameters() if p.requires_grad)
