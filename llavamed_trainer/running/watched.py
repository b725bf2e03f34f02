"""The trainer of a run: LlavaMedTrainer, measured, with our card in place of TRL's."""

# ruff: noqa: ARG002  (callbacks take what the trainer passes)

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from transformers import ProgressCallback, TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_callback import PrinterCallback

from llavamed_trainer.running.meter import Meter
from llavamed_trainer.running.run_log import RunLog
from llavamed_trainer.training import LlavaMedTrainer

Losses = list[tuple[int, float]]


class WatchedTrainer(LlavaMedTrainer):
    """Adds speed and padding to each log, which `report_to` passes on, and shows the log to a person."""

    def __init__(
        self, *args: Any, run_log: RunLog, write_card: Callable[[Losses], None], **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self._meter = Meter(self._over_all)
        self._write_card = write_card
        for shown in (ProgressCallback, PrinterCallback):
            self.remove_callback(shown)
        self.add_callback(run_log)

    @property
    def losses(self) -> Losses:
        """(step, loss) as logged, those of a resumed run's first part too."""
        return [
            (int(entry["step"]), float(entry["loss"])) for entry in self.state.log_history if "loss" in entry
        ]

    def train(self, *args: Any, **kwargs: Any) -> Any:
        """Trains, and measures from here on."""
        self._meter.start()
        return super().train(*args, **kwargs)

    def training_step(
        self, model: torch.nn.Module, inputs: Mapping[str, Any], *args: Any, **kwargs: Any
    ) -> Any:
        """Counts the batch and trains on it."""
        self._meter.count(inputs)
        step: Any = super().training_step
        return step(model, inputs, *args, **kwargs)

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Logs, with what was measured since the last time."""
        if "loss" in logs:
            logs.update(self._meter.read())
        super().log(logs, start_time)

    def create_model_card(self, *_: Any, **__: Any) -> None:
        """Our card, where the trainer would write TRL's."""
        if self.is_world_process_zero():
            self._write_card(self.losses)

    def _over_all(self, counts: torch.Tensor) -> torch.Tensor:
        summed: torch.Tensor = self.accelerator.reduce(counts.to(self.accelerator.device), reduction="sum")
        return summed


class OnSave(TrainerCallback):
    """Tells of each checkpoint that is whole."""

    def __init__(self, saved: Callable[[Path], None]) -> None:
        self._saved = saved

    def on_save(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **_: Any,
    ) -> None:
        """Called by the trainer when a checkpoint is written."""
        if state.is_world_process_zero:
            self._saved(Path(str(args.output_dir)) / f"checkpoint-{state.global_step}")
