"""Gemma 3 and MedGemma: the tokens of an image see each other in both directions."""

from llavamed_trainer.models.family import ModelFamily

GEMMA3 = ModelFamily(
    name="Gemma 3 and MedGemma",
    model_types=("gemma3",),
    vision_tower="model.vision_tower",
    projector=("model.multi_modal_projector",),
    language_model="model.language_model",
    processors=("Gemma3Processor",),
    # create_masks_for_vision_model of transformers 5.24; a test of the families' packs shows it.
    packing_refused="in layers with a sliding window transformers finds the tokens of an image by their positions, "
    "which begin anew in each row of a pack, so that they do not see each other where they should",
)
