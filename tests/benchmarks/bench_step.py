"""A training step beside a bare loop, its frozen tower beside stock TRL's, and fine-tuning beside stock TRL.

    python -m tests.benchmarks.bench_step SMALL_LLAVA VQA_RAD [ROWS_A_STEP]

SMALL_LLAVA is a checkpoint, such as one of 157M parameters; VQA_RAD is the dataset that `build vqa-rad` makes.
"""

import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

import torch
from datasets import Dataset, Image, List, load_dataset
from transformers import AutoProcessor, LlavaForConditionalGeneration, TrainerCallback
from trl import SFTConfig, SFTTrainer

from llavamed_trainer.collate import ConversationCollator, token_lengths
from llavamed_trainer.models import Stage, apply_stage
from llavamed_trainer.training import LlavaMedTrainer
from tests.benchmarks.side_by_side import medians, show

MAX_LENGTH = 1024
STEPS = 4


class StepTimer(TrainerCallback):
    """Times each training step, and one of a bare loop after it, so that drift of the machine affects both alike."""

    def __init__(self, bare: Callable[[int], None]) -> None:
        self.bare, self.since = bare, 0.0
        self.seconds: dict[str, list[float]] = {"bare loop": [], "trainer": []}

    def on_step_end(self, *_: Any, **__: Any) -> None:
        start = time.perf_counter()
        if self.since:  # the first step begins with what is done once
            self.seconds["trainer"].append(start - self.since)
        self.bare(len(self.seconds["bare loop"]))
        self.since = time.perf_counter()
        self.seconds["bare loop"].append(self.since - start)


def config(**settings: Any) -> SFTConfig:
    stated: dict[str, Any] = {
        "max_steps": STEPS + 1,
        "learning_rate": 1e-4,
        "max_length": MAX_LENGTH,
        "save_strategy": "no",
        "report_to": [],
        "use_cpu": True,
        "bf16": False,
        "disable_tqdm": True,
        "logging_steps": 100,
        "remove_unused_columns": False,
        **settings,
    }
    return SFTConfig(tempfile.mkdtemp(), **stated)


def loaded(path: str, stage: Stage) -> LlavaForConditionalGeneration:
    model = LlavaForConditionalGeneration.from_pretrained(path, dtype=torch.float32)
    apply_stage(model, stage)
    model.train()
    return model


def beside_a_bare_loop(path: str, rows: Dataset, size: int) -> None:
    """Times the same forward on batches made beforehand; the trainer makes its own, in one worker if a core is free."""
    processor = AutoProcessor.from_pretrained(path)
    settings = {"per_device_train_batch_size": size, "gradient_checkpointing": False}
    workers = int((os.cpu_count() or 1) > torch.get_num_threads())
    collator = ConversationCollator(processor, max_length=MAX_LENGTH)
    batches = [collator(list(rows.select(range(at, at + size)))) for at in range(0, 2 * STEPS * size, size)]
    of_batches = {"max_steps": 2 * STEPS, "train_sampling_strategy": "sequential"}

    def made() -> LlavaMedTrainer:
        return LlavaMedTrainer(
            model=loaded(path, Stage.PROJECTOR),
            args=config(**settings, **of_batches, dataloader_num_workers=workers),
            train_dataset=rows,
            processing_class=processor,
            data_collator=collator,
        )

    model: Any = made().model
    optimizer = torch.optim.AdamW([each for each in model.parameters() if each.requires_grad], lr=1e-4)

    def bare(step: int) -> None:
        model(**batches[step], fused_lm_head=True).loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()

    trainer, clock = made(), StepTimer(bare)
    trainer.add_callback(clock)
    trainer.train()
    found = {name: median(seconds[1:]) for name, seconds in clock.seconds.items()}
    title = f"a Stage 1 step of rows: {size}, data workers: {workers}"
    show(title, found, amount=size, unit="rows", ours="bare loop")


