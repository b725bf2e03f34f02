"""Runs tasks on this machine, on a Ray cluster or under Slurm; the output is the same on all of them."""

from llavamed_data.engine.engine import Engine, Task, number_of_tasks, share
from llavamed_data.engine.fetch_counter import FetchCounter
from llavamed_data.engine.local import LocalEngine

__all__ = ["Engine", "FetchCounter", "LocalEngine", "Task", "number_of_tasks", "share"]
