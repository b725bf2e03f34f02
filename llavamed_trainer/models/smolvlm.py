"""SmolVLM and Idefics3: an image is tiles and a small picture of the whole; a connector is the projector."""

from llavamed_trainer.models.family import ModelFamily

SMOLVLM = ModelFamily(
    name="SmolVLM and Idefics3",
    model_types=("smolvlm", "idefics3"),
    vision_tower="model.vision_model",
    projector=("model.connector",),
    language_model="model.text_model",
    processors=("SmolVLMProcessor", "Idefics3Processor"),
    image_mark="<global-img>",
    packing_refused=None,
)
