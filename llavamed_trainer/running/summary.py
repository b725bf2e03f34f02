"""What a run prints before it begins and after it ends."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any

from rich.table import Table
from transformers import SchedulerType, Trainer

from hub_cards import TrainingData
from llavamed_data.console.printable import counted
from llavamed_trainer.models import Stage, family_of, part_sizes
from llavamed_trainer.running.arguments import TrainingSettings
from llavamed_trainer.running.benchmark_parts import BenchmarkPart
from llavamed_trainer.running.data import LengthSummary, TrainingRows
from llavamed_trainer.running.monitoring import RunLog, duration
from llavamed_trainer.running.scores import BestScore
from llavamed_trainer.running.workers import BatchMaking

BAD_ROWS = "bad_rows.jsonl"
"""The file in the folder of a run that lists the rows which could not be trained on."""


@dataclass(frozen=True, slots=True)
class TrainingReport:
    """The outcome of a run.

    Attributes:
        folder: where the model is.
        steps: training steps of the whole run.
        first_loss: the first logged loss; None if there was no log.
        last_loss: the last logged loss; None if there was no log.
        seconds: duration of this part of the run; 0 if it was done before.
        bad_rows: the number of rows that could not be trained on, by reason.
        best: the best score, and the training step whose model is in the folder; None if the run was not scored.
        planned_steps: the training steps that the run would have without early stopping; 0 if it was done before.
    """

    folder: Path
    steps: int
    first_loss: float | None
    last_loss: float | None
    seconds: float
    bad_rows: dict[str, int]
    best: BestScore | None = None
    planned_steps: int = 0


def show_start(
    settings: TrainingSettings,
    trainer: Trainer,
    making: BatchMaking,
    data: Sequence[TrainingData],
    rows: TrainingRows,
    parts: Sequence[BenchmarkPart],
    checkpoint: Path | None,
    log: RunLog,
) -> None:
    """Shows what is trained on what, how a training step is made up, and what was decided differently from the recipe.

    Args:
        settings: of the run.
        trainer: ready to train.
        making: how its batches are made.
        data: the datasets as the card states them.
        rows: that are trained on.
        parts: the benchmark parts by which the model is scored.
        checkpoint: the one that the run resumes from, if any.
        log: where it is shown.
    """
    base = f", {settings.recipe.base}" if settings.recipe.base else ""
    table = Table(title=f"train {settings.recipe.name}{base}", show_header=False)
    for name, value in (
        *_model_lines(settings, trainer),
        *_data_lines(settings, data, rows.lengths),
        ("batches", str(making)),
        *_training_lines(settings, trainer),
        *_score_lines(settings, parts, rows),
    ):
        table.add_row(name, value)
    log.console.print(table)
    for note in settings.notes:
        log.say(note)
    if rows.for_evaluation and not settings.arguments.allow_test_split:
        log.say(
            f"WARNING: this trains on data for evaluation ({rows.for_evaluation}): scores of this model there do not "
            "count, and its card says so (--allow-test-split leaves this warning out)"
        )
    for line in _shared_images(parts, rows):
        log.say(line)
    if settings.training.packing:
        log.say(packed_rows(settings, trainer.train_dataset).warning)
    if checkpoint:
        log.say(f"resuming from {checkpoint}")


@dataclass(frozen=True, slots=True)
class PackedRows:
    """How many rows a packed run takes at once.

    Attributes:
        per_pack: rows of a pack, in the mean.
        per_step: rows of a training step, in the mean.
        warning: says how that differs from what `global_batch_size` states, and the way out.
    """

    per_pack: float
    per_step: int
    warning: str


def packed_rows(settings: TrainingSettings, packs: Any) -> PackedRows:
    """Counts the rows of packs, which batch sizes do not know.

    Args:
        settings: of the run.
        packs: a dataset as `packed_dataset` makes it.
    """
    wanted, training = settings.arguments.global_batch_size, settings.training
    per_pack = sum(map(len, packs["rows"])) / len(packs)
    per_step = round(per_pack * min(wanted, len(packs)))
    share = max(1, round(wanted / per_pack / training.world_size))
    fitting = max(size for size in range(1, training.per_device_train_batch_size + 1) if share % size == 0)
    return PackedRows(
        per_pack,
        per_step,
        f"--packing: batch sizes count packs, so a training step takes about {per_step:,} rows, not {wanted:,}, and "
        f"there are fewer training steps: --global_batch_size {share * training.world_size} "
        f"--per_device_train_batch_size {fitting} would take about {round(share * training.world_size * per_pack):,}",
    )


def show_end(
    report: TrainingReport,
    log: RunLog,
    *,
    model_class: str,
    adapter: bool,
    base_is_adapter: bool,
    stage: Stage,
    scored: bool = False,
) -> None:
    """Shows what a run made, a whole model or an adapter, and how to use it.

    Args:
        report: of the run.
        log: where it is shown.
        model_class: the name of the class that loads the model, or the base of the adapter.
        adapter: whether an adapter was trained.
        base_is_adapter: whether it was trained on another adapter, which PEFT does not merge when it loads this one.
        stage: of training; after that of the projector alone comes another.
        scored: whether the checkpoint with the best score was to be kept.
    """
    loss = f", loss {report.first_loss:.4f} → {report.last_loss:.4f}" if report.first_loss is not None else ""
    log.say(f"done: {counted(report.steps, 'training step')} in {duration(report.seconds)}{loss}")
    if report.steps < report.planned_steps:
        log.say(
            f"ended before training step {report.planned_steps:,}: the last "
            "scores were no better than the best (--early_stopping_patience)"
        )
    if report.best:
        log.say(
            f"the best:    score {report.best.score:.2f} of {report.best.parts} at training step {report.best.step:,}, "
            f"whose model is in {report.folder}"
        )
    elif scored:
        log.say(
            "WARNING: no checkpoint with a best score is there: the model is that of the last training step"
        )
    if report.bad_rows:
        parts = ", ".join(f"{reason} {count:,}" for reason, count in sorted(report.bad_rows.items()))
        count = sum(report.bad_rows.values())
        log.say(
            f"rows that could not be trained on: {count:,} ({parts}), listed in {report.folder / BAD_ROWS}"
        )
    if not adapter:
        log.say(f'load it:     {model_class}.from_pretrained("{report.folder}")')
    elif not base_is_adapter:
        base = f"{model_class}.from_pretrained(BASE)"
        log.say(f'load it:     PeftModel.from_pretrained({base}, "{report.folder}")')
    if adapter:
        log.say(f"merge it:    python -m llavamed_trainer merge {report.folder} OUT")
    if stage is Stage.PROJECTOR and not adapter:
        log.say(
            "train on:    python -m llavamed_trainer train --config stage2-60k-im --model_name_or_path "
            f"{report.folder}"
        )
    else:
        log.say(
            f"evaluate it: python -m llavamed_trainer predict --model {report.folder} --benchmark vqa-rad"
        )
    log.say("For research only, not for clinical use.")


def _model_lines(settings: TrainingSettings, trainer: Trainer) -> list[tuple[str, str]]:
    model: Any = trainer.model
    base: Any = model.get_base_model() if settings.model.use_peft else model
    family = family_of(base)
    parts = (
        f"LoRA of rank {settings.model.lora_r}, projector"
        if settings.model.use_peft
        else settings.arguments.stage
    )
    sizes = part_sizes(model)
    trained, total = sum(part.trained for part in sizes), sum(part.total for part in sizes)
    learnt = [f"{part.name} {part.trained:,}" for part in sizes if part.trained]
    frozen = [f"{part.name} {part.total - part.trained:,}" for part in sizes if part.trained < part.total]
    tested = (
        ""
        if family.tested
        else ", a family that has not been tested: its parts are told apart by their names"
    )
    return [
        ("model", str(settings.model.model_name_or_path)),
        ("family", f"{family.name} ({type(base).__name__}){tested}"),
        ("trainable", f"{parts}: {trained:,} of {total:,} parameters ({trained / max(1, total):.1%})"),
        ("trained", ", ".join(learnt) or "nothing"),
        ("frozen", ", ".join(frozen) or "nothing"),
    ]


def _few_bits(settings: TrainingSettings) -> str:
    bits = 4 if settings.model.load_in_4bit else 8 if settings.model.load_in_8bit else None
    return f", the language model's frozen layers in {bits} bit" if bits else ""


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


def _score_lines(
    settings: TrainingSettings, parts: Sequence[BenchmarkPart], rows: TrainingRows
) -> list[tuple[str, str]]:
    lines = list[tuple[str, str]]()
    for part in parts:
        left_out = "".join(f", {count:,} left out: {reason}" for reason, count in part.left_out.items())
        lines.append(
            (
                "scored by",
                f"{part.name}: {counted(len(part.prompts), 'question')} about {counted(part.asked_images, 'image')}"
                f"{left_out}",
            )
        )
        for shared in rows.shared:
            if part.is_held_out and shared.name == part.name:
                lines.append(
                    (
                        "held out",
                        f"{counted(shared.rows, 'training row')} with {counted(shared.images, 'image')} of {part.name}",
                    )
                )
    if parts:
        patience = settings.arguments.early_stopping_patience
        ends = f", ends after {counted(patience, 'score')} no better than the best" if patience else ""
        lines.append(("scored", f"every {counted(settings.arguments.every or 0, 'training step')}{ends}"))
    return lines


def _shared_images(parts: Sequence[BenchmarkPart], rows: TrainingRows) -> list[str]:
    """Warnings of questions about images that are trained on."""
    if parts and rows.lengths is None:
        return ["It is not known whether the stream holds images of the benchmark that scores the model."]
    held_out = {part.name for part in parts if part.is_held_out}
    return [
        f"WARNING: {counted(shared.rows, 'training row')} show {counted(shared.images, 'image')} of {shared.name}, by "
        "which the model is scored: scores there say less about other images"
        for shared in rows.shared
        if shared.rows and shared.name not in held_out
    ]


def _training_lines(settings: TrainingSettings, trainer: Trainer) -> list[tuple[str, str]]:
    training = settings.training
    at_once, accumulated = training.per_device_train_batch_size, training.gradient_accumulation_steps
    processes = "1 process" if training.world_size == 1 else f"{training.world_size} processes"
    steps, epochs = trainer.args.max_steps, ""
    rows: Any = trainer.train_dataset
    unit, rows_in_packs = "row", ""
    if training.packing:
        packed = packed_rows(settings, rows)
        unit = "pack"
        rows_in_packs = f" of {packed.per_pack:.1f} rows in the mean, about {packed.per_step:,} rows"
    if steps <= 0:
        batches = ceil(len(rows) / (at_once * training.world_size))
        steps = ceil(training.num_train_epochs * ceil(batches / accumulated))
        epochs = f" ({training.num_train_epochs:g} epoch{'s' * (training.num_train_epochs != 1)})"
    precision = "bfloat16" if training.bf16 else "float16" if training.fp16 else "float32"
    warmup = (
        f"{training.warmup_steps:.0%}" if training.warmup_steps < 1 else f"{training.warmup_steps:,.0f} steps"
    )
    return [
        (
            "training step",
            f"{counted(at_once, unit)} × {processes} × {accumulated} accumulated "
            f"= {counted(settings.arguments.global_batch_size, unit)}{rows_in_packs}",
        ),
        ("training steps", f"{steps:,}{epochs}"),
        (
            "learning rate",
            f"{training.learning_rate:.1e}, {SchedulerType(training.lr_scheduler_type).value}, warm-up {warmup}, "
            f"weight decay {training.weight_decay:g}",
        ),
        ("precision", f"{precision} on {training.device}{_few_bits(settings)}"),
        ("output dir", str(training.output_dir)),
    ]
