"""Qwen2-VL, Qwen2.5-VL and Qwen3-VL: images of any size, and a merger inside the vision tower as projector."""

from llavamed_trainer.models.family import ModelFamily

QWEN2_VL = ModelFamily(
    name="Qwen2-VL and Qwen2.5-VL",
    model_types=("qwen2_vl", "qwen2_5_vl"),
    vision_tower="model.visual",
    projector=("model.visual.merger",),
    language_model="model.language_model",
    processors=("Qwen2VLProcessor", "Qwen2_5_VLProcessor"),
    packing_refused=None,
    mrope=True,
)

QWEN3_VL = ModelFamily(
    name="Qwen3-VL",
    model_types=("qwen3_vl",),
    vision_tower="model.visual",
    # Features of three further layers of the tower reach the language model through mergers of their own.
    projector=("model.visual.merger", "model.visual.deepstack_merger_list"),
    language_model="model.language_model",
    processors=("Qwen3VLProcessor",),
    packing_refused=None,
    mrope=True,
)
