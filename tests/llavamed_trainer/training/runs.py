"""Training runs of a few steps on tiny models."""

from pathlib import Path
from typing import Any

import torch
from datasets import Dataset, Image, List
from transformers import AutoModelForImageTextToText, AutoProcessor
from trl import SFTConfig

from llavamed_trainer.collate import ConversationCollator, token_lengths
from llavamed_trainer.models import Stage, apply_stage
from llavamed_trainer.training import LlavaMedTrainer

Row = dict[str, Any]
State = dict[str, torch.Tensor]

BOTH = Stage.PROJECTOR_AND_LANGUAGE_MODEL


def dataset(rows: list[Row], model: Path) -> Dataset:
    """Makes a dataset of the rows with their lengths; images stay bytes."""
    lengths = token_lengths(rows, AutoProcessor.from_pretrained(model), 512)
    held = [{**row, "length": length} for row, length in zip(rows, lengths, strict=True)]
    return Dataset.from_list(held).cast_column("images", List(Image(decode=False)))


def config(out: Path, **settings: Any) -> SFTConfig:
    stated: dict[str, Any] = {
        "max_steps": 6,
        "per_device_train_batch_size": 4,
        "learning_rate": 2e-3,
        "logging_steps": 1,
        "save_steps": 2,
        "report_to": [],
        "max_length": 512,
        "use_cpu": True,
        "bf16": False,
        "disable_tqdm": True,
        "remove_unused_columns": False,
        **settings,
    }
    return SFTConfig(str(out), **stated)


def load(path: Path, stage: Stage | None = BOTH) -> Any:
    model = AutoModelForImageTextToText.from_pretrained(path)
    if stage is not None:
        apply_stage(model, stage)
    return model


def trainer(
    model: Any,
    path: Path,
    args: SFTConfig,
    rows: Any,
    *,
    kind: type = LlavaMedTrainer,
    collator: Any = None,
    **rest: Any,
) -> Any:
    processor = AutoProcessor.from_pretrained(path)
    return kind(
        model=model,
        args=args,
        train_dataset=rows,
        processing_class=processor,
        data_collator=collator or ConversationCollator(processor, max_length=512),
        **rest,
    )


def losses(run: Any) -> list[float]:
    return [entry["loss"] for entry in run.state.log_history if "loss" in entry]


def state_of(model: Any) -> State:
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


def same(one: State, other: State) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)
