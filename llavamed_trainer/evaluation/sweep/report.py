"""A plan as a tree on the terminal, and how a sweep ended."""

from collections.abc import Mapping

from rich.console import Console
from rich.text import Text
from rich.tree import Tree

from llavamed_trainer.evaluation.sweep.plan import SweepPlan, SweepRun
from llavamed_trainer.evaluation.sweep.sweep import SweepReport

_MARKS = {"done": ("✓", "green"), "failed": ("✗", "red"), "waiting": ("·", "dim")}
_KINDS = {
    "assemble": "assembled",
    "stage1": "Stage 1",
    "stage2": "Stage 2",
    "finetune": "fine-tuning",
    "evaluate": "scored",
}


def show_plan(plan: SweepPlan, states: Mapping[str, str], console: Console) -> None:
    """Prints the runs as a tree, and how many there are."""
    tree = Tree(Text(f"{plan.name} in {plan.folder}"))
    roots = dict[str, Tree]()
    for run in plan.after(None):
        name = run.name.partition("/")[0]
        if run.kind == "assemble":
            _grow(roots.setdefault(name, tree), [run], plan, states)
        elif name not in roots:
            roots[name] = tree.add(Text(name.replace("-", " ")))
            _grow(
                roots[name],
                [each for each in plan.after(None) if each.name.startswith(f"{name}/")],
                plan,
                states,
            )
    console.print(tree)
    console.print(Text(counts_of(plan)), soft_wrap=True)


def counts_of(plan: SweepPlan) -> str:
    """`132 runs: 1 assembled, 6 Stage 1, … Without sharing: 255.`"""
    kinds = ", ".join(f"{number} {_KINDS[kind]}" for kind, number in plan.counts.items())
    plural = "s" * (len(plan.runs) != 1)
    return f"{len(plan.runs)} run{plural}: {kinds}. Without sharing: {plan.unshared}."


def show_end(report: SweepReport, console: Console) -> None:
    """Prints how many runs are done, which failed and why, and how many were not started."""
    for name, reason in report.reasons.items():
        console.print(Text.assemble(("✗ ", "red"), f"{name}: {reason}"), soft_wrap=True)
    waiting = report.count("waiting")
    line = f"{report.count('done')} of {len(report.plan.runs)} runs done ({report.kept} before)"
    if report.reasons:
        line += f", {len(report.reasons)} failed, {waiting} not started because of them"
    console.print(Text(line))


def _grow(tree: Tree, runs: list[SweepRun], plan: SweepPlan, states: Mapping[str, str]) -> None:
    """Scores in one line, and fine-tuning of one length on several benchmarks in one."""
    if scored := [run for run in runs if run.kind == "evaluate"]:
        tree.add(_tree_line(f"scored on {_names(scored)}", _joint(scored, states)))
    for run in runs:
        if run.kind in ("assemble", "stage1", "stage2"):
            _grow(tree.add(_tree_line(run.label, states[run.name])), plan.after(run.name), plan, states)
    tuned = dict[str, list[SweepRun]]()
    for run in runs:
        if run.kind == "finetune":
            tuned.setdefault(run.label.partition(", ")[2], []).append(run)
    for length, group in tuned.items():
        tests = [test for run in group for test in plan.after(run.name)]
        tree.add(
            _tree_line(f"fine-tuned and scored on {_names(tests)}, {length}", _joint(group + tests, states))
        )


def _names(runs: list[SweepRun]) -> str:
    return ", ".join(run.label for run in runs)


def _joint(runs: list[SweepRun], states: Mapping[str, str]) -> str:
    found = {states[run.name] for run in runs}
    return next(state for state in ("failed", "waiting", "done") if state in found)


def _tree_line(text: str, state: str) -> Text:
    mark, style = _MARKS[state]
    return Text.assemble((f"{mark} ", style), text)
