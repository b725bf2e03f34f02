"""What is measured and shown while a run trains: a bar on a terminal, elsewhere a line for each log; and the speed."""

# ruff: noqa: ARG002  (callbacks get arguments that they do not use)

import resource
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib import import_module
from typing import Any, TypeAlias

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from transformers import IntervalStrategy, ProgressCallback, TrainerCallback, TrainerState
from transformers.trainer_callback import PrinterCallback

from llavamed_data.console.printable import counted
from llavamed_data.errors import LlavaMedError, one_line
from llavamed_trainer.collate import IGNORED, BadRows
from llavamed_trainer.models.registry import family_of_processor
from llavamed_trainer.running.scores import (
    SCORE,
    BestScore,
    KeepBest,
    Sample,
    TrainingScorer,
    TrainingScores,
    describe_scores,
    undisturbed,
)
from llavamed_trainer.training import LlavaMedTrainer

Losses: TypeAlias = list[tuple[int, float]]
"""Pairs of a training step and its loss."""

_ROWS_WITHOUT_ANSWER = 1000
"""A run ends when none of so many rows, the first that it meets, can be trained on."""


@dataclass(frozen=True, slots=True)
class Scoring:
    """How a model is scored while it trains.

    Attributes:
        scorer: makes the scorer of the model, once it is on its device.
        every: training steps between two scores; the model is scored at the end of the run, too.
        patience: how many scores in a row may be no better than the best before the run ends; None for any number.
    """

    scorer: Callable[[Any], TrainingScorer]
    every: int
    patience: int | None


