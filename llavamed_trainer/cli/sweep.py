"""`sweep`: the paper's grid of runs."""

import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from llavamed_trainer.evaluation.sweep import Engine, Run


class EngineName(StrEnum):
    """What runs the runs; the outcome is the same."""

    LOCAL = "local"
    SLURM = "slurm"
    RAY = "ray"


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
    slurm: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=VALUE",
            help="A long option of sbatch, such as gres=gpu:8; may be given many times.",
            show_default=False,
        ),
    ] = None,
    ray_address: Annotated[
        str | None,
        typer.Option(
            help="HOST:PORT of a Ray cluster.",
            show_default="RAY_ADDRESS, else this machine's, else a new one",
        ),
    ] = None,
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

    from llavamed_data.errors import LlavaMedError
    from llavamed_trainer.evaluation.sweep import load_grid, make_plan, run_plan, states_of
    from llavamed_trainer.evaluation.sweep.report import show_end, show_plan

    loaded = load_grid(grid)
    plan = make_plan(loaded, output or Path("runs") / loaded.name, shlex.split(launcher))
    chosen = _engine(engine, slurm, ray_address, gpus)
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
            f"{len(reasons)} of {len(plan.runs)} runs failed: {', '.join(reasons)}; mend the cause and run the same "
            "command again, finished runs are kept"
        )


def _engine(name: EngineName, slurm: list[str] | None, ray_address: str | None, gpus: int) -> "Engine":
    from llavamed_data.errors import UsageError
    from llavamed_trainer.evaluation.sweep import Local, Ray
    from llavamed_trainer.evaluation.sweep import Slurm as SlurmEngine

    if (ray_address or gpus) and name is not EngineName.RAY:
        raise UsageError("--ray-address and --gpus go with --engine ray")
    if slurm and name is not EngineName.SLURM:
        raise UsageError("--slurm goes with --engine slurm")
    if name is EngineName.RAY:
        return Ray(ray_address, gpus)
    if name is EngineName.SLURM:
        return SlurmEngine(dict(_key_value(each) for each in slurm or ()))
    return Local()


def _key_value(stated: str) -> tuple[str, str]:
    from llavamed_data.errors import UsageError

    key, sign, value = stated.partition("=")
    if not (key and sign and value):
        raise UsageError(f"--slurm {stated} must be KEY=VALUE, such as --slurm partition=gpu")
    return key.lstrip("-"), value
