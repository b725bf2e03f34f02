"""`sweep`: the paper's grid of runs."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from llavamed_data.console.options import EngineName, RayAddress, Slurm

if TYPE_CHECKING:
    from llavamed_trainer.evaluation.sweep import Run


def sweep(
    grid: Annotated[
        str,
        typer.Option(help="A grid's YAML, or a packaged one: table4 | table9 | table10.", show_default=False),
    ],
    output: Annotated[
        Path | None, typer.Option(help="Folder of the runs.", show_default="runs/NAME of the grid")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the plan as a tree and run nothing.")
    ] = False,
    launcher: Annotated[
        str,
        typer.Option(help='Of training: "accelerate launch --config_file fsdp.yaml".', show_default="python"),
    ] = "",
    engine: Annotated[
        EngineName, typer.Option(help="What runs them: here one after another, or one job each.")
    ] = EngineName.LOCAL,
    slurm: Slurm = None,
    ray_address: RayAddress = None,
    gpus: Annotated[int, typer.Option(min=0, help="With --engine ray: GPUs that each run takes.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="The plan or the outcome as JSON.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No tree and no summary.")] = False,
) -> None:
    """Train and score a grid; what its rows have in common is trained once.

    Run again after a failure or a kill, only the rest is run. Then: tables OUTPUT.

    Example: python -m llavamed_trainer sweep --grid table4.yaml --dry-run
    """
    import shlex

    from rich.console import Console

    from llavamed_data.engine.open import open_engine
    from llavamed_data.errors import LlavaMedError
    from llavamed_trainer.evaluation.sweep import load_grid, make_plan, run_plan, states_of
    from llavamed_trainer.evaluation.sweep.report import show_end, show_plan

    loaded = load_grid(grid)
    plan = make_plan(loaded, output or Path("runs") / loaded.name, shlex.split(launcher))
    chosen = open_engine(
        engine,
        workers=1 if engine is EngineName.LOCAL else None,
        ray_address=ray_address,
        gpus=gpus,
        slurm=slurm,
        slurm_defaults={},
    )
    states = states_of(plan)
    console = Console()
    if not (as_json or quiet):
        show_plan(plan, states, console)
    reasons: dict[str, str] = {}
    if not dry_run:

        def told(run: "Run", state: str, _: str) -> None:
            if not (as_json or quiet):
                typer.echo(f"{state}: {run.name}", err=True)

        report = run_plan(plan, chosen, told)
        states, reasons = dict(report.states), dict(report.reasons)
        if not (as_json or quiet):
            show_end(report, console)
    if as_json:
        stated = {
            "grid": plan.name,
            "counts": plan.counts,
            "unshared": plan.unshared,
            "runs": [
                {
                    "name": name,
                    "kind": run.kind,
                    "needs": run.needs,
                    "state": states[name],
                    "commands": run.commands,
                }
                for name, run in plan.runs.items()
            ],
            "failed": reasons,
        }
        json.dump(stated, sys.stdout, indent=1)
        sys.stdout.write("\n")
    if reasons:
        raise LlavaMedError(
            f"{len(reasons)} of {len(plan.runs)} runs failed: {', '.join(reasons)}; fix the cause and rerun the same "
            "command, finished runs are kept"
        )
