"""Which vision–language model this is, what of it is trained, and how its images become tokens."""

from llavamed_trainer.models.chat_templates import TEMPLATES, find_template
from llavamed_trainer.models.family import ModelFamily
from llavamed_trainer.models.loading import load_llava
from llavamed_trainer.models.stages import FAMILIES, Stage, apply_stage, family_of, lora_config

__all__ = [
    "FAMILIES",
    "TEMPLATES",
    "ModelFamily",
    "Stage",
    "apply_stage",
    "family_of",
    "find_template",
    "load_llava",
    "lora_config",
]
