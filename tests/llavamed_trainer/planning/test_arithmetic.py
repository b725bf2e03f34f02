"""Operations are those that PyTorch counts, and parameters those that a model has."""

from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig, LlavaForConditionalGeneration

from llavamed_trainer.planning import BatchShape, ModelShape, TrainedParts, find_shape, memory, operations
from llavamed_trainer.planning.arithmetic import trained_parameters

ROWS, TOKENS, PATCHES = 3, 20, 4


def tiny(projector: str, folder: Any) -> tuple[LlavaForConditionalGeneration, ModelShape]:
    torch.manual_seed(0)
    config = LlavaConfig(
        vision_config=CLIPVisionConfig(
            hidden_size=48,
            num_hidden_layers=3,
            num_attention_heads=4,
            intermediate_size=96,
            patch_size=14,
            image_size=28,
            projection_dim=32,
        ),
        text_config=LlamaConfig(
            hidden_size=64,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            intermediate_size=160,
            vocab_size=300,
        ),
        projector_hidden_act=projector,
        image_token_index=299,
    )
    config.save_pretrained(folder)
    # attention in plain products, which the counter sees on the CPU
    return LlavaForConditionalGeneration._from_config(config, attn_implementation="eager"), find_shape(
        str(folder)
    )


def freeze(model: LlavaForConditionalGeneration, *, linear: bool, language: bool) -> None:
    model.requires_grad_(False)
    model.model.multi_modal_projector.linear_1.requires_grad_(True)
    model.model.multi_modal_projector.linear_2.requires_grad_(not linear)
    if language:
        model.model.language_model.requires_grad_(True)
        model.lm_head.requires_grad_(True)


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("language", [False, True])
@pytest.mark.parametrize("projector", ["linear", "gelu"])
def test_operations_are_those_that_pytorch_counts(
    projector: str, language: bool, checkpointing: bool, tmp_path: Any
) -> None:
    model, shape = tiny(projector, tmp_path)
    freeze(model, linear=projector == "linear", language=language)
    model.train()
    if checkpointing:
        model.model.language_model.gradient_checkpointing_enable({"use_reentrant": False})
    ids = torch.full((ROWS, TOKENS), 7)
    ids[:, 1 : 1 + PATCHES] = 299
    with FlopCounterMode(display=False) as forward:
        logits = model(
            input_ids=ids,
            pixel_values=torch.zeros(ROWS, 3, 28, 28),
            attention_mask=torch.ones_like(ids),
            use_cache=False,
        ).logits
    with FlopCounterMode(display=False) as backward:
        logits.sum().backward()
    counted = operations(shape, BatchShape(ROWS, TOKENS, TOKENS), TrainedParts(language, checkpointing))
    assert counted.forward == forward.get_total_flops()
    assert counted.backward + counted.again == backward.get_total_flops()


@pytest.mark.parametrize("projector", ["linear", "gelu"])
def test_parameters_are_as_many_as_the_model_has(projector: str, tmp_path: Any) -> None:
    model, shape = tiny(projector, tmp_path)
    assert shape.parameters == sum(weights.numel() for weights in model.parameters())
    for language in (False, True):
        freeze(model, linear=projector == "linear", language=language)
        trained = sum(weights.numel() for weights in model.parameters() if weights.requires_grad)
        assert trained_parameters(shape, TrainedParts(language, checkpointing=True)) == trained


def test_adapters_are_as_many_as_peft_adds(tmp_path: Any) -> None:
    from peft import LoraConfig, get_peft_model

    model, shape = tiny("gelu", tmp_path)
    adapted = get_peft_model(
        model.model.language_model,
        LoraConfig(r=8, target_modules=r".*(q|k|v|o|gate|up|down)_proj"),
    )
    trained = sum(weights.numel() for weights in adapted.parameters() if weights.requires_grad)
    added = TrainedParts(language=True, checkpointing=True, lora=8)
    assert trained == trained_parameters(shape, added) - shape.projector.trained


def test_frozen_weights_are_as_large_as_their_type(tmp_path: Any) -> None:
    _, shape = tiny("gelu", tmp_path)
    batch = BatchShape(ROWS, TOKENS, TOKENS)

    def weights(bits: int) -> int:
        return memory(shape, batch, TrainedParts(True, True, lora=8, bits=bits), gpus=1).weights

    trained = trained_parameters(shape, TrainedParts(True, True, lora=8))
    frozen = shape.parameters - shape.projector.parameters
    assert weights(32) == 4 * trained + 4 * frozen
    assert weights(16) == 4 * trained + 2 * frozen
    matrices = shape.language.matrices
    assert weights(4) == 4 * trained + matrices // 2 + 2 * (frozen - matrices)
