"""The models of `shapes.yaml` as their published config.json has them, from which their shapes are counted again.

`python -m tests.llavamed_trainer.planning.known` prints the numbers for `shapes.yaml`.
"""

from collections.abc import Callable
from typing import Any

import transformers as hf
import yaml

from llavamed_trainer.planning.counting import count_shape
from tests.llavamed_trainer.tiny_models import TINY

_TEXTS = ["What is it? A cyst in the left lobe of the liver."]

_LLAMA_7B = {
    "hidden_size": 4096,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "intermediate_size": 11008,
}
_LLAMA_13B = {
    "hidden_size": 5120,
    "num_hidden_layers": 40,
    "num_attention_heads": 40,
    "intermediate_size": 13824,
}


def llava(
    text: dict[str, Any],
    vocabulary: int,
    *,
    pixels: int,
    projector: str = "gelu",
    tower: str = "clip",
    **vision: Any,
) -> hf.PreTrainedConfig:
    """A LLaVA with CLIP ViT-L/14 as its vision tower, or another."""
    kind = {"clip": "clip_vision_model"}.get(tower, tower)
    sizes = {
        "hidden_size": 1024,
        "num_hidden_layers": 24,
        "num_attention_heads": 16,
        "intermediate_size": 4096,
    }
    named = {"model_type": "llama", **text, "vocab_size": vocabulary}
    return hf.LlavaConfig(
        text_config=named,
        vision_config={"model_type": kind, **sizes, "patch_size": 14, "image_size": pixels, **vision},
        projector_hidden_act=projector,
        tie_word_embeddings=named.get("tie_word_embeddings", False),
    )


def qwen2_5_vl(tied: bool, out: int, **text: Any) -> hf.PreTrainedConfig:
    positions = {"rope_type": "default", "mrope_section": [16, 24, 24], "rope_theta": 1000000.0}
    return hf.Qwen2_5_VLConfig(
        text_config={**text, "tie_word_embeddings": tied, "rope_parameters": positions},
        vision_config={
            "depth": 32,
            "hidden_size": 1280,
            "intermediate_size": 3420,
            "num_heads": 16,
            "out_hidden_size": out,
            "patch_size": 14,
            "window_size": 112,
            "fullatt_block_indexes": [7, 15, 23, 31],
        },
        tie_word_embeddings=tied,
    )


