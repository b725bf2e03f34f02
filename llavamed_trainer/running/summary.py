"""What a run says before it begins and after it ends."""

from collections.abc import Sequence
from math import ceil
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from transformers import SchedulerType, Trainer

from hub_cards import TrainingData
from llavamed_trainer.running.data import Lengths
from llavamed_trainer.running.parsing import Call
from llavamed_trainer.running.run_log import duration


def show_start(
    call: Call,
    trainer: Trainer,
    data: Sequence[TrainingData],
    lengths: Lengths | None,
    processes: int,
    checkpoint: Path | None,
    console: Console,
) -> None:
    """What learns on what, how a step is made up, and what was settled otherwise than the recipe says."""
    table = Table(title=f"train {call.recipe.name}", show_header=False)
    for name, value in (
        *_model_lines(call, trainer.model),
        *_data_lines(call, data, lengths),
        *_step_lines(call, trainer.train_dataset, processes),
    ):
        table.add_row(name, value)
    console.print(table)
    for note in call.notes:
        console.print(note, soft_wrap=True, highlight=False)
    if checkpoint:
        console.print(f"goes on from {checkpoint}", soft_wrap=True, highlight=False, markup=False)


def _model_lines(call: Call, model: Any) -> list[tuple[str, str]]:
    learn = sum(weights.numel() for weights in model.parameters() if weights.requires_grad)
    every = sum(weights.numel() for weights in model.parameters())
    how = f"LoRA of rank {call.model.lora_r}, projector" if call.model.use_peft else call.arguments.stage
    return [
        ("model", str(call.model.model_name_or_path)),
        ("learns", f"{how}: {learn:,} of {every:,} parameters ({learn / max(1, every):.1%})"),
    ]


def _data_lines(call: Call, data: Sequence[TrainingData], lengths: Lengths | None) -> list[tuple[str, str]]:
    lines = [
        ("data", f"{each.name}, {each.revision or 'version not stated'}, {each.license}") for each in data
    ]
    if lengths is None:
        return [*lines, ("rows", f"streamed, shuffled among {call.arguments.shuffle_buffer:,}")]
    full = f", {lengths.full:,} cut at {call.training.max_length:,}" if lengths.full else ""
    return [
        *lines,
        (
            "rows",
            f"{lengths.rows:,} of {call.arguments.split}, {lengths.tokens:,} tokens with those of the images",
        ),
        (
            "tokens a row",
            f"median {lengths.median:,}, 95 % up to {lengths.high:,}, longest {lengths.longest:,}{full}",
        ),
    ]


def _step_lines(call: Call, rows: Any, processes: int) -> list[tuple[str, str]]:
    training = call.training
    at_once, accumulated = training.per_device_train_batch_size, training.gradient_accumulation_steps
    steps = training.max_steps
    if steps <= 0:  # a stream has had its number set
        steps = ceil(training.num_train_epochs * ceil(ceil(len(rows) / (at_once * processes)) / accumulated))
    several = "process" if processes == 1 else "processes"
    precision = "bfloat16" if training.bf16 else "float16" if training.fp16 else "float32"
    warmup = (
        f"{training.warmup_steps:.0%}" if training.warmup_steps < 1 else f"{training.warmup_steps:,.0f} steps"
    )
    return [
        (
            "step",
            f"{at_once} rows × {processes} {several} × {accumulated} = {call.arguments.global_batch_size} rows",
        ),
        (
            "steps",
            f"{steps:,} ({training.num_train_epochs:g} epochs)" if training.max_steps <= 0 else f"{steps:,}",
        ),
        (
            "rate",
            f"{training.learning_rate:.1e}, {SchedulerType(training.lr_scheduler_type).value}, warm-up {warmup}, "
            f"weight decay {training.weight_decay:g}",
        ),
        ("arithmetic", f"{precision} on {training.device}"),
        ("goes to", str(training.output_dir)),
    ]


def show_end(
    folder: Path,
    steps: int,
    losses: tuple[float, float] | None,
    seconds: float,
    bad_rows: dict[str, int],
    adapter: bool,
    console: Console,
) -> None:
    """What came out, and what to do with it."""
    fell = f", loss {losses[0]:.4f} → {losses[1]:.4f}" if losses else ""
    lines = [f"done: {steps:,} steps in {duration(seconds)}{fell}"]
    if bad_rows:
        parts = ", ".join(f"{reason} {count:,}" for reason, count in sorted(bad_rows.items()))
        lines.append(
            f"rows that could not be trained on: {sum(bad_rows.values()):,} ({parts}), listed in {folder}"
        )
    lines += [
        "load it:     " + _loading(folder, adapter),
        f"evaluate it: python -m llavamed_trainer predict --model {folder} --benchmark vqa-rad",
        "For research only, not for clinical use.",
    ]
    for line in lines:
        console.print(line, soft_wrap=True, highlight=False, markup=False)


def _loading(folder: Path, adapter: bool) -> str:
    if adapter:
        return f'PeftModel.from_pretrained(LlavaForConditionalGeneration.from_pretrained(BASE), "{folder}")'
    return f'LlavaForConditionalGeneration.from_pretrained("{folder}")'
