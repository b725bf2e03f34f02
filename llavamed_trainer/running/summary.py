"""What a run prints before it begins and after it ends."""

from collections.abc import Sequence
from math import ceil
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from transformers import SchedulerType, Trainer

from hub_cards import TrainingData
from llavamed_trainer.running.arguments import TrainingSettings
from llavamed_trainer.running.data import LengthSummary
from llavamed_trainer.running.monitoring import duration


def show_start(
    settings: TrainingSettings,
    trainer: Trainer,
    data: Sequence[TrainingData],
    lengths: LengthSummary | None,
    processes: int,
    checkpoint: Path | None,
    console: Console,
) -> None:
    """Shows what is trained on what, how a training step is made up, and what was decided differently from the recipe.

    Args:
        settings: of the run.
        trainer: ready to train.
        data: the datasets as the card states them.
        lengths: of the rows; None for a stream.
        processes: the number of processes.
        checkpoint: the one that the run resumes from, if any.
        console: where it is shown.
    """
    table = Table(title=f"train {settings.recipe.name}", show_header=False)
    for name, value in (
        *_model_lines(settings, trainer),
        *_data_lines(settings, data, lengths),
        *_training_lines(settings, trainer, processes),
    ):
        table.add_row(name, value)
    console.print(table)
    for note in settings.notes:
        console.print(note, soft_wrap=True, highlight=False)
    if checkpoint:
        console.print(f"resuming from {checkpoint}", soft_wrap=True, highlight=False, markup=False)


def show_end(
    folder: Path,
    steps: int,
    losses: tuple[float, float] | None,
    seconds: float,
    bad_rows: dict[str, int],
    adapter: bool,
    console: Console,
) -> None:
    """Shows what a run made and how to use it.

    Args:
        folder: of the model.
        steps: training steps of the whole run.
        losses: the first and the last loss; None if there was no log.
        seconds: duration of this part of the run.
        bad_rows: the number of rows that could not be trained on, by reason.
        adapter: whether the folder holds an adapter.
        console: where it is shown.
    """
    loss = f", loss {losses[0]:.4f} → {losses[1]:.4f}" if losses else ""
    lines = [f"done: {steps:,} training steps in {duration(seconds)}{loss}"]
    if bad_rows:
        parts = ", ".join(f"{reason} {count:,}" for reason, count in sorted(bad_rows.items()))
        lines.append(
            f"rows that could not be trained on: {sum(bad_rows.values()):,} ({parts}), listed in {folder}"
        )
    loading = f'LlavaForConditionalGeneration.from_pretrained("{folder}")'
    if adapter:
        loading = (
            f'PeftModel.from_pretrained(LlavaForConditionalGeneration.from_pretrained(BASE), "{folder}")'
        )
    lines += [
        f"load it:     {loading}",
        f"evaluate it: python -m llavamed_trainer predict --model {folder} --benchmark vqa-rad",
        "For research only, not for clinical use.",
    ]
    for line in lines:
        console.print(line, soft_wrap=True, highlight=False, markup=False)


def _model_lines(settings: TrainingSettings, trainer: Trainer) -> list[tuple[str, str]]:
    model: Any = trainer.model
    parameters = list(model.parameters())
    trained = sum(each.numel() for each in parameters if each.requires_grad)
    total = sum(each.numel() for each in parameters)
    parts = (
        f"LoRA of rank {settings.model.lora_r}, projector"
        if settings.model.use_peft
        else settings.arguments.stage
    )
    return [
        ("model", str(settings.model.model_name_or_path)),
        ("trainable", f"{parts}: {trained:,} of {total:,} parameters ({trained / max(1, total):.1%})"),
    ]


def _data_lines(
    settings: TrainingSettings, data: Sequence[TrainingData], lengths: LengthSummary | None
) -> list[tuple[str, str]]:
    lines = [
        ("data", f"{each.name}, {each.revision or 'version not stated'}, {each.license}") for each in data
    ]
    if lengths is None:
        return [*lines, ("rows", f"streamed, shuffled among {settings.arguments.shuffle_buffer:,}")]
    cut = f", {lengths.cut:,} cut at {settings.training.max_length:,}" if lengths.cut else ""
    unusable = f", {lengths.unusable:,} of them cannot be trained on" if lengths.unusable else ""
    return [
        *lines,
        ("rows", f"{lengths.rows:,} of split {settings.arguments.split}{unusable}"),
        ("tokens", f"{lengths.tokens:,} in an epoch, image tokens included"),
        (
            "tokens per row",
            f"median {lengths.median:,}, 95 % up to {lengths.high:,}, longest {lengths.longest:,}{cut}",
        ),
    ]


def _training_lines(settings: TrainingSettings, trainer: Trainer, processes: int) -> list[tuple[str, str]]:
    training = settings.training
    at_once, accumulated = training.per_device_train_batch_size, training.gradient_accumulation_steps
    steps, epochs = trainer.args.max_steps, ""
    if steps <= 0:
        rows: Any = trainer.train_dataset
        batches = ceil(len(rows) / (at_once * processes))
        steps = ceil(training.num_train_epochs * ceil(batches / accumulated))
        epochs = f" ({training.num_train_epochs:g} epochs)"
    precision = "bfloat16" if training.bf16 else "float16" if training.fp16 else "float32"
    warmup = (
        f"{training.warmup_steps:.0%}" if training.warmup_steps < 1 else f"{training.warmup_steps:,.0f} steps"
    )
    return [
        (
            "training step",
            f"{at_once} rows × {processes} {'process' if processes == 1 else 'processes'} × {accumulated} accumulated "
            f"= {settings.arguments.global_batch_size} rows",
        ),
        ("training steps", f"{steps:,}{epochs}"),
        (
            "learning rate",
            f"{training.learning_rate:.1e}, {SchedulerType(training.lr_scheduler_type).value}, warm-up {warmup}, "
            f"weight decay {training.weight_decay:g}",
        ),
        ("precision", f"{precision} on {training.device}"),
        ("output dir", str(training.output_dir)),
    ]
