"""Tiny random models of the families that are trained, each with its stock processor and files, for the tests.

A model has two or three layers of width 32 or 64, and its tokenizer some 500 tokens. An image takes 4 to 100 tokens.
"""

from collections.abc import Callable, Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
import transformers as hf
import trl
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from llavamed_trainer.assembly import assemble_tiny
from llavamed_trainer.models import save_checkpoint

Build = Callable[[list[str]], tuple[hf.PreTrainedConfig, hf.ProcessorMixin]]

_CHATML = (
    "{%- for message in messages -%}{{ '<|im_start|>' + message['role'] + '\\n' }}"
    "{%- for part in message['content'] -%}"
    "{{- IMAGE if part['type'] == 'image' else part['text'] }}"
    "{%- endfor -%}{{ '<|im_end|>\\n' }}{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{ '<|im_start|>assistant\\n' }}{%- endif -%}"
)
"""A template without marks, unknown to TRL: answers in it are found by rendering turn by turn."""

_ZERO_AT_FIRST = ("image_newline", "mm_input_projection_weight")
"""Parameters that transformers leaves at zero, so that they or the images would have no effect."""

_LANGUAGE = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 4096,
    "tie_word_embeddings": False,
}
_VISION = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2}
_TILES = [[32, 64], [64, 32], [64, 64]]
_SQUARE = {"height": 32, "width": 32}


def write_tiny_model(kind: str, folder: Path, texts: Iterable[str], *, seed: int = 0) -> Path:
    """Writes a tiny random model that stock `from_pretrained` reads; its tokenizer is trained on the texts."""
    if kind == "llava":
        return assemble_tiny(folder, texts, seed=seed)
    config, processor = TINY[kind](list(texts))
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = hf.AutoModelForImageTextToText.from_config(config)
        for name, parameter in model.named_parameters():
            if name.endswith(_ZERO_AT_FIRST):
                torch.nn.init.normal_(parameter, std=0.02)
    tokenizer = processor.tokenizer
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    save_checkpoint(model, processor, folder)
    return folder


def missing_package(kind: str) -> str | None:
    """The package that the processor of a model needs and that is not here."""
    needed = {"smolvlm": ("torchvision", "num2words")} | dict.fromkeys(_NEED_TORCHVISION, ("torchvision",))
    return next((name for name in needed.get(kind, ()) if find_spec(name) is None), None)


def _tokenizer(
    texts: list[str], special: Iterable[str], *, end: str, pad: str, begin: str | None = None, **named: str
) -> hf.PreTrainedTokenizerFast:
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=500,
        special_tokens=list(special),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator(texts, trainer)
    return hf.PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        eos_token=end,
        pad_token=pad,
        unk_token=pad,
        bos_token=begin,
        extra_special_tokens=named,
    )


def _template(name: str) -> str:
    """A template of the Hub as TRL ships it."""
    return (Path(trl.__file__).parent / "chat_templates" / f"{name}.jinja").read_text(encoding="utf-8")


def _qwen(
    texts: list[str], template: str, patch: int
) -> tuple[hf.PreTrainedTokenizerFast, dict[str, Any], dict[str, Any]]:
    """The tokenizer, the configuration of the language model with the ids of tokens, and the image processor's."""
    special = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>")
    tokenizer = _tokenizer(
        texts, (*special, "<|image_pad|>", "<|video_pad|>"), end="<|im_end|>", pad="<|endoftext|>"
    )
    tokenizer.chat_template = _template(template)
    identity = tokenizer.convert_tokens_to_ids
    text = {
        **_LANGUAGE,
        "num_hidden_layers": 3,  # features of two further layers of Qwen3's tower enter after the first and the second
        "head_dim": 16,
        "vocab_size": len(tokenizer),
        "rope_parameters": {"rope_type": "default", "mrope_section": [2, 3, 3], "rope_theta": 10000.0},
    }
    settings = {
        "text_config": text,
        "image_token_id": identity("<|image_pad|>"),
        "video_token_id": identity("<|video_pad|>"),
        "vision_start_token_id": identity("<|vision_start|>"),
        "vision_end_token_id": identity("<|vision_end|>"),
    }
    images = {"patch_size": patch, "min_pixels": 16 * patch**2, "max_pixels": 64 * patch**2}
    return tokenizer, settings, images


def _qwen2_vl(texts: list[str]) -> tuple[hf.PreTrainedConfig, hf.ProcessorMixin]:
    tokenizer, settings, images = _qwen(texts, "qwen2_5_vl", 14)
    vision = {"depth": 2, "embed_dim": 32, "num_heads": 2, "hidden_size": 64, "mlp_ratio": 2}
    return hf.Qwen2VLConfig(**settings, vision_config=vision), hf.Qwen2VLProcessor(
        hf.Qwen2VLImageProcessor(**images),
        tokenizer,
        hf.Qwen2VLVideoProcessor(),
        chat_template=tokenizer.chat_template,
    )


