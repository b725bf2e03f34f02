"""LLaVA-NeXT (LLaVA 1.6): an image is a small picture of the whole and tiles of it."""

from llavamed_trainer.models.family import ModelFamily

LLAVA_NEXT = ModelFamily(
    name="LLaVA-NeXT",
    model_types=("llava_next",),
    vision_tower="model.vision_tower",
    # `image_newline` ends each row of an image's features. It is a parameter, not a module, so LoRA leaves it as it is.
    projector=("model.multi_modal_projector", "model.image_newline"),
    language_model="model.language_model",
    processors=("LlavaNextProcessor",),
    packing_refused=None,
)
