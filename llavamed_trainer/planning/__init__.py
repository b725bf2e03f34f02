"""What a training run will cost, by arithmetic: no weights, no data and no GPU are needed."""

from llavamed_trainer.planning.arithmetic import (
    BatchShape,
    GpuMemory,
    OperationCounts,
    TrainedParts,
    memory,
    operations,
)
from llavamed_trainer.planning.plan import UTILISATION, Gpu, TrainingPlan, find_gpu, make_plan
from llavamed_trainer.planning.shape import ModelShape, find_shape, known_shapes

__all__ = [
    "UTILISATION",
    "BatchShape",
    "Gpu",
    "GpuMemory",
    "ModelShape",
    "OperationCounts",
    "TrainedParts",
    "TrainingPlan",
    "find_gpu",
    "find_shape",
    "known_shapes",
    "make_plan",
    "memory",
    "operations",
]