class MonitoredTrainer(LlavaMedTrainer):
    """A `LlavaMedTrainer` whose logs hold speed and padding, which `report_to` passes on, and which shows them.

    Args:
        args: of `LlavaMedTrainer`.
        run_log: shows the logs.
        bad_rows: the rows that were left out, for the error of a run that has no others.
        write_card: writes the model card from the losses and the best score, in place of TRL's card.
        scoring: how the model is scored while it trains, if it is.
        kwargs: of `LlavaMedTrainer`.
    """

    def __init__(
        self,
        *args: Any,
        run_log: "RunLog",
        bad_rows: BadRows,
        write_card: Callable[[Losses, BestScore | None], None],
        scoring: "Scoring | None" = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self._answers = AnswerCheck(self.accelerator, bad_rows, self.get_total_train_batch_size(self.args))
        self._bad_rows = bad_rows
        self._evaluated = [0.0, 0.0, 0.0]
        self._speed = SpeedMeter(self.accelerator, ImageCounter(self.processing_class))
        self._write_card = write_card
        for shown in (ProgressCallback, PrinterCallback):
            self.remove_callback(shown)
        self.add_callback(run_log)
        self.add_callback(self._answers)
        self._run_log, self._scorer = run_log, None
        if scoring:
            self._scorer = scoring.scorer(self.model)
            # not before: the stock trainer would ask for rows to evaluate, and for as many training steps between
            # checkpoints as between scores
            self.args.eval_strategy, self.args.eval_steps = IntervalStrategy.STEPS, scoring.every
            self.args.load_best_model_at_end, self.args.greater_is_better = True, True
            self.args.metric_for_best_model = SCORE
            self.add_callback(KeepBest(scoring.patience))
            for note in self._scorer.notes:
                run_log.say(note)

    @property
    def losses(self) -> Losses:
        """The logged losses by training step, with those of the run before it was resumed."""
        return [
            (int(entry["step"]), float(entry["loss"])) for entry in self.state.log_history if "loss" in entry
        ]

    @property
    def best(self) -> BestScore | None:
        """The best score so far, if its checkpoint is there."""
        state = self.state
        if self._scorer is None or state.best_model_checkpoint is None or state.best_metric is None:
            return None
        return BestScore(self._scorer.names, int(state.best_global_step or 0), float(state.best_metric))

    def train(self, *args: Any, **kwargs: Any) -> Any:
        """Trains, and measures the speed from here on."""
        self._speed.start()
        return super().train(*args, **kwargs)

    def training_step(
        self, model: torch.nn.Module, inputs: Mapping[str, Any], *args: Any, **kwargs: Any
    ) -> Any:
        """Counts the batch and trains on it."""
        self._speed.count(inputs)
        self._answers.count(inputs)
        step: Any = super().training_step
        return step(model, inputs, *args, **kwargs)

    def prediction_step(
        self, model: torch.nn.Module, inputs: Mapping[str, Any], *args: Any, **kwargs: Any
    ) -> Any:
        """Evaluates a batch, and notes its loss if it has answers."""
        rows, has_answers = len(inputs["labels"]), bool((inputs["labels"] != IGNORED).any())
        step: Any = super().prediction_step
        made = step(model, inputs, *args, **kwargs)
        if has_answers and made[0] is not None:
            self._evaluated[0] += float(made[0]) * rows
            self._evaluated[1] += rows
        self._evaluated[2] += not has_answers
        return made

    def evaluation_loop(self, *args: Any, **kwargs: Any) -> Any:
        """Evaluates; batches of which no row can be used, whose loss is zero, do not count.

        Raises:
            LlavaMedError: no batch has a row that can be used.
        """
        self._evaluated = [0.0, 0.0, 0.0]
        loop: Any = super().evaluation_loop
        made = loop(*args, **kwargs)
        sums = torch.tensor(self._evaluated, device=self.accelerator.device)
        losses, rows, empty = self.accelerator.reduce(sums, reduction="sum").tolist()
        if empty and not rows:
            raise LlavaMedError(
                "no row of the evaluation set can be used, so there is no evaluation loss: "
                f"{self._bad_rows.path} lists the rows with their reasons; correct them, or name other rows with "
                "--eval_dataset and --eval_split"
            )
        for name in [name for name in made.metrics if name.endswith("_loss")] if empty else ():
            made.metrics[name] = losses / rows
        return made

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        """Scores the model by its answers to benchmarks if it is to be scored, else evaluates as TRL does."""
        if self._scorer is None:
            evaluated: dict[str, float] = super().evaluate(*args, **kwargs)
            return evaluated
        began, step = time.monotonic(), self.state.global_step
        best, best_step = self.state.best_metric, self.state.best_global_step
        with undisturbed(self.model):
            scored = self._scorer.score(self.accelerator, step, self._run_log.show_answering)
            self.log(
                dict(scored.metrics)
            )  # in evaluation mode: else the means of training would be logged and cleared
        self._speed.leave_out(time.monotonic() - began)
        if self.is_world_process_zero():
            self._run_log.show_scores(step, scored, self._scorer.names, best, best_step)
            report_samples(self.args.report_to, step, scored.samples)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, scored.metrics)
        return scored.metrics

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Logs, with the speed since the last log."""
        if "loss" in logs:
            logs.update(self._speed.read())
        super().log(logs, start_time)

    def create_model_card(self, *_: Any, **__: Any) -> None:
        """Writes the card of this package where the trainer would write TRL's."""
        if self.is_world_process_zero():
            self._write_card(self.losses, self.best)


class SpeedMeter:
    """Measures tokens and images per second and the share of padding, over all processes of an accelerator.

    Batches are counted on their own device, so that no step waits for the device before `read`.
    """

    def __init__(self, accelerator: Any, count_images: "ImageCounter") -> None:
        self._accelerator, self._count_images = accelerator, count_images
        self.start()

    def start(self) -> None:
        """Starts counting anew."""
        self._tokens: torch.Tensor | int = 0
        self._images: torch.Tensor | int = 0
        self._positions = 0
        self._since = time.monotonic()

    def leave_out(self, seconds: float) -> None:
        """Does not count seconds in which the model was not trained."""
        self._since += seconds

    def count(self, batch: Mapping[str, torch.Tensor]) -> None:
        """Counts a batch of the collator."""
        positions = batch["input_ids"].numel()
        self._positions += positions
        mask = batch.get("attention_mask")
        self._tokens = self._tokens + (positions if mask is None else mask.sum())
        self._images = self._images + self._count_images(batch)

    def read(self) -> dict[str, float]:
        """Returns the values since the last call and starts anew; an empty dictionary if nothing was counted.

        Every process must call it, since their counts are added up.
        """
        counts = [float(self._tokens), float(self._positions), float(self._images)]
        counted = torch.tensor(counts, device=self._accelerator.device)
        tokens, positions, images = self._accelerator.reduce(counted, reduction="sum").tolist()
        seconds = max(time.monotonic() - self._since, 1e-9)
        self.start()
        if not positions:
            return {}
        return {
            "tokens_per_second": round(tokens / seconds, 1),
            "images_per_second": round(images / seconds, 2),
            "padding": round(1 - tokens / positions, 4),
        }


