"""Training: what a stage freezes, and TRL's trainer without its silent failures on LLaVA."""

from llavamed_trainer.training.checkpoints import newest_checkpoint
from llavamed_trainer.training.sharding import load_sharded
from llavamed_trainer.training.stages import Stage, apply_stage, lora_config
from llavamed_trainer.training.trainer import LlavaMedTrainer

__all__ = ["LlavaMedTrainer", "Stage", "apply_stage", "load_sharded", "lora_config", "newest_checkpoint"]