def _qwen2_5_vl(texts: list[str]) -> tuple[hf.PreTrainedConfig, hf.ProcessorMixin]:
    tokenizer, settings, images = _qwen(texts, "qwen2_5_vl", 14)
    vision = {
        "depth": 2,
        "hidden_size": 32,
        "num_heads": 2,
        "intermediate_size": 48,
        "out_hidden_size": 64,
        "fullatt_block_indexes": [1],
        "window_size": 56,
    }
    return hf.Qwen2_5_VLConfig(**settings, vision_config=vision), hf.Qwen2_5_VLProcessor(
        hf.Qwen2VLImageProcessor(**images),
        tokenizer,
        hf.Qwen2VLVideoProcessor(),
        chat_template=tokenizer.chat_template,
    )


def _qwen3_vl(texts: list[str]) -> tuple[hf.PreTrainedConfig, hf.ProcessorMixin]:
    tokenizer, settings, images = _qwen(texts, "qwen3_vl", 16)
    vision = {
        "depth": 3,
        "hidden_size": 32,
        "num_heads": 2,
        "intermediate_size": 48,
        "out_hidden_size": 64,
        "patch_size": 16,
        "deepstack_visual_indexes": [0, 1],
        "num_position_embeddings": 64,
    }
    return hf.Qwen3VLConfig(**settings, vision_config=vision), hf.Qwen3VLProcessor(
        hf.Qwen2VLImageProcessor(**images),
        tokenizer,
        hf.Qwen3VLVideoProcessor(),
        chat_template=tokenizer.chat_template,
    )


def _idefics3(texts: list[str]) -> tuple[hf.PreTrainedConfig, hf.ProcessorMixin]:
    settings, parts = _tiles_of_idefics(texts, begin="<|begin_of_text|>", template="idefics3")
    images = hf.Idefics3ImageProcessor(size={"longest_edge": 64}, max_image_size={"longest_edge": 32})
    return hf.Idefics3Config(**settings), hf.Idefics3Processor(images, **parts)


def _smolvlm(texts: list[str]) -> tuple[hf.PreTrainedConfig, hf.ProcessorMixin]:
    settings, parts = _tiles_of_idefics(texts, begin="<|im_start|>", template="smolvlm")
    sizes: dict[str, Any] = {"size": {"longest_edge": 64}, "max_image_size": {"longest_edge": 32}}
    frames = {"fps": 1, "max_frames": 4, "video_size": {"longest_edge": 32}}
    return hf.SmolVLMConfig(**settings), hf.SmolVLMProcessor(
        hf.SmolVLMImageProcessor(**sizes),
        video_processor=hf.SmolVLMVideoProcessor(**sizes, video_sampling=frames),
        **parts,
    )


def _tiles_of_idefics(
    texts: list[str], *, begin: str, template: str
) -> tuple[dict[str, Any], dict[str, Any]]:
    named = {
        "fake_image_token": "<fake_token_around_image>",
        "image_token": "<image>",
        "global_image_token": "<global-img>",
        "end_of_utterance_token": "<end_of_utterance>",
    }
    places = [f"<row_{row}_col_{column}>" for row in range(1, 7) for column in range(1, 7)]
    tokenizer = _tokenizer(
        texts,
        ("<|endoftext|>", "<|im_start|>", "<|begin_of_text|>", *named.values(), *places),
        begin=begin,
        end="<end_of_utterance>",
        pad="<|endoftext|>",
        **named,
    )
    text = {
        **_LANGUAGE,
        "model_type": "llama",
        "architectures": ["VLlama3ForCausalLM"],  # as on the Hub, for llama.cpp
        "vocab_size": len(tokenizer),
        "pad_token_id": 0,
    }
    settings = {
        "text_config": text,
        "vision_config": {**_VISION, "image_size": 32, "patch_size": 8},
        "image_token_id": tokenizer.convert_tokens_to_ids("<image>"),
        "scale_factor": 2,
        "pad_token_id": 0,
        "tie_word_embeddings": False,
    }
    parts = {"tokenizer": tokenizer, "image_seq_len": 4, "chat_template": _template(template)}
    return settings, parts


