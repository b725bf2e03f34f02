"""Language models and their tokenizers, made ready for images."""

from dataclasses import dataclass
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM, AutoTokenizer

from llavamed_data.errors import UsageError
from llavamed_trainer.assembly.weights import refuse_gaps

IMAGE_TOKEN = "<image>"  # noqa: S105  (a token of text)
_PAD_TOKEN = "<pad>"  # noqa: S105
_MULTIPLE = 64
"""Rows of the embedding are a multiple of this, for the sake of matrix products."""


@dataclass(frozen=True, slots=True)
class LanguageModel:
    """A causal language model and its tokenizer, which knows the image token and a token to pad with."""

    model: Any
    tokenizer: Any


def load_language(name: str, dtype: torch.dtype) -> LanguageModel:
    """A language model by its folder or Hub name.

    Raises:
        UsageError: there is none, it lacks weights, or its tokenizer has no fast form.
    """
    try:
        tokenizer = AutoTokenizer.from_pretrained(name)
        made: Any = AutoModelForCausalLM.from_pretrained(name, dtype=dtype, output_loading_info=True)
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        line = " ".join(str(error).split())[:200]
        raise UsageError(f"there is no language model {name!r}, as a folder or on the Hub: {line}") from error
    model, loaded = made
    refuse_gaps(loaded, name)
    return with_image_token(model, tokenizer, name)


def with_image_token(model: Any, tokenizer: Any, name: str) -> LanguageModel:
    """Adds the image token, and a token to pad with where there is none; the embedding grows where it must.

    Raises:
        UsageError: the tokenizer gives no offsets, so that nobody could tell answers from questions.
    """
    if not tokenizer.is_fast:
        raise UsageError(
            f"the tokenizer of {name} gives no offsets: convert it to its fast form (tokenizer.json)"
        )
    tokenizer.add_special_tokens({"additional_special_tokens": [IMAGE_TOKEN]})
    if tokenizer.pad_token is None:
        tokenizer.add_special_tokens({"pad_token": _PAD_TOKEN})
    if len(tokenizer) > model.get_input_embeddings().num_embeddings:
        model.resize_token_embeddings(len(tokenizer), pad_to_multiple_of=_MULTIPLE)
    model.config.pad_token_id = tokenizer.pad_token_id
    return LanguageModel(model, tokenizer)
