"""LLaVA checkpoints from parts: vision tower, language model, projector, chat template."""

from llavamed_trainer.assembly.checkpoint import Assembled, assemble, convert_legacy
from llavamed_trainer.assembly.templates import TEMPLATES
from llavamed_trainer.assembly.tiny import assemble_tiny, assemble_tiny_of

__all__ = ["TEMPLATES", "Assembled", "assemble", "assemble_tiny", "assemble_tiny_of", "convert_legacy"]