def the_frozen_tower(path: str, images: int = 4) -> None:
    """Times forward and backward of tower and projector, with gradient checkpointing as TRL has it."""
    processor = AutoProcessor.from_pretrained(path)
    rows = Dataset.from_list([{"messages": [], "images": []}])

    def peer(kind: type) -> Callable[[], None]:
        args = config(per_device_train_batch_size=1)
        collator = ConversationCollator(processor)
        trainer = kind(
            model=loaded(path, Stage.PROJECTOR),
            args=args,
            train_dataset=rows,
            processing_class=processor,
            data_collator=collator,
        )
        model = trainer.model
        model.activation_checkpointing_enable()
        model.train()
        size = processor.image_processor.crop_size
        pixels = torch.randn(images, 3, size["height"], size["width"])

        def run() -> None:
            torch.cat(model.get_image_features(pixel_values=pixels).pooler_output).sum().backward()
            model.zero_grad()

        run()
        return run

    peers = {"stock SFTTrainer": peer(SFTTrainer), "LlavaMedTrainer": peer(LlavaMedTrainer)}
    show(
        "the frozen tower's part of a Stage 1 step",
        medians(peers, rounds=7),
        amount=images,
        unit="images",
        ours="LlavaMedTrainer",
    )


def beside_stock_trl(path: str, rows: Dataset, size: int) -> None:
    """Times fine-tuning with collation and the same settings: TRL with its own collator, and this package.

    This package with the pixels that it makes itself, and with those of the image processor (`exact_images`).
    """
    processor = AutoProcessor.from_pretrained(path)
    settings = {"per_device_train_batch_size": size, "assistant_only_loss": True}
    stock = SFTTrainer(
        model=loaded(path, Stage.PROJECTOR_AND_LANGUAGE_MODEL),
        args=config(**settings),
        train_dataset=rows.cast_column("images", List(Image())),
        processing_class=processor,
    )

    def ours(*, exact: bool) -> LlavaMedTrainer:
        return LlavaMedTrainer(
            model=loaded(path, Stage.PROJECTOR_AND_LANGUAGE_MODEL),
            args=config(**settings, train_sampling_strategy="group_by_length"),
            train_dataset=rows,
            processing_class=processor,
            data_collator=ConversationCollator(processor, max_length=MAX_LENGTH, exact_images=exact),
        )

    peers = {
        "stock SFTTrainer": steps(stock),
        "LlavaMedTrainer": steps(ours(exact=False)),
        "LlavaMedTrainer, exact pixels": steps(ours(exact=True)),
    }
    show(
        f"a fine-tuning step of {size} VQA-RAD rows",
        medians(peers, rounds=STEPS),
        amount=size,
        unit="rows",
        ours="LlavaMedTrainer",
    )


def steps(trainer: Any) -> Callable[[], None]:
    """Returns a function that takes one training step, from rows to the optimizer's step."""
    model = trainer.model
    if trainer.args.gradient_checkpointing:
        model.activation_checkpointing_enable()
    optimizer = trainer.create_optimizer()
    batches: Iterator[Any] = iter(trainer.get_train_dataloader())

    def run() -> None:
        (batch,), count = trainer.get_batch_samples(batches, 1, torch.device("cpu"))
        trainer.training_step(model, batch, count)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()

    run()
    return run


def main(path: str, dataset: str, size: str = "2") -> None:
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    print("load", " ".join(f"{each:.1f}" for each in os.getloadavg()), "of", os.cpu_count(), "cores")
    rows = load_dataset(dataset, split="train[:256]").cast_column("images", List(Image(decode=False)))
    rows = rows.select_columns(["id", "images", "messages"])
    held = AutoProcessor.from_pretrained(path)
    rows = rows.add_column("length", token_lengths(rows, held, MAX_LENGTH))
    the_frozen_tower(path)
    beside_stock_trl(path, rows, int(size))
    beside_a_bare_loop(path, rows, int(size))
    print("load", " ".join(f"{each:.1f}" for each in os.getloadavg()), Path(path).name)


if __name__ == "__main__":
    main(*sys.argv[1:])
