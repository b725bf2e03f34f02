"""LLaVA checkpoints from parts: vision tower, language model, projector, chat template."""

from llavamed_trainer.assembly.templates import TEMPLATES
from llavamed_trainer.assembly.tiny import assemble_tiny

__all__ = ["TEMPLATES", "assemble_tiny"]
