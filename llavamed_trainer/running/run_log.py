"""What a person sees of a run: a bar that moves on a terminal, one line a log elsewhere."""

# ruff: noqa: ARG002  (callbacks take what the trainer passes)

import resource
import sys
import time
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

_GIGABYTE = 1e9


class RunLog(TrainerCallback):
    """Progress, loss, speed, padding, memory and the expected end, on the main process alone."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress: Progress | None = None
        self._task = TaskID(0)
        self._started = 0.0
        self._first_step = 0

    def on_train_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **_: Any,
    ) -> None:
        """Shows the bar."""
        if not state.is_world_process_zero:
            return
        self._started, self._first_step = time.monotonic(), state.global_step
        if self._console.is_terminal:
            self._progress = Progress(
                TextColumn("step"),
                MofNCompleteColumn(),
                BarColumn(),
                TimeRemainingColumn(),
                TextColumn("{task.fields[said]}"),
                console=self._console,
            )
            self._task = self._progress.add_task(
                "", total=state.max_steps, completed=state.global_step, said=""
            )
            self._progress.start()

    def on_step_end(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **_: Any,
    ) -> None:
        """Moves the bar."""
        if self._progress:
            self._progress.update(self._task, completed=state.global_step)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: Mapping[str, float] | None = None,
        **_: Any,
    ) -> None:
        """Says where the run is."""
        if not state.is_world_process_zero or not logs:
            return
        if "eval_loss" in logs:
            self.say(f"step {state.global_step:,} · evaluation loss {logs['eval_loss']:.4f}")
        if "loss" not in logs:
            return
        said = " · ".join(_parts(logs))
        if self._progress:
            self._progress.update(self._task, said=said)
        else:
            share = state.global_step / max(1, state.max_steps)
            self.say(
                f"step {state.global_step:,}/{state.max_steps:,} ({share:.1%}) · {said} · {self._end(state)}"
            )

    def on_train_end(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **_: Any,
    ) -> None:
        """Takes the bar away."""
        self.close()

    def say(self, line: str) -> None:
        """One line, above the bar where there is one."""
        self._console.print(line, soft_wrap=True, highlight=False, markup=False)

    def close(self) -> None:
        """Leaves the terminal as it was, also after an error."""
        if self._progress:
            self._progress.stop()
            self._progress = None

    def _end(self, state: TrainerState) -> str:
        done = state.global_step - self._first_step
        if done < 1:
            return "end not known yet"
        left = (state.max_steps - state.global_step) * (time.monotonic() - self._started) / done
        ends = datetime.now().astimezone() + timedelta(seconds=left)
        return f"{duration(left)} left, ends {ends:%a %H:%M}"


def _parts(logs: Mapping[str, float]) -> list[str]:
    parts = [f"loss {float(logs['loss']):.4f}"]
    if "learning_rate" in logs:
        parts.append(f"rate {logs['learning_rate']:.2e}")
    if "tokens_per_second" in logs:
        parts += [
            f"{logs['tokens_per_second']:,.0f} tokens/s",
            f"{logs['images_per_second']:,.1f} images/s",
            f"padding {logs['padding']:.1%}",
        ]
    return [*parts, f"{memory_used() / _GIGABYTE:.1f} GB"]


def memory_used() -> int:
    """The most that this process has held, in bytes: of its GPU, or of the machine's memory without one."""
    if torch.cuda.is_available():
        return int(torch.cuda.max_memory_allocated())
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def duration(seconds: float) -> str:
    """`3 h 12 min`, `4 min 5 s`, `12 s`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