def qwen3_vl(tied: bool, text: dict[str, Any], vision: dict[str, Any]) -> hf.PreTrainedConfig:
    common = {"num_hidden_layers": 36, "num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 128}
    return hf.Qwen3VLConfig(
        text_config={**common, **text, "vocab_size": 151936, "tie_word_embeddings": tied},
        vision_config={"num_heads": 16, "patch_size": 16, "num_position_embeddings": 2304, **vision},
        tie_word_embeddings=tied,
    )


def medgemma_4b() -> hf.PreTrainedConfig:
    return hf.Gemma3Config(
        text_config={
            "hidden_size": 2560,
            "intermediate_size": 10240,
            "num_hidden_layers": 34,
            "num_attention_heads": 8,
            "num_key_value_heads": 4,
            "head_dim": 256,
            "vocab_size": 262208,
            "sliding_window": 1024,
        },
        vision_config={
            "hidden_size": 1152,
            "intermediate_size": 4304,
            "num_hidden_layers": 27,
            "num_attention_heads": 16,
            "image_size": 896,
            "patch_size": 14,
            "vision_use_head": False,
        },
        mm_tokens_per_image=256,
    )


def smolvlm(kind: type[hf.PreTrainedConfig], scale: int, text: dict[str, Any], vision: dict[str, Any]) -> Any:
    return kind(
        text_config={"model_type": "llama", **text, "vocab_size": 49280, "tie_word_embeddings": False},
        vision_config=vision,
        scale_factor=scale,
        tie_word_embeddings=False,
    )


_SIGLIP_SO400M = {
    "hidden_size": 1152,
    "intermediate_size": 4304,
    "num_hidden_layers": 27,
    "num_attention_heads": 16,
}

CONFIGS: dict[str, Callable[[], hf.PreTrainedConfig]] = {
    "llava-v1-7b": lambda: llava(_LLAMA_7B, 32000, pixels=224, projector="linear"),
    "llava-v1-13b": lambda: llava(_LLAMA_13B, 32000, pixels=224, projector="linear"),
    "llava-1.5-7b-hf": lambda: llava(_LLAMA_7B, 32064, pixels=336),
    "llava-1.5-13b-hf": lambda: llava(_LLAMA_13B, 32064, pixels=336),
    "llava-med-v1.5-mistral-7b": lambda: llava(
        {**_LLAMA_7B, "model_type": "mistral", "num_key_value_heads": 8, "intermediate_size": 14336},
        32000,
        pixels=336,
    ),
    "biomedclip-vicuna-7b": lambda: llava(
        _LLAMA_7B,
        32000,
        pixels=224,
        projector="linear",
        tower="vit",
        hidden_size=768,
        num_hidden_layers=12,
        num_attention_heads=12,
        intermediate_size=3072,
        patch_size=16,
    ),
    "small-157m": lambda: llava(
        {
            "hidden_size": 576,
            "num_hidden_layers": 30,
            "num_attention_heads": 9,
            "num_key_value_heads": 3,
            "intermediate_size": 1536,
            "tie_word_embeddings": True,
        },
        49153,
        pixels=224,
        tower="dinov2",
        hidden_size=384,
        num_hidden_layers=12,
        num_attention_heads=6,
        intermediate_size=1536,
    ),
    "qwen2.5-vl-3b": lambda: qwen2_5_vl(
        True,
        2048,
        hidden_size=2048,
        intermediate_size=11008,
        num_hidden_layers=36,
        num_attention_heads=16,
        num_key_value_heads=2,
        vocab_size=151936,
    ),
    "qwen2.5-vl-7b": lambda: qwen2_5_vl(
        False,
        3584,
        hidden_size=3584,
        intermediate_size=18944,
        num_hidden_layers=28,
        num_attention_heads=28,
        num_key_value_heads=4,
        vocab_size=152064,
    ),
    "qwen3-vl-4b": lambda: qwen3_vl(
        True,
        {"hidden_size": 2560, "intermediate_size": 9728},
        {
            "depth": 24,
            "hidden_size": 1024,
            "intermediate_size": 4096,
            "out_hidden_size": 2560,
            "deepstack_visual_indexes": [5, 11, 17],
        },
    ),
    "qwen3-vl-8b": lambda: qwen3_vl(
        False,
        {"hidden_size": 4096, "intermediate_size": 12288},
        {
            "depth": 27,
            "hidden_size": 1152,
            "intermediate_size": 4304,
            "out_hidden_size": 4096,
            "deepstack_visual_indexes": [8, 16, 24],
        },
    ),
    "medgemma-4b": medgemma_4b,
    "smolvlm-500m": lambda: smolvlm(
        hf.Idefics3Config,
        4,
        {
            "hidden_size": 960,
            "intermediate_size": 2560,
            "num_hidden_layers": 32,
            "num_attention_heads": 15,
            "num_key_value_heads": 5,
            "head_dim": 64,
        },
        {
            "hidden_size": 768,
            "intermediate_size": 3072,
            "num_hidden_layers": 12,
            "num_attention_heads": 12,
            "image_size": 512,
            "patch_size": 16,
        },
    ),
    "smolvlm-2.2b": lambda: smolvlm(
        hf.SmolVLMConfig,
        3,
        {
            "hidden_size": 2048,
            "intermediate_size": 8192,
            "num_hidden_layers": 24,
            "num_attention_heads": 32,
            "num_key_value_heads": 32,
        },
        {**_SIGLIP_SO400M, "image_size": 384, "patch_size": 14},
    ),
}
"""The configurations by the names of `shapes.yaml`."""


def known_processor(name: str) -> hf.ProcessorMixin | None:
    """The processor with the published settings for images, and a tiny tokenizer; None for LLaVA, which needs none."""
    if name.startswith("qwen2.5"):
        _, processor = TINY["qwen2.5-vl"](_TEXTS)
        processor.image_processor = hf.Qwen2VLImageProcessor(min_pixels=3136, max_pixels=12845056)
    elif name.startswith("qwen3"):
        _, processor = TINY["qwen3-vl"](_TEXTS)
        processor.image_processor = hf.Qwen2VLImageProcessor(
            patch_size=16, min_pixels=65536, max_pixels=16777216
        )
    elif name.startswith("medgemma"):
        _, tiny = TINY["gemma3"](_TEXTS)
        images = hf.Gemma3ImageProcessor(size={"height": 896, "width": 896})
        processor = hf.Gemma3Processor(
            images, tiny.tokenizer, image_seq_length=256, chat_template=tiny.chat_template
        )
    elif name.startswith("smolvlm"):
        _, processor = TINY["idefics3"](_TEXTS)
        tile, tokens = (512, 64) if name.endswith("500m") else (384, 81)
        processor.image_processor = hf.Idefics3ImageProcessor(
            size={"longest_edge": 4 * tile}, max_image_size={"longest_edge": tile}
        )
        processor.image_seq_len = tokens
    else:
        return None
    return processor


if __name__ == "__main__":
    for known, make in CONFIGS.items():
        numbers = count_shape(make(), known, known_processor(known)).numbers()
        print(f"{known}:")
        for part, values in numbers.items():
            values.pop("source", None)
            print(
                f"  {part}: {yaml.safe_dump(values, default_flow_style=True, sort_keys=False, width=1000).strip()}"
            )
