"""Runs what is not done of a plan."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from llavamed_data.engine import Engine, LocalEngine
from llavamed_data.io.locks import exclusive_lock
from llavamed_trainer.evaluation.sweep.execute import DONE, execute, is_done, write_spec
from llavamed_trainer.evaluation.sweep.plan import RunCallback, RunState, SweepPlan, SweepRun


@dataclass(frozen=True, slots=True)
class SweepReport:
    """How a sweep ended.

    Attributes:
        plan: the runs.
        states: run → `done`, `failed`, or `waiting` if a run that it needs failed.
        reasons: failed run → why it failed.
        kept: number of runs that were done before.
    """

    plan: SweepPlan
    states: Mapping[str, RunState]
    reasons: Mapping[str, str]
    kept: int

    def count(self, state: RunState) -> int:
        """The number of runs in that state."""
        return sum(each == state for each in self.states.values())


def states_of(plan: SweepPlan) -> dict[str, RunState]:
    """Run → `done` or `waiting`, as the folders say.

    Raises:
        UsageError: a run was made with other settings.
    """
    return {
        name: "done" if is_done(plan.folder / name, run) else "waiting" for name, run in plan.runs.items()
    }


def run_plan(
    plan: SweepPlan, engine: Engine | None = None, on_state: RunCallback | None = None
) -> SweepReport:
    """Runs all that is not done, each run after the one that it needs.

    After a failure or a kill, the same call runs only the rest. A run that fails is reported with its reason, those
    that need it are not started, and the others go on.

    Args:
        plan: the runs.
        engine: what runs them; by default this machine, one after another.
        on_state: called when a run begins or ends.

    Raises:
        UsageError: a run was made with other settings.
        LlavaMedError: another sweep is running in the folder.
    """
    states = states_of(plan)
    kept = sum(state == "done" for state in states.values())
    reasons = dict[str, str]()

    def note(run: SweepRun, state: RunState, reason: str) -> None:
        if state in ("done", "failed"):
            states[run.name] = state
        if state == "failed":
            reasons[run.name] = reason
        if on_state:
            on_state(run, state, reason)

    left = [run for run in plan.runs.values() if states[run.name] != "done"]
    plan.folder.mkdir(parents=True, exist_ok=True)
    busy = f"another sweep is running in {plan.folder}: wait for it, or end it"
    with exclusive_lock(plan.folder / ".sweep.lock", busy=busy):
        for run in left:
            write_spec(plan.folder / run.name, run)
        _run_tasks(engine or LocalEngine(workers=1), left, plan.folder, note)
    return SweepReport(plan, states, reasons, kept)


@dataclass(frozen=True, slots=True)
class _RunTask:
    """A run as a task of an engine: it is finished when its record is there."""

    folder: Path

    @property
    def output(self) -> Path:
        return self.folder / DONE


def _execute(task: _RunTask) -> None:
    execute(task.folder)


def _run_tasks(engine: Engine, runs: Sequence[SweepRun], folder: Path, on_state: RunCallback) -> None:
    """Runs each after the one that it needs, if that one ended well."""
    tasks = {_RunTask(folder / run.name): run for run in runs}
    needs = {task.output: folder / run.needs / DONE for task, run in tasks.items() if run.needs is not None}
    outcomes = engine.run(
        _execute, list(tasks), folder, needs=needs, on_start=lambda task: on_state(tasks[task], "running", "")
    )
    for task, error in outcomes:
        on_state(tasks[task], "failed" if error else "done", str(error or ""))
