"""LLaVA-OneVision: tiles of an image as in LLaVA-NeXT, features of SigLIP, and Qwen2 as language model."""

from llavamed_trainer.models.family import ModelFamily

LLAVA_ONEVISION = ModelFamily(
    name="LLaVA-OneVision",
    model_types=("llava_onevision",),
    vision_tower="model.vision_tower",
    projector=("model.multi_modal_projector", "model.image_newline"),  # as in LLaVA-NeXT
    language_model="model.language_model",
    processors=("LlavaOnevisionProcessor",),
    packing_refused=None,
)
