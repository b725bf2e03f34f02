"""A training run from its call to a model that stock transformers loads."""

import hashlib
import json
import sys
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import datasets
import transformers
from rich.console import Console
from transformers import LlavaForConditionalGeneration, ProcessorMixin

from hub_cards import TrainingData
from llavamed_data.errors import UsageError
from llavamed_trainer.collate import BadRows, LlavaMedCollator, token_lengths
from llavamed_trainer.collate.encoding import llava_processor, tokens_per_image
from llavamed_trainer.running.adapters import make_adapters
from llavamed_trainer.running.card import write_card
from llavamed_trainer.running.data import (
    Lengths,
    Rows,
    count_rows,
    describe_data,
    load_rows,
    steps_of_stream,
    summarise_lengths,
    with_lengths,
)
from llavamed_trainer.running.model import load_model
from llavamed_trainer.running.parsing import Call
from llavamed_trainer.running.push import HubPush
from llavamed_trainer.running.record import Standing, begin, finish, look_at
from llavamed_trainer.running.run_log import RunLog
from llavamed_trainer.running.summary import show_end, show_start
from llavamed_trainer.running.watched import OnSave, WatchedTrainer
from llavamed_trainer.training import Stage, apply_stage

BAD_ROWS = "bad_rows.jsonl"


@dataclass(frozen=True, slots=True)
class TrainingReport:
    """What a run did.

    Attributes:
        folder: where the model is.
        steps: of the whole run; 0 with `first_loss` None if it was done before.
        seconds: of this part of it.
        bad_rows: rows that could not be trained on, by reason.
    """

    folder: Path
    steps: int
    first_loss: float | None
    last_loss: float | None
    seconds: float
    bad_rows: dict[str, int]
    pushed: str | None = None


def run_training(call: Call, *, console: Console | None = None) -> TrainingReport:
    """Trains as the call says, in this process or as one of those that `accelerate launch` started.

        run_training(parse_call(["--config", "stage1", "--output_dir", "runs/mine"]))

    A run that was killed goes on from its last whole checkpoint when it is called again.

    Raises:
        UsageError: no such model or dataset, or the folder holds another run's results.
        LlavaMedError: too many bad rows; the model could not be pushed (it is whole in its folder then).
    """
    state = call.training.distributed_state
    console = (
        console if console is not None and state.is_main_process else _console(main=state.is_main_process)
    )
    _quieten(console)
    log = RunLog(console)
    folder = Path(str(call.training.output_dir))
    standing = look_at(folder, call)
    state.wait_for_everyone()  # all have looked before one writes
    push = (
        HubPush(call.training, folder, log.say)
        if call.training.push_to_hub and state.is_main_process
        else None
    )
    call.training.push_to_hub = False  # the stock one ends the run when the Hub fails
    if standing.done:
        log.say(f"{folder} is done already: nothing to train")
        return _done(folder, push, log)
    try:
        report = _train(call, standing, push, log, console)
    finally:
        log.close()
    state.wait_for_everyone()
    return report


def _train(
    call: Call, standing: Standing, push: HubPush | None, log: RunLog, console: Console
) -> TrainingReport:
    arguments, state, folder = (
        call.arguments,
        call.training.distributed_state,
        Path(str(call.training.output_dir)),
    )
    started = time.monotonic()
    model, processor = load_model(call.model, arguments.template)
    rows, evaluated, lengths = _rows(call, processor)
    data = [describe_data(arguments.dataset or "", arguments.dataset_revision)]
    bad = BadRows(arguments.max_bad_rows, folder / BAD_ROWS)
    if state.is_main_process:
        begin(folder, call)
    if push:
        push.open()
    trainer = _trainer(call, model, processor, rows, evaluated, bad, data, log)
    if push:
        trainer.add_callback(OnSave(partial(_send, push)))
    show_start(call, trainer, data, lengths, state.num_processes, standing.checkpoint, console)
    trainer.train(resume_from_checkpoint=str(standing.checkpoint) if standing.checkpoint else None)
    trainer.save_model(str(folder))
    trainer.save_state()
    trainer.create_model_card()
    state.wait_for_everyone()
    losses = trainer.losses
    report = TrainingReport(
        folder=folder,
        steps=trainer.state.global_step,
        first_loss=losses[0][1] if losses else None,
        last_loss=losses[-1][1] if losses else None,
        seconds=time.monotonic() - started,
        bad_rows=_by_reason(bad),
    )
    if state.is_main_process:
        finish(folder, call)
        ends = (losses[0][1], losses[-1][1]) if losses else None
        show_end(folder, report.steps, ends, report.seconds, report.bad_rows, call.model.use_peft, console)
    if push:
        log.say(f"pushed to {push.address}: {push.finish()}")
    return report