def _gemma3(texts: list[str]) -> tuple[hf.PreTrainedConfig, hf.ProcessorMixin]:
    named = {
        "image_token": "<image_soft_token>",
        "boi_token": "<start_of_image>",
        "eoi_token": "<end_of_image>",
    }
    special = ("<pad>", "<eos>", "<bos>", "<start_of_turn>", "<end_of_turn>", *named.values())
    tokenizer = _tokenizer(texts, special, begin="<bos>", end="<eos>", pad="<pad>", **named)
    identity = tokenizer.convert_tokens_to_ids
    text = {
        **_LANGUAGE,
        "head_dim": 16,
        "vocab_size": len(tokenizer),
        "sliding_window": 32,
        "layer_types": ["sliding_attention", "full_attention"],
        "query_pre_attn_scalar": 16,
        "tie_word_embeddings": True,  # as all Gemma 3 models do
    }
    config = hf.Gemma3Config(
        text_config=text,
        vision_config={**_VISION, "image_size": 32, "patch_size": 8},
        mm_tokens_per_image=4,
        boi_token_index=identity("<start_of_image>"),
        eoi_token_index=identity("<end_of_image>"),
        image_token_index=identity("<image_soft_token>"),
    )
    return config, hf.Gemma3Processor(
        hf.Gemma3ImageProcessor(size=_SQUARE),
        tokenizer,
        image_seq_length=4,
        chat_template=_template("gemma3"),
    )


def _llava_next(texts: list[str]) -> tuple[hf.PreTrainedConfig, hf.ProcessorMixin]:
    tokenizer = _tokenizer(texts, ("<s>", "</s>", "<pad>", "<image>"), begin="<s>", end="</s>", pad="<pad>")
    config = hf.LlavaNextConfig(
        text_config={**_LANGUAGE, "model_type": "mistral", "vocab_size": len(tokenizer)},
        vision_config={
            **_VISION,
            "model_type": "clip_vision_model",
            "image_size": 32,
            "patch_size": 8,
            "projection_dim": 32,
        },
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        image_grid_pinpoints=_TILES,
        tie_word_embeddings=False,
    )
    images = hf.LlavaNextImageProcessor(
        size={"shortest_edge": 32}, crop_size=_SQUARE, image_grid_pinpoints=_TILES
    )
    return config, hf.LlavaNextProcessor(
        images,
        tokenizer,
        patch_size=8,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=_template("llava_next"),
    )


def _llava_onevision(texts: list[str]) -> tuple[hf.PreTrainedConfig, hf.ProcessorMixin]:
    special = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<image>", "<video>")
    tokenizer = _tokenizer(texts, special, end="<|im_end|>", pad="<|endoftext|>")
    config = hf.LlavaOnevisionConfig(
        text_config={**_LANGUAGE, "model_type": "qwen2", "vocab_size": len(tokenizer)},
        vision_config={
            **_VISION,
            "model_type": "siglip_vision_model",
            "image_size": 32,
            "patch_size": 8,
            "vision_use_head": False,
        },
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        video_token_index=tokenizer.convert_tokens_to_ids("<video>"),
        vision_feature_layer=-1,
        image_grid_pinpoints=_TILES,
        tie_word_embeddings=False,
    )
    return config, hf.LlavaOnevisionProcessor(
        hf.LlavaOnevisionImageProcessor(size=_SQUARE, image_grid_pinpoints=_TILES),
        tokenizer,
        hf.LlavaOnevisionVideoProcessor(size=_SQUARE),
        num_image_tokens=16,
        vision_feature_select_strategy="full",
        chat_template=_CHATML.replace("IMAGE", "'<image>\\n'"),
    )


def _internvl(texts: list[str]) -> tuple[hf.PreTrainedConfig, hf.ProcessorMixin]:
    named = {
        "start_image_token": "<img>",
        "end_image_token": "</img>",
        "context_image_token": "<IMG_CONTEXT>",
        "video_token": "<video>",
    }
    special = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", *named.values())
    tokenizer = _tokenizer(texts, special, end="<|im_end|>", pad="<|endoftext|>", **named)
    config = hf.InternVLConfig(
        text_config={**_LANGUAGE, "model_type": "qwen2", "vocab_size": len(tokenizer)},
        vision_config={**_VISION, "image_size": [32, 32], "patch_size": [8, 8]},
        image_token_id=tokenizer.convert_tokens_to_ids("<IMG_CONTEXT>"),
        image_seq_length=4,
        downsample_ratio=0.5,
        tie_word_embeddings=False,
    )
    return config, hf.InternVLProcessor(
        hf.GotOcr2ImageProcessor(size=_SQUARE, crop_to_patches=True, max_patches=4),
        tokenizer,
        hf.InternVLVideoProcessor(size=_SQUARE),
        image_seq_length=4,
        chat_template=_CHATML.replace("IMAGE", "'<IMG_CONTEXT>\\n'"),
    )


