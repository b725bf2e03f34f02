"""Runs what of a plan is not done."""

from collections.abc import Mapping
from dataclasses import dataclass

from llavamed_data.engine import Engine, LocalEngine
from llavamed_data.io.locks import exclusive_lock
from llavamed_trainer.evaluation.sweep.engines import Told, run_tasks
from llavamed_trainer.evaluation.sweep.execute import is_done, write_spec
from llavamed_trainer.evaluation.sweep.plan import Plan, Run


@dataclass(frozen=True, slots=True)
class SweepReport:
    """How a sweep ended.

    Attributes:
        plan: of the sweep.
        states: run → `done`, `failed` or `waiting` (what it needs failed).
        reasons: failed run → why.
        kept: how many were done before.
    """

    plan: Plan
    states: Mapping[str, str]
    reasons: Mapping[str, str]
    kept: int

    def count(self, state: str) -> int:
        """How many runs are in that state."""
        return sum(each == state for each in self.states.values())


def states_of(plan: Plan) -> dict[str, str]:
    """Run → `done` or `waiting`, as the folders say.

    Raises:
        UsageError: a run was made with other settings.
    """
    return {
        name: "done" if is_done(plan.folder / name, run) else "waiting" for name, run in plan.runs.items()
    }


def run_plan(plan: Plan, engine: Engine | None = None, told: Told | None = None) -> SweepReport:
    """Runs all that is not done, each after what it needs; run again after a failure or a kill, only the rest is run.

    A run that fails is named with its reason, those that need it are not started, the others go on.

    Args:
        plan: the runs.
        engine: what runs them; this machine, one after another, by default.
        told: is told as runs begin and end.

    Raises:
        UsageError: a run was made with other settings.
        LlavaMedError: another sweep is at work in the folder.
    """
    states = states_of(plan)
    kept = sum(state == "done" for state in states.values())
    reasons = dict[str, str]()

    def tell(run: Run, state: str, why: str) -> None:
        if state in ("done", "failed"):
            states[run.name] = state
        if state == "failed":
            reasons[run.name] = why
        if told:
            told(run, state, why)

    left = [run for run in plan.runs.values() if states[run.name] != "done"]
    plan.folder.mkdir(parents=True, exist_ok=True)
    busy = f"another sweep is at work in {plan.folder}: wait for it, or end it"
    with exclusive_lock(plan.folder / ".sweep.lock", busy=busy):
        for run in left:
            write_spec(plan.folder / run.name, run)
        run_tasks(engine or LocalEngine(workers=1), left, plan.folder, tell)
    return SweepReport(plan, states, reasons, kept)
