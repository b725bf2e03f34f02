"""A training run from its settings to a model that stock transformers loads."""

import copy
import json
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import datasets
import torch
import transformers
from rich.console import Console
from safetensors import SafetensorError
from transformers import ProcessorMixin
from trl import SFTConfig

from hub_cards import TrainingData
from llavamed_data.errors import LlavaMedError, UsageError, one_line
from llavamed_trainer.collate import BadRows, ConversationCollator
from llavamed_trainer.models import Stage
from llavamed_trainer.models.loading import adapter_base
from llavamed_trainer.models.stopping import add_stop_ids
from llavamed_trainer.running.arguments import TrainingSettings
from llavamed_trainer.running.benchmark_parts import BenchmarkPart, load_parts
from llavamed_trainer.running.card import write_card
from llavamed_trainer.running.data import TrainingRows, describe_dataset, load_training_rows
from llavamed_trainer.running.model import load_stated_model, prepare_model, replace_endless_template
from llavamed_trainer.running.monitoring import MonitoredTrainer, RunLog, Scoring
from llavamed_trainer.running.push import HubPush
from llavamed_trainer.running.record import check_data, find_starting_point, write_record
from llavamed_trainer.running.scores import TrainingScorer, check_scoring
from llavamed_trainer.running.summary import BAD_ROWS, TrainingReport, show_end, show_start
from llavamed_trainer.running.workers import BatchMaking, plan_batch_making

_WRITING = ("inline_container", "PytorchStreamWriter", "Parent directory")
"""What torch's errors say when a file cannot be written."""


def run_training(settings: TrainingSettings, *, console: Console | None = None) -> TrainingReport:
    """Trains with the given settings, in this process or as one of those that `accelerate launch` started.

        run_training(parse_settings(["--config", "stage1", "--output_dir", "runs/mine"]))

    A run that was killed resumes from its last complete checkpoint when this is called again with the same settings.
    The settings are not changed.

    Args:
        settings: of the run.
        console: where progress is shown; standard output if not given.

    Raises:
        UsageError: there is no such model or dataset, or the folder holds the results of another run.
        LlavaMedError: too many rows cannot be trained on, or the model could not be pushed (it is complete in its
            folder then).
    """
    check_scoring(settings)
    state = settings.training.distributed_state
    if console is None or not state.is_main_process:
        console = Console(file=sys.stdout, quiet=not state.is_main_process)
    if not console.is_terminal:  # no bars of libraries where this run has none
        transformers.utils.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
        datasets.disable_progress_bars()
    log = RunLog(console)
    folder = Path(str(settings.training.output_dir))
    start = find_starting_point(folder, settings)
    state.wait_for_everyone()  # every process has looked at the folder before one writes to it
    push = None
    if settings.training.push_to_hub and state.is_main_process:
        push = HubPush(settings.training, folder, log.say)
    if start.done:
        log.say(f"{folder} is done already: there is nothing to train")
        report = _finished_report(folder)
    else:
        try:
            report = _train(settings, start.checkpoint, push, log)
        finally:
            log.close()
    if push:
        log.say(f"pushed to {push.address}: {push.finish()}")
    state.wait_for_everyone()
    return report


def _train(
    settings: TrainingSettings, checkpoint: Path | None, push: HubPush | None, log: RunLog
) -> TrainingReport:
    arguments, state = settings.arguments, settings.training.distributed_state
    folder = Path(str(settings.training.output_dir))
    started = time.monotonic()
    parts = load_parts(arguments, settings.training.seed)
    model, processor = load_stated_model(
        settings.model, arguments.template, computed_in=_autocast(settings.training)
    )
    if settings.training.eos_token:  # the trainer sets it too, after the collator has read it
        processor.tokenizer.eos_token = settings.training.eos_token
    if arguments.template is None and (note := replace_endless_template(processor)):
        log.say(note)
    model_class = type(model).__name__
    base_is_adapter = adapter_base(str(settings.model.model_name_or_path)) is not None
    rows = load_training_rows(settings, processor, parts)
    data = [describe_dataset(arguments.dataset or "", arguments.dataset_revision)]
    bad_rows = BadRows(arguments.max_bad_rows, folder / BAD_ROWS)
    check_data(folder, settings, checkpoint, data)
    state.wait_for_everyone()  # every process has read the record before one writes it
    if state.is_main_process:
        write_record(folder, settings, data, done=False)
    if push:
        push.open()
    trainer, making = _make_trainer(settings, model, processor, rows, bad_rows, data, parts, log)
    if push:
        trainer.add_callback(push)
    show_start(settings, trainer, making, data, rows, parts, checkpoint, log)
    try:
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
        trainer.save_model(str(folder))
        trainer.save_state()
    except LlavaMedError as error:
        if (told := _of_worker(error)) == str(error):
            raise
        raise LlavaMedError(told) from error
    except (RuntimeError, SafetensorError) as error:  # the command line tells all others
        raise _explained(error, folder) from error
    trainer.create_model_card()
    state.wait_for_everyone()
    losses = [loss for _, loss in trainer.losses]
    report = TrainingReport(
        folder=folder,
        steps=trainer.state.global_step,
        first_loss=losses[0] if losses else None,
        last_loss=losses[-1] if losses else None,
        seconds=time.monotonic() - started,
        bad_rows={str(reason): count for reason, count in bad_rows.counts.items()},
        best=trainer.best,
        planned_steps=trainer.state.max_steps,
    )
    if state.is_main_process:
        write_record(folder, settings, data, done=True, best=report.best)
        show_end(
            report,
            log,
            model_class=model_class,
            adapter=settings.model.use_peft,
            base_is_adapter=base_is_adapter,
            stage=Stage(arguments.stage),
            scored=bool(parts),
        )
    return report


