"""TRL's trainer without its silent failures on vision–language models, and checkpoints that resume to the bit."""

from llavamed_trainer.training.checkpoints import newest_checkpoint
from llavamed_trainer.training.sharding import load_sharded
from llavamed_trainer.training.trainer import LlavaMedTrainer

__all__ = ["LlavaMedTrainer", "load_sharded", "newest_checkpoint"]
