"""The paper's grid of training runs: planned so that no run is trained twice, and run with any engine."""

from llavamed_trainer.evaluation.sweep.grid import GRIDS, BaseCheckpoint, Grid, load_grid
from llavamed_trainer.evaluation.sweep.plan import SweepPlan, SweepRun, make_plan
from llavamed_trainer.evaluation.sweep.sweep import SweepReport, run_plan, states_of

__all__ = [
    "GRIDS",
    "BaseCheckpoint",
    "Grid",
    "SweepPlan",
    "SweepReport",
    "SweepRun",
    "load_grid",
    "make_plan",
    "run_plan",
    "states_of",
]