def _glm4v(texts: list[str]) -> tuple[hf.PreTrainedConfig, hf.ProcessorMixin]:
    special = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|image|>", "<|video|>")
    around = [f"<|{side}_of_{what}|>" for what in ("image", "video") for side in ("begin", "end")]
    tokenizer = _tokenizer(texts, (*special, *around), end="<|im_end|>", pad="<|endoftext|>")
    identity = tokenizer.convert_tokens_to_ids
    config = hf.Glm4vConfig(
        text_config={
            **_LANGUAGE,
            "vocab_size": len(tokenizer),
            "pad_token_id": 0,
            "rope_parameters": {"rope_type": "default", "mrope_section": [2, 3, 3], "rope_theta": 10000.0},
        },
        vision_config={
            "depth": 2,
            "hidden_size": 32,
            "num_heads": 2,
            "intermediate_size": 48,
            "out_hidden_size": 64,
            "image_size": 56,
        },
        image_token_id=identity("<|image|>"),
        video_token_id=identity("<|video|>"),
        image_start_token_id=identity("<|begin_of_image|>"),
        image_end_token_id=identity("<|end_of_image|>"),
        video_start_token_id=identity("<|begin_of_video|>"),
        video_end_token_id=identity("<|end_of_video|>"),
    )
    return config, hf.Glm4vProcessor(
        hf.Glm4vImageProcessor(size={"shortest_edge": 4 * 28**2, "longest_edge": 16 * 28**2}),
        tokenizer,
        hf.Glm4vVideoProcessor(),
        chat_template=_CHATML.replace("IMAGE", "'<|begin_of_image|><|image|><|end_of_image|>'"),
    )


def _pixtral_parts(
    texts: list[str],
) -> tuple[hf.PreTrainedTokenizerFast, dict[str, Any], str]:
    """The tokenizer, the configurations of both models, and a template without marks that TRL does not know."""
    special = ("<s>", "</s>", "<pad>", "[INST]", "[/INST]", "[IMG]", "[IMG_BREAK]", "[IMG_END]")
    tokenizer = _tokenizer(texts, special, begin="<s>", end="</s>", pad="<pad>")
    vision = {
        **_VISION,
        "model_type": "pixtral",
        "image_size": 64,
        "patch_size": 8,
        "head_dim": 16,
        "num_attention_heads": 2,
    }
    template = (
        "{{- bos_token }}{%- for message in messages %}{%- if message['role'] == 'user' %}{{- '[INST]' }}"
        "{%- for part in message['content'] %}{{- '[IMG]' if part['type'] == 'image' else part['text'] }}{%- endfor %}"
        "{{- '[/INST]' }}{%- else %}{{- message['content'][0]['text'] + eos_token }}{%- endif %}{%- endfor %}"
    )
    return (
        tokenizer,
        {
            "text_config": {**_LANGUAGE, "model_type": "mistral", "vocab_size": len(tokenizer)},
            "vision_config": vision,
        },
        template,
    )


def _mistral3(texts: list[str]) -> tuple[hf.PreTrainedConfig, hf.ProcessorMixin]:
    tokenizer, settings, template = _pixtral_parts(texts)
    config = hf.Mistral3Config(
        **settings,
        image_token_index=tokenizer.convert_tokens_to_ids("[IMG]"),
        spatial_merge_size=2,
        vision_feature_layer=-1,
        tie_word_embeddings=False,
    )
    images = hf.PixtralImageProcessor(patch_size=8, size={"longest_edge": 64})
    return config, hf.PixtralProcessor(
        images, tokenizer, patch_size=8, spatial_merge_size=2, chat_template=template
    )


def _pixtral(texts: list[str]) -> tuple[hf.PreTrainedConfig, hf.ProcessorMixin]:
    tokenizer, settings, template = _pixtral_parts(texts)
    config = hf.LlavaConfig(
        **settings,
        image_token_index=tokenizer.convert_tokens_to_ids("[IMG]"),
        vision_feature_select_strategy="full",
        vision_feature_layer=-1,
        tie_word_embeddings=False,
    )
    images = hf.PixtralImageProcessor(patch_size=8, size={"longest_edge": 64})
    return config, hf.PixtralProcessor(images, tokenizer, patch_size=8, chat_template=template)


TINY: dict[str, Build] = {
    "qwen2-vl": _qwen2_vl,
    "qwen2.5-vl": _qwen2_5_vl,
    "qwen3-vl": _qwen3_vl,
    "smolvlm": _smolvlm,
    "idefics3": _idefics3,
    "gemma3": _gemma3,
    "llava-next": _llava_next,
    "llava-onevision": _llava_onevision,
    "internvl": _internvl,
    "mistral3": _mistral3,
    "pixtral": _pixtral,
    "unlisted": _glm4v,  # of no listed family: GLM-4.1V, which is told apart by the names of its parts
}
"""The models that are no LLaVA, by the names of the tests."""

KINDS = ("llava", *TINY)
"""All models that are tested, LLaVA among them."""

_NEED_TORCHVISION = (
    "qwen2-vl",
    "qwen2.5-vl",
    "qwen3-vl",
    "llava-onevision",
    "internvl",
    "mistral3",
    "pixtral",
    "unlisted",
)
"""Models whose processors need torchvision, most of them for their part for videos."""
