"""Small random vision towers and language models, saved as their authors save them."""

from pathlib import Path

import torch
from transformers import (
    CLIPConfig,
    CLIPImageProcessor,
    CLIPModel,
    CLIPTextConfig,
    CLIPVisionConfig,
    Dinov2Config,
    Dinov2Model,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    PreTrainedTokenizerFast,
    SiglipVisionConfig,
    SiglipVisionModel,
    ViTConfig,
    ViTModel,
)

SIDE, PATCH, WIDTH = 28, 14, 64
_SHAPE = {
    "hidden_size": WIDTH,
    "intermediate_size": 2 * WIDTH,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "image_size": SIDE,
    "patch_size": PATCH,
}


def save_vision(kind: str, folder: Path) -> Path:
    """A tower with the image processor of its kind: `clip` (whole, with its text tower), `siglip`, `vit`, `dinov2`."""
    torch.manual_seed(1)
    if kind == "clip":
        text = CLIPTextConfig(
            hidden_size=WIDTH, intermediate_size=64, num_hidden_layers=1, num_attention_heads=2, vocab_size=99
        )
        model = CLIPModel(
            CLIPConfig(text_config=text.to_dict(), vision_config=CLIPVisionConfig(**_SHAPE).to_dict())
        )
    elif kind == "siglip":
        model = SiglipVisionModel(SiglipVisionConfig(**_SHAPE))
    elif kind == "vit":
        model = ViTModel(ViTConfig(**_SHAPE), add_pooling_layer=False)
    else:
        shape = {key: value for key, value in _SHAPE.items() if key != "intermediate_size"}
        model = Dinov2Model(Dinov2Config(**shape, mlp_ratio=2))
    model.save_pretrained(folder)
    CLIPImageProcessor(
        size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE}
    ).save_pretrained(folder)
    return folder


def save_language(kind: str, folder: Path, tokenizer: PreTrainedTokenizerFast, *, tied: bool = False) -> Path:
    """A `llama` or `mistral` with 64 wide layers and the given tokenizer."""
    torch.manual_seed(2)
    config, model = (
        (LlamaConfig, LlamaForCausalLM) if kind == "llama" else (MistralConfig, MistralForCausalLM)
    )
    made = model(
        config(
            hidden_size=WIDTH,
            intermediate_size=2 * WIDTH,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=2,
            vocab_size=len(tokenizer),
            tie_word_embeddings=tied,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
        )
    )
    made.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def plain_tokenizer(words: list[str]) -> PreTrainedTokenizerFast:
    """A byte-level BPE without image token and without a token to pad with."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    bpe.train_from_iterator(
        words, trainers.BpeTrainer(vocab_size=300, special_tokens=["<s>", "</s>"], initial_alphabet=alphabet)
    )
    return PreTrainedTokenizerFast(tokenizer_object=bpe, bos_token="<s>", eos_token="</s>")
