"""`plan` counts a model of every family from its configuration alone as PyTorch and PEFT count the model itself."""

from pathlib import Path
from typing import Any

import pytest
import torch
from peft import get_peft_model
from PIL import Image
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoConfig, AutoModelForImageTextToText, ProcessorMixin

from llavamed_trainer.models import Stage, apply_stage, lora_config, part_sizes
from llavamed_trainer.planning import (
    BatchShape,
    ModelShape,
    TrainedParts,
    find_gpu,
    find_shape,
    make_plan,
    operations,
)
from llavamed_trainer.planning.counting import count_shape
from llavamed_trainer.recipes import load_recipe
from llavamed_trainer.running import parse_settings
from llavamed_trainer.running.model import prepare_model

ROWS = 2
FORWARD_WITHIN = {"qwen2.5-vl": 0.001, "gemma3": 0.02, "mistral3": 0.08, "pixtral": 0.04, "unlisted": 0.02}
"""What forward passes may differ by: windows at the edge of an image are smaller than others (Qwen2.5-VL), the tiny
tower has a pooling head (Gemma 3), plain attention is computed between the images of a batch, too (Pixtral), and a
convolution after the blocks is left out (the unlisted GLM-4.1V)."""


@pytest.fixture
def model(tiny_model: Path) -> Any:
    # attention in plain products, which the counter sees on the CPU
    return AutoModelForImageTextToText.from_pretrained(tiny_model, attn_implementation="eager")


@pytest.fixture
def shape(tiny_model: Path) -> ModelShape:
    return find_shape(str(tiny_model))


def trained_weights(model: Any) -> int:
    return sum(weights.numel() for weights in model.parameters() if weights.requires_grad)


def test_parts_are_those_of_the_model(model: Any, shape: ModelShape) -> None:
    assert shape.parameters == sum(weights.numel() for weights in model.parameters())
    apply_stage(model, Stage.PROJECTOR_AND_LANGUAGE_MODEL)
    parts = {part.name: part.total for part in part_sizes(model)}
    assert shape.projector.parameters == parts["projector"]
    assert shape.language.parameters == parts["language model"] + parts.get("output layer", 0)


@pytest.mark.parametrize("recipe", ["stage1", "stage2-60k-im"])
def test_what_a_stage_trains_is_counted(model: Any, tiny_model: Path, recipe: str) -> None:
    stated = load_recipe(recipe)
    apply_stage(model, Stage(stated.settings["stage"]))
    plan = make_plan(stated, 8, find_gpu("a100-40g"), model=str(tiny_model), rows=1)
    assert plan.trained == trained_weights(model)
    assert sum(plan.parts.values()) == plan.parameters


@pytest.mark.parametrize("recipe", ["stage1", "stage2-60k-im"])
def test_adapters_are_counted_as_train_makes_them(model: Any, tiny_model: Path, recipe: str) -> None:
    words = ["--config", recipe, "--model_name_or_path", str(tiny_model), "--use_peft", "--lora_r", "5"]
    settings = parse_settings(words)
    adapters = prepare_model(model, settings.model, Stage(settings.arguments.stage))
    plan = make_plan(load_recipe(recipe), 8, find_gpu("a100-40g"), model=str(tiny_model), rows=1, lora=5)
    assert plan.trained == trained_weights(get_peft_model(model, adapters))


@pytest.mark.parametrize("stage", Stage)
def test_operations_are_those_that_pytorch_counts(
    kind: str, model: Any, shape: ModelShape, processor: ProcessorMixin, stage: Stage
) -> None:
    content = [{"type": "image"}, {"type": "text", "text": "What is it?"}]
    text = processor.apply_chat_template([{"role": "user", "content": content}], tokenize=False)
    images = [[Image.new("RGB", (640, 480))]] * ROWS
    batch = processor(text=[text] * ROWS, images=images, return_tensors="pt")
    tokens = batch["input_ids"].shape[-1]
    apply_stage(model, stage)
    model.train()
    with FlopCounterMode(display=False) as forward:
        logits = model(**batch, use_cache=False).logits
    with FlopCounterMode(display=False) as backward:
        logits.sum().backward()
    trained = TrainedParts(language=stage is not Stage.PROJECTOR, checkpointing=False)
    counted = operations(shape, BatchShape(ROWS, tokens, tokens), trained)
    assert counted.forward == pytest.approx(forward.get_total_flops(), rel=FORWARD_WITHIN.get(kind, 0))
    # of an unlisted projector whose norm comes after its first matrix, a gradient too much is counted
    within = 0.02 if kind == "unlisted" else 0
    assert counted.backward == pytest.approx(backward.get_total_flops(), rel=within)


def test_an_adapter_has_the_shape_of_its_base(
    model: Any, tiny_model: Path, shape: ModelShape, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    model.name_or_path = str(tiny_model)
    get_peft_model(model, lora_config(model, r=2)).save_pretrained(tmp_path)
    assert find_shape(str(tmp_path)) == shape


def test_of_a_mixture_of_experts_only_those_of_a_token_count_as_operations() -> None:
    text = {
        "hidden_size": 16,
        "intermediate_size": 32,
        "moe_intermediate_size": 8,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "num_experts": 8,
        "num_experts_per_tok": 2,
        "vocab_size": 100,
    }
    vision = {"depth": 1, "hidden_size": 16, "num_heads": 2, "intermediate_size": 16, "out_hidden_size": 16}
    config = AutoConfig.for_model(
        "qwen3_vl_moe", text_config=text, vision_config={**vision, "deepstack_visual_indexes": [0]}
    )
    shape = count_shape(config, "mixture")
    # 6 of 8 experts in 2 layers, each of three matrices of 16 × 8
    assert shape.language.passed_by == 6 * 2 * 3 * 16 * 8
    # what is left: two experts, the router, and four projections of attention, in each of 2 layers
    left = shape.language.matrices - shape.language.passed_by
    assert left == 2 * (2 * 3 * 16 * 8 + 8 * 16 + 4 * 16 * 16)