class ImageCounter:
    """Counts the images in batches of the collator.

    Processors of models that are not listed may cut images into tiles, which are then counted in their place.

    Args:
        processor: of the model.
    """

    def __init__(self, processor: Any) -> None:
        family = family_of_processor(processor)
        self._mark: int | None = processor.tokenizer.get_vocab().get(family.image_mark) if family else None

    def __call__(self, batch: Mapping[str, torch.Tensor]) -> torch.Tensor | int:
        """The number of images in a batch; on the device of the batch if it must be looked for there."""
        if self._mark is not None:
            return torch.eq(batch["input_ids"], self._mark).sum()
        for name in ("image_grid_thw", "image_sizes"):  # one line for each image
            if name in batch:
                return len(batch[name])
        return len(batch["pixel_values"]) if "pixel_values" in batch else 0


class AnswerCheck(TrainerCallback):
    """Ends a run that has met no answer to learn, before it leaves a model that learnt nothing.

    A batch of which no row can be used has a loss of zero, so such a run would look as if it went well.

    Args:
        accelerator: of the trainer.
        bad_rows: the rows that were left out.
        rows_per_step: the rows of a training step.
    """

    def __init__(self, accelerator: Any, bad_rows: BadRows, rows_per_step: int) -> None:
        self._accelerator, self._bad_rows = accelerator, bad_rows
        self._rows_per_step, self._rows_met = rows_per_step, 0
        self._labels: torch.Tensor | int = 0
        self._found = False

    def on_train_begin(self, args: Any, state: TrainerState, control: Any, **_: Any) -> None:
        """Takes up what a run that is resumed had found."""
        self._found = any(entry.get("loss") for entry in state.log_history)

    def count(self, batch: Mapping[str, torch.Tensor]) -> None:
        """Counts the labels of a batch, until some are found."""
        if not self._found:
            self._labels = self._labels + (batch["labels"] != IGNORED).sum()

    def on_step_end(self, args: Any, state: TrainerState, control: Any, **_: Any) -> None:
        """Looks for labels after each training step, over all processes; every process must call it.

        Raises:
            LlavaMedError: there was none in the whole run, or in its first rows.
        """
        if self._found:
            return
        self._rows_met += self._rows_per_step
        labels = torch.tensor([float(self._labels)], device=self._accelerator.device)
        self._found = bool(self._accelerator.reduce(labels, reduction="sum").item())
        if not self._found and (
            self._rows_met >= _ROWS_WITHOUT_ANSWER or state.global_step >= state.max_steps
        ):
            reasons = ", ".join(f"{reason} {count:,}" for reason, count in self._bad_rows.counts.items())
            raise LlavaMedError(
                f"none of the {len(self._bad_rows):,} rows that were read can be trained on ({reasons}): no model is "
                f"written; {self._bad_rows.path} lists them: correct the dataset and choose another --output_dir"
            )


