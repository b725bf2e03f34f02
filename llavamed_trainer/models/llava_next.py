"""LLaVA-NeXT (LLaVA 1.6): an image is a small picture of the whole and tiles of it."""

from llavamed_trainer.models.family import ModelFamily

LLAVA_NEXT = ModelFamily(
    name="LLaVA-NeXT",
    model_types=("llava_next",),
    vision_tower="model.vision_tower",
    # `image_newline` ends each row of an image's features: both stages train it. The released code trains it with the
    # language model but not with the projector alone, nor beside LoRA; PEFT saves whole modules only, and it is a
    # parameter, so that beside LoRA it stays as it is here too, which the table before training counts as frozen.
    projector=("model.multi_modal_projector", "model.image_newline"),
    language_model="model.language_model",
    processors=("LlavaNextProcessor",),
    packing_refused=None,
)