def _explained(error: RuntimeError | SafetensorError, folder: Path) -> LlavaMedError:
    """The error of a library in one line, with the way out."""
    told = f"{type(error).__name__}: {one_line(_of_worker(error))}"
    if isinstance(error, torch.OutOfMemoryError):
        return LlavaMedError(
            f"training does not fit into memory ({told}): rerun the same command with a smaller "
            "--per_device_train_batch_size, which leaves the rows of a training step as they are, or with --use_peft"
        )
    if isinstance(error, SafetensorError) or any(sign in str(error) for sign in _WRITING):
        return LlavaMedError(
            f"no checkpoint or model could be written to {folder} ({told}): if its disk is full, free some space, and "
            "rerun the same command; it goes on from the last complete checkpoint"
        )
    return LlavaMedError(
        f"training stopped ({told}): fix this and rerun the same command; checkpoints are kept"
    )


def _of_worker(error: Exception) -> str:
    """The message of an error; of one that a data worker raised, without the worker's traceback."""
    message = str(error)
    if "Original Traceback" not in message:
        return message
    return message.strip().splitlines()[-1].partition(": ")[2] or message.strip().splitlines()[-1]


def _make_trainer(
    settings: TrainingSettings,
    model: Any,
    processor: ProcessorMixin,
    rows: TrainingRows,
    bad_rows: BadRows,
    data: list[TrainingData],
    parts: Sequence[BenchmarkPart],
    log: RunLog,
) -> tuple[MonitoredTrainer, BatchMaking]:
    arguments, training = settings.arguments, settings.training
    if training.n_gpu > 1:
        raise UsageError(
            f"{training.n_gpu} GPUs are visible to one process: start one process for each (accelerate launch "
            f"--multi_gpu --num_processes {training.n_gpu} -m llavamed_trainer train …), or set CUDA_VISIBLE_DEVICES "
            "to one of them"
        )
    stage = Stage(arguments.stage)
    adapters = prepare_model(model, settings.model, stage)
    if adapters is not None and stage is Stage.PROJECTOR:
        log.say("--use_peft: adapters of the language model are trained beside the projector of this stage")
    multiple = training.pad_to_multiple_of
    make_collator = partial(
        ConversationCollator,
        processor,
        max_length=training.max_length,
        pad_to_multiple_of=multiple if isinstance(multiple, int) else None,
        packing=training.packing,
        exact_images=arguments.exact_images,
        text=arguments.text,
    )
    collator = make_collator(bad_rows=bad_rows)
    _stop_at(model, collator.end_ids, processor.tokenizer, log)
    workers = training.dataloader_num_workers
    making = plan_batch_making(
        rows.train,
        lambda uncounted: make_collator(bad_rows=uncounted),
        total=_rows_of_process(settings, rows),
        stated=workers if workers or "dataloader_num_workers" in settings.given else None,
    )
    scoring = None
    if parts and arguments.every:
        scorer = partial(
            TrainingScorer,
            parts,
            processor=processor,
            max_new_tokens=arguments.evaluate_max_new_tokens,
            batch_size=training.per_device_eval_batch_size,
            folder=Path(str(training.output_dir)),
        )
        scoring = Scoring(scorer, arguments.every, arguments.early_stopping_patience)
    trainer = MonitoredTrainer(
        model=model,
        args=_trainer_settings(training, rows.max_steps, making.workers),
        train_dataset=rows.train,
        eval_dataset=rows.evaluation,
        processing_class=processor,
        data_collator=collator,
        peft_config=adapters,
        run_log=log,
        bad_rows=bad_rows,
        write_card=partial(write_card, settings, data, rows.for_evaluation),
        scoring=scoring,
    )
    return trainer, making


def _rows_of_process(settings: TrainingSettings, rows: TrainingRows) -> int:
    """The number of rows that each process trains on in all (of packs, with `--packing` and `--max_steps`)."""
    processes: int = settings.training.world_size
    if rows.max_steps > 0:
        return rows.max_steps * settings.arguments.global_batch_size // processes
    return int(len(rows.train) * settings.training.num_train_epochs / processes)


def _stop_at(model: Any, end_ids: frozenset[int], tokenizer: Any, log: RunLog) -> None:
    """Adds the tokens that end answers to those at which `generate` stops."""
    if new := add_stop_ids(model, end_ids):
        names = " and ".join(tokenizer.convert_ids_to_tokens(new))
        log.say(
            f"the chat template ends answers with {names}: the model's generation_config now stops there too"
        )


def _autocast(training: SFTConfig) -> torch.dtype | None:
    """The data type that autocast computes in; None without autocast."""
    return torch.bfloat16 if training.bf16 else torch.float16 if training.fp16 else None


def _trainer_settings(training: SFTConfig, max_steps: int, workers: int) -> SFTConfig:
    """A copy of the training arguments without what this package does in the trainer's place."""
    own = copy.copy(training)
    own.max_steps = max_steps
    own.dataloader_num_workers = workers
    own.push_to_hub = False  # the stock push ends the run when the Hub fails
    own.packing = False  # TRL's packing takes no images; the collator packs
    return own


def _finished_report(folder: Path) -> TrainingReport:
    state = json.loads((folder / "trainer_state.json").read_text(encoding="utf-8"))
    losses = [entry["loss"] for entry in state["log_history"] if "loss" in entry] or [None]
    return TrainingReport(folder, state["global_step"], losses[0], losses[-1], 0.0, {})
