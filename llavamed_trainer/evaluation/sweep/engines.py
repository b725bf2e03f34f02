"""Runs a sweep's runs as tasks of an engine: this machine one after another, Slurm or Ray, one job each."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from llavamed_data.engine import Engine
from llavamed_trainer.evaluation.sweep.execute import DONE, execute
from llavamed_trainer.evaluation.sweep.plan import Run

Told: TypeAlias = Callable[[Run, str, str], None]
"""Is told of a run, its state (`running`, `done`, `failed`) and why it failed."""


@dataclass(frozen=True, slots=True)
class RunTask:
    """A run as a task: it is finished when its record is there."""

    folder: Path

    @property
    def output(self) -> Path:
        """The record that is written last."""
        return self.folder / DONE


def execute_task(task: RunTask) -> None:
    """Runs the commands of a run's folder."""
    execute(task.folder)


def run_tasks(engine: Engine, runs: Sequence[Run], folder: Path, told: Told) -> None:
    """Runs each after the one that it needs, if that one ended well, and tells how each ended.

    Args:
        engine: what runs them.
        runs: those that are not done.
        folder: of the sweep; each run has a folder of its name in it.
        told: is told as runs begin and end.
    """
    tasks = {RunTask(folder / run.name): run for run in runs}
    needs = {
        task.output: RunTask(folder / run.needs).output
        for task, run in tasks.items()
        if run.needs is not None
    }

    def begun(task: RunTask) -> None:
        told(tasks[task], "running", "")

    for task, error in engine.run(execute_task, list(tasks), folder, needs=needs, on_start=begun):
        told(tasks[task], "failed" if error else "done", str(error or ""))