def _rows(call: Call, processor: ProcessorMixin) -> tuple[Rows, Rows | None, Lengths | None]:
    """Rows to train on and to evaluate on; with lengths where they are all here."""
    arguments, training = call.arguments, call.training
    name = arguments.dataset
    if not name:
        raise UsageError("what is to be trained on: give --dataset")
    load = partial(load_rows, streaming=arguments.streaming)
    rows = load(name, arguments.split, revision=arguments.dataset_revision, max_rows=arguments.max_rows)
    evaluated = _evaluated(call, name, processor)
    if not arguments.streaming:
        if not len(rows):
            raise UsageError(f"{name} has no rows in {arguments.split!r}")
        rows = _measured(call, rows, processor)
        lengths = rows.with_format("numpy")["length"][:]
        return rows, evaluated, summarise_lengths(lengths, training.max_length)
    if training.max_steps <= 0:
        count = count_rows(name, arguments.split, arguments.dataset_revision)
        if arguments.max_rows is not None:
            count = min(arguments.max_rows, count or arguments.max_rows)
        batch = arguments.global_batch_size
        training.max_steps = steps_of_stream(count, training.num_train_epochs, batch, name)
    if arguments.shuffle_buffer:
        rows = rows.shuffle(seed=training.seed, buffer_size=arguments.shuffle_buffer)
    return rows, evaluated, None


def _measured(call: Call, rows: Rows, processor: ProcessorMixin) -> Rows:
    """With the column `length`, by which batches are grouped."""
    training, text = call.training, call.arguments.text
    count = partial(token_lengths, processor=processor, max_length=training.max_length, text=text)
    words = processor.tokenizer
    image = tokens_per_image(llava_processor(processor))
    known = hashlib.sha256(words.backend_tokenizer.to_str().encode()).hexdigest()
    mark = f"{known} {image} {processor.chat_template} {training.max_length} {text}"
    with training.distributed_state.local_main_process_first():  # the others find the counts in the cache
        return with_lengths(rows, count, mark, training.dataset_num_proc)


def _evaluated(call: Call, name: str, processor: ProcessorMixin) -> Rows | None:
    arguments = call.arguments
    if str(call.training.eval_strategy) in ("no", "IntervalStrategy.NO"):
        return None
    if not arguments.eval_split:
        raise UsageError("--eval_strategy takes --eval_split, the rows to evaluate on")
    own = arguments.eval_dataset is None
    revision = arguments.dataset_revision if own else None
    rows = load_rows(arguments.eval_dataset or name, arguments.eval_split, revision=revision)
    return _measured(call, rows, processor)


def _trainer(
    call: Call,
    model: LlavaForConditionalGeneration,
    processor: ProcessorMixin,
    rows: Rows,
    evaluated: Rows | None,
    bad: BadRows,
    data: list[TrainingData],
    log: RunLog,
) -> WatchedTrainer:
    arguments, training = call.arguments, call.training
    if training.n_gpu > 1:
        raise UsageError(
            f"{training.n_gpu} GPUs are seen by one process: start one a GPU, accelerate launch --multi_gpu "
            f"--num_processes {training.n_gpu} -m llavamed_trainer train …, or set CUDA_VISIBLE_DEVICES to one"
        )
    adapters = make_adapters(call.model, model)
    if adapters is not None and Stage(arguments.stage) is Stage.PROJECTOR:
        log.say("--use_peft: adapters of the language model are trained beside the projector of this stage")
    if adapters is None:
        apply_stage(model, Stage(arguments.stage))
    training.remove_unused_columns = False
    multiple = training.pad_to_multiple_of
    collator = LlavaMedCollator(
        processor,
        max_length=training.max_length,
        pad_to_multiple_of=multiple if isinstance(multiple, int) else None,
        packing=training.packing,
        exact_images=arguments.exact_images,
        bad_rows=bad,
        text=arguments.text,
    )
    training.packing = False  # TRL's own, which takes no images; the collator packs
    return WatchedTrainer(
        model=model,
        args=training,
        train_dataset=rows,
        eval_dataset=evaluated,
        processing_class=processor,
        data_collator=collator,
        peft_config=adapters,
        run_log=log,
        write_card=partial(write_card, Path(str(training.output_dir)), call, data),
    )


def _send(push: HubPush, checkpoint: Path) -> None:
    push.checkpoint(checkpoint, whole=any(checkpoint.glob("model*.safetensors")))


def _done(folder: Path, push: HubPush | None, log: RunLog) -> TrainingReport:
    state = json.loads((folder / "trainer_state.json").read_text(encoding="utf-8"))
    losses = [entry["loss"] for entry in state["log_history"] if "loss" in entry] or [None]
    if push:
        log.say(f"pushed to {push.address}: {push.finish()}")
    return TrainingReport(folder, state["global_step"], losses[0], losses[-1], 0.0, {})


def _by_reason(bad: BadRows) -> dict[str, int]:
    return {str(reason): count for reason, count in bad.counts.items() if count}


def _console(*, main: bool) -> Console:
    return Console(file=sys.stdout, quiet=not main)


def _quieten(console: Console) -> None:
    """No bars of libraries where ours cannot move either."""
    if not console.is_terminal:
        transformers.utils.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
        datasets.disable_progress_bars()
