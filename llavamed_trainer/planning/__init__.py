"""What a training run will cost, from arithmetic: no weights, no data, no GPU."""

from llavamed_trainer.planning.arithmetic import Batch, Learning, Memory, Operations, memory, operations
from llavamed_trainer.planning.plan import UTILISATION, Gpu, Plan, find_gpu, known_gpus, make_plan
from llavamed_trainer.planning.report import render
from llavamed_trainer.planning.shape import Shape, find_shape, known_shapes

__all__ = [
    "UTILISATION",
    "Batch",
    "Gpu",
    "Learning",
    "Memory",
    "Operations",
    "Plan",
    "Shape",
    "find_gpu",
    "find_shape",
    "known_gpus",
    "known_shapes",
    "make_plan",
    "memory",
    "operations",
    "render",
]
