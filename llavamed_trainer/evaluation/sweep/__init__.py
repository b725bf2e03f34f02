"""The paper's grid of runs: planned with shared beginnings, run so that nothing is trained twice."""

from llavamed_trainer.evaluation.sweep.grid import GRIDS, Base, Grid, load_grid
from llavamed_trainer.evaluation.sweep.plan import Plan, Run, make_plan
from llavamed_trainer.evaluation.sweep.sweep import SweepReport, run_plan, states_of

__all__ = [
    "GRIDS",
    "Base",
    "Grid",
    "Plan",
    "Run",
    "SweepReport",
    "load_grid",
    "make_plan",
    "run_plan",
    "states_of",
]
