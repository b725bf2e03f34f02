"""Gemma 3 and MedGemma: the tokens of an image see each other in both directions."""

from llavamed_trainer.models.family import ModelFamily

GEMMA3 = ModelFamily(
    name="Gemma 3 and MedGemma",
    model_types=("gemma3",),
    vision_tower="model.vision_tower",
    projector=("model.multi_modal_projector",),
    language_model="model.language_model",
    processors=("Gemma3Processor",),
    packing_refused="the attention mask that lets the tokens of an image see each other does not keep rows apart",
)
