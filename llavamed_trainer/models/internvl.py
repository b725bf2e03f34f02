"""InternVL in the layout of transformers (names that end in `-hf`): tiles of an image and a small picture of it."""

from llavamed_trainer.models.family import ModelFamily

INTERNVL = ModelFamily(
    name="InternVL",
    model_types=("internvl",),
    vision_tower="model.vision_tower",
    projector=("model.multi_modal_projector",),
    language_model="model.language_model",
    processors=("InternVLProcessor",),
    packing_refused=None,
    image_mark="<img>",
)
