"""Mistral Small 3 and Pixtral: images of any size, with a token at the end of each row of patches."""

from llavamed_trainer.models.family import ModelFamily

MISTRAL3 = ModelFamily(
    name="Mistral Small 3",
    model_types=("mistral3",),
    vision_tower="model.vision_tower",
    projector=("model.multi_modal_projector",),
    language_model="model.language_model",
    processors=("PixtralProcessor",),
    packing_refused=None,
)

PIXTRAL = ModelFamily(
    name="Pixtral",
    model_types=("llava",),  # its checkpoints load into LLaVA's class
    vision_type="pixtral",
    vision_tower="model.vision_tower",
    projector=("model.multi_modal_projector",),
    language_model="model.language_model",
    processors=("PixtralProcessor",),
    packing_refused=None,
)
