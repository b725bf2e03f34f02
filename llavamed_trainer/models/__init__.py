"""Which vision–language model this is, what of it is trained, and how its images become tokens."""

from llavamed_trainer.models.chat_templates import TEMPLATES, find_template
from llavamed_trainer.models.family import ModelFamily
from llavamed_trainer.models.loading import load_model
from llavamed_trainer.models.registry import FAMILIES, family_of, find_family
from llavamed_trainer.models.saving import save_checkpoint
from llavamed_trainer.models.stages import Stage, apply_stage, lora_config, part_sizes

load_llava = load_model
"""The name that `load_model` had when only LLaVA was known."""

__all__ = [
    "FAMILIES",
    "TEMPLATES",
    "ModelFamily",
    "Stage",
    "apply_stage",
    "family_of",
    "find_family",
    "find_template",
    "load_llava",
    "load_model",
    "lora_config",
    "part_sizes",
    "save_checkpoint",
]
