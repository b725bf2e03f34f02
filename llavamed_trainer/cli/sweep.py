"""`sweep`: the paper's grid of training runs."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from llavamed_data.console.command_line import print_json
from llavamed_data.console.options import EngineName, RayAddress, Slurm

if TYPE_CHECKING:
    from llavamed_trainer.evaluation.sweep import SweepRun


def sweep(
    grid: Annotated[
        str,
        typer.Option(
            help="YAML file of a grid, or a packaged one: table4 | table9 | table10.", show_default=False
        ),
    ],
    output: Annotated[
        Path | None, typer.Option(help="Folder of the runs.", show_default="runs/NAME-OF-GRID")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the runs as a tree and run nothing.")
    ] = False,
    launcher: Annotated[
        str,
        typer.Option(
            help='Command that starts training, such as "accelerate launch --config_file fsdp.yaml".',
            show_default="python",
        ),
    ] = "",
    engine: Annotated[
        EngineName,
        typer.Option(help="Where to run: on this machine one after another, or as one job each."),
    ] = EngineName.LOCAL,
    slurm: Slurm = None,
    ray_address: RayAddress = None,
    gpus: Annotated[int, typer.Option(min=0, help="With --engine ray: GPUs for each run.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the plan or the outcome as JSON.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No tree and no summary.")] = False,
) -> None:
    """Train and score a grid of configurations; what they have in common is trained once.

    After a failure or a kill, rerun the same command: only the rest is run. Then: tables OUTPUT.

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
    console = Console(quiet=as_json or quiet)
    show_plan(plan, states, console)
    reasons: dict[str, str] = {}
    if not dry_run:

        def show_state(run: "SweepRun", state: str, _: str) -> None:
            if not console.quiet:
                typer.echo(f"{state}: {run.name}", err=True)

        report = run_plan(plan, chosen, show_state)
        states, reasons = dict(report.states), dict(report.reasons)
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
        print_json(stated)
    if reasons:
        raise LlavaMedError(
            f"{len(reasons)} of {len(plan.runs)} runs failed: {', '.join(reasons)}; fix this and rerun the same "
            "command, finished runs are kept"
        )