class RunLog(TrainerCallback):
    """Shows progress, loss, speed, padding, memory and the expected end on a console, on the main process only."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._progress: Progress | None = None
        self._task = TaskID(0)
        self._started = 0.0
        self._first_step = 0

    def on_train_begin(self, args: Any, state: TrainerState, control: Any, **_: Any) -> None:
        """Shows the bar."""
        if not state.is_world_process_zero:
            return
        self._started, self._first_step = time.monotonic(), state.global_step
        if self.console.is_terminal:
            self._progress = Progress(
                TextColumn("training step"),
                MofNCompleteColumn(),
                BarColumn(),
                TimeRemainingColumn(),
                TextColumn("{task.fields[values]}"),
                console=self.console,
            )
            self._task = self._progress.add_task(
                "", total=state.max_steps, completed=state.global_step, values=""
            )
            self._progress.start()

    def on_step_end(self, args: Any, state: TrainerState, control: Any, **_: Any) -> None:
        """Moves the bar."""
        if self._progress:
            self._progress.update(self._task, completed=state.global_step)

    def on_log(
        self, args: Any, state: TrainerState, control: Any, logs: Mapping[str, float] | None = None, **_: Any
    ) -> None:
        """Shows the values of a log."""
        if not state.is_world_process_zero or not logs:
            return
        if "eval_loss" in logs:
            self.say(f"training step {state.global_step:,} · evaluation loss {logs['eval_loss']:.4f}")
        if "loss" not in logs:
            return
        values = _describe(logs)
        if self._progress:
            self._progress.update(self._task, values=values)
        else:
            share = state.global_step / max(1, state.max_steps)
            self.say(
                f"training step {state.global_step:,}/{state.max_steps:,} ({share:.1%}) · {values} · {self._end(state)}"
            )

    def on_train_end(self, args: Any, state: TrainerState, control: Any, **_: Any) -> None:
        """Removes the bar."""
        self.close()

    def show_answering(self, done: int, total: int) -> None:
        """Shows how many questions of a benchmark are answered, beside the bar if there is one."""
        if self._progress:
            self._progress.update(self._task, values=f"answered {done:,} of {total:,} questions")

    def show_scores(
        self, step: int, scored: TrainingScores, names: str, best: float | None, best_step: int | None
    ) -> None:
        """Shows what the model in training scores, and some of its answers.

        Args:
            step: the training step.
            scored: the scores and the answers.
            names: of the benchmark parts.
            best: the best score before this one, if there is any.
            best_step: the training step that had it.
        """
        score, values = scored.metrics[SCORE], describe_scores(scored.metrics)
        questions = counted(int(scored.metrics["eval_questions"]), "question")
        if not step:
            rank = "before training"
        elif best is None or score > best:
            rank = "the best so far"
        else:
            rank = f"the best is {best:.2f} at training step {best_step:,}"
        self.say(
            f"training step {step:,} · score {score:.2f} of {names} ({values}; {questions} in "
            f"{duration(scored.metrics['eval_runtime'])}) · {rank}"
        )
        for each in scored.samples:
            asked, right, said = (one_line(text, 80) for text in (each.question, each.reference, each.answer))
            self.say(f"    {asked} · right: {right} · answered: {said}")

    def say(self, line: str) -> None:
        """Prints one line, above the bar if there is one."""
        self.console.print(line, soft_wrap=True, highlight=False, markup=False)

    def close(self) -> None:
        """Removes the bar, so that the terminal is as it was, also after an error."""
        if self._progress:
            self._progress.stop()
            self._progress = None

    def _end(self, state: TrainerState) -> str:
        done = state.global_step - self._first_step
        if done < 1:
            return "the end is not known yet"
        left = (state.max_steps - state.global_step) * (time.monotonic() - self._started) / done
        ends = datetime.now().astimezone() + timedelta(seconds=left)
        return f"{duration(left)} left, ends {ends:%a %H:%M}"


def report_samples(report_to: Any, step: int, samples: Sequence[Sample]) -> None:
    """Sends answers to wandb and trackio as a table, where they are on; a failure of theirs is no error."""
    columns = ["training step", "question", "right answer", "answer"]
    rows = [[step, each.question, each.reference, each.answer] for each in samples]
    with suppress(Exception):  # the run is worth more than its samples
        if "wandb" in (report_to or ()):
            wandb = import_module("wandb")
            wandb.log({"answers": wandb.Table(columns=columns, data=rows)})
    with suppress(Exception):
        if "trackio" in (report_to or ()):
            trackio, pandas = import_module("trackio"), import_module("pandas")
            trackio.log({"answers": trackio.Table(dataframe=pandas.DataFrame(rows, columns=columns))})


def duration(seconds: float) -> str:
    """A duration for people: `3 h 12 min`, `4 min 5 s`, `12 s`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _describe(logs: Mapping[str, float]) -> str:
    parts = [f"loss {float(logs['loss']):.4f}"]
    if "learning_rate" in logs:
        parts.append(f"learning rate {logs['learning_rate']:.2e}")
    if "tokens_per_second" in logs:
        parts += [
            f"{logs['tokens_per_second']:,.0f} tokens/s",
            f"{logs['images_per_second']:,.1f} images/s",
            f"padding {logs['padding']:.1%}",
        ]
    return " · ".join([*parts, f"{_peak_memory() / 1e9:.1f} GB"])


def _peak_memory() -> int:
    """The most bytes that this process has used: of its GPU, or of main memory if there is none."""
    if torch.cuda.is_available():
        return int(torch.cuda.max_memory_allocated())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
