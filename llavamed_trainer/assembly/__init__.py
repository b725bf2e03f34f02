"""LLaVA checkpoints from parts (vision tower, language model, projector, chat template) or from the released layout."""

from llavamed_trainer.assembly.assemble import AssembledModel, assemble, convert_legacy
from llavamed_trainer.assembly.tiny import assemble_tiny, assemble_tiny_of

__all__ = ["AssembledModel", "assemble", "assemble_tiny", "assemble_tiny_of", "convert_legacy"]
