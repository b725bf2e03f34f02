"""A resumed run ends with the same bits, the best checkpoint is the best, and a damaged one is refused."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset, IterableDataset
from safetensors.torch import load_file, save_file
from transformers import AutoProcessor, LlavaForConditionalGeneration
from trl import SFTTrainer

from llavamed_data.errors import LlavaMedError, UsageError
from llavamed_trainer.collate import LlavaMedCollator
from llavamed_trainer.models import Stage, lora_config
from llavamed_trainer.training import newest_checkpoint

from .runs import BOTH, Row, config, dataset, load, losses, same, state_of, trainer


@pytest.fixture(scope="module")
def rows(drawn_rows: list[Row], tiny_llava: Path) -> Dataset:
    return dataset(drawn_rows[:24], tiny_llava)


@pytest.mark.parametrize(
    ("stage", "settings", "packing"),
    [
        (BOTH, {}, False),
        (Stage.PROJECTOR, {}, False),
        (BOTH, {"train_sampling_strategy": "group_by_length", "max_steps": 10, "save_steps": 8}, False),
        (BOTH, {"per_device_train_batch_size": 1, "max_length": 480}, True),
        (BOTH, {"gradient_accumulation_steps": 2, "per_device_train_batch_size": 2}, False),
    ],
    ids=["whole-model", "projector", "grouped-in-second-epoch", "packed", "accumulated"],
)
def test_a_resumed_run_ends_with_the_same_bits(
    tiny_llava: Path,
    rows: Dataset,
    tmp_path: Path,
    stage: Stage,
    settings: dict[str, Any],
    packing: bool,
) -> None:
    collator = LlavaMedCollator(AutoProcessor.from_pretrained(tiny_llava), max_length=480, packing=packing)
    through = trainer(
        load(tiny_llava, stage), tiny_llava, config(tmp_path, **settings), rows, collator=collator
    )
    through.train()
    last = max(tmp_path.glob("checkpoint-*"), key=lambda path: int(path.name.split("-")[1]))
    shutil.rmtree(last)  # as if the run had been killed before it
    resumed = trainer(
        load(tiny_llava, stage), tiny_llava, config(tmp_path, **settings), rows, collator=collator
    )
    resumed.train(resume_from_checkpoint=True)
    assert losses(resumed) == losses(through)
    assert same(state_of(resumed.model), state_of(through.model))


def test_a_run_that_was_killed_after_its_last_checkpoint_takes_no_further_step(
    tiny_llava: Path, rows: Dataset, tmp_path: Path
) -> None:
    args = config(tmp_path, max_steps=2)
    through = trainer(load(tiny_llava), tiny_llava, args, rows)
    through.train()
    resumed = trainer(load(tiny_llava), tiny_llava, args, rows)
    resumed.train(resume_from_checkpoint=True)
    assert resumed.state.global_step == 2
    assert same(state_of(resumed.model), state_of(through.model))


def test_stock_trl_resumes_without_the_weights(tiny_llava: Path, rows: Dataset, tmp_path: Path) -> None:
    through = trainer(load(tiny_llava), tiny_llava, config(tmp_path), rows, kind=SFTTrainer)
    through.train()
    resumed = trainer(load(tiny_llava), tiny_llava, config(tmp_path), rows, kind=SFTTrainer)
    resumed.train(resume_from_checkpoint=str(tmp_path / "checkpoint-4"))
    assert not same(state_of(resumed.model), state_of(through.model))


def test_a_stream_resumes_to_the_bit(tiny_llava: Path, rows: Dataset, tmp_path: Path) -> None:
    def stream() -> IterableDataset:
        return rows.to_iterable_dataset(num_shards=2).shuffle(seed=3, buffer_size=10)

    args = config(tmp_path, max_steps=8, save_steps=5)  # six steps an epoch
    through = trainer(load(tiny_llava), tiny_llava, args, stream())
    through.train()
    resumed = trainer(load(tiny_llava), tiny_llava, args, stream())
    resumed.train(resume_from_checkpoint=str(tmp_path / "checkpoint-5"))
    assert losses(resumed) == losses(through)
    assert same(state_of(resumed.model), state_of(through.model))


def test_adapters_resume_to_the_bit_and_are_on_the_language_model_alone(
    tiny_llava: Path, rows: Dataset, tmp_path: Path
) -> None:
    def run(resume: str | None = None) -> Any:
        model = load(tiny_llava, None)
        made = trainer(model, tiny_llava, config(tmp_path), rows, peft_config=lora_config(model, r=4))
        made.train(resume_from_checkpoint=resume)
        return made

    through = run()
    trained = [name for name, each in through.model.named_parameters() if each.requires_grad]
    assert any("lora" in name for name in trained)
    assert all("language_model" in name or "multi_modal_projector.linear_1" in name for name in trained)
    resumed = run(str(tmp_path / "checkpoint-4"))
    assert losses(resumed) == losses(through)
    assert same(state_of(resumed.model), state_of(through.model))


@pytest.mark.parametrize("stage", [BOTH, Stage.PROJECTOR], ids=["whole-model", "projector"])
def test_the_best_checkpoint_is_loaded_and_evaluation_finds_its_loss(
    tiny_llava: Path, rows: Dataset, tmp_path: Path, stage: Stage
) -> None:
    args = config(
        tmp_path,
        max_steps=4,
        greater_is_better=True,  # so that the best is not the last
        metric_for_best_model="loss",
        eval_strategy="steps",
        eval_steps=1,
        save_steps=1,
        load_best_model_at_end=True,
        prediction_loss_only=True,
    )
    made = trainer(load(tiny_llava, stage), tiny_llava, args, rows, eval_dataset=rows.select(range(8)))
    made.train()
    found = {e["step"]: e["eval_loss"] for e in made.state.log_history if "eval_loss" in e}
    best = max(found, key=lambda step: found[step])
    assert best < 4
    assert made.state.best_model_checkpoint.endswith(f"checkpoint-{best}")
    assert made.evaluate()["eval_loss"] == pytest.approx(found[best], abs=1e-5)


@pytest.mark.parametrize("stage", [BOTH, Stage.PROJECTOR], ids=["whole-model", "projector"])
def test_stock_from_pretrained_finds_every_weight_of_the_saved_model(
    tiny_llava: Path, rows: Dataset, tmp_path: Path, stage: Stage
) -> None:
    made = trainer(load(tiny_llava, stage), tiny_llava, config(tmp_path, max_steps=2), rows)
    made.train()
    made.save_model(str(tmp_path / "final"))
    loaded, info = LlavaForConditionalGeneration.from_pretrained(tmp_path / "final", output_loading_info=True)
    assert not info["missing_keys"]
    assert not info["unexpected_keys"]
    assert same(state_of(loaded), state_of(made.model))
    AutoProcessor.from_pretrained(tmp_path / "final")
    held = {path.name for path in (tmp_path / "checkpoint-2").glob("*.safetensors")}
    assert held == ({"trained.safetensors"} if stage is Stage.PROJECTOR else {"model.safetensors"})


def test_damaged_and_foreign_checkpoints_are_refused_and_the_newest_complete_one_is_found(
    tiny_llava: Path, rows: Dataset, tmp_path: Path
) -> None:
    args = config(tmp_path, max_steps=3, save_steps=1)
    trainer(load(tiny_llava, Stage.PROJECTOR), tiny_llava, args, rows).train()
    assert newest_checkpoint(tmp_path) == tmp_path / "checkpoint-3"
    part = tmp_path / "checkpoint-3" / "trained.safetensors"
    part.write_bytes(part.read_bytes()[:-100])
    (tmp_path / "checkpoint-9").mkdir()  # begun, and nothing in it
    assert newest_checkpoint(tmp_path) == tmp_path / "checkpoint-2"

    again = trainer(load(tiny_llava, Stage.PROJECTOR), tiny_llava, args, rows)
    with pytest.raises(
        LlavaMedError, match=r"checkpoint-3 cannot be resumed, trained.safetensors is damaged"
    ):
        again.train(resume_from_checkpoint=str(tmp_path / "checkpoint-3"))

    other_stage = trainer(load(tiny_llava), tiny_llava, args, rows)
    with pytest.raises(LlavaMedError, match="of another model or stage: .* are missing, 0 are unknown"):
        other_stage.train(resume_from_checkpoint=str(tmp_path / "checkpoint-2"))

    part = tmp_path / "checkpoint-2" / "trained.safetensors"
    save_file({name: torch.zeros(2, 2) for name in load_file(part)}, part)
    with pytest.raises(LlavaMedError, match=r"of another model: .* is \(2, 2\) there"):
        again.train(resume_from_checkpoint=True)

    with pytest.raises(UsageError, match="no complete checkpoint"):
        trainer(load(tiny_llava), tiny_llava, config(tmp_path / "new"), rows).train(
            resume_from_checkpoint=True
        )
