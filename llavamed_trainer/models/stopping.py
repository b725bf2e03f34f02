"""At which tokens a model stops: those that its generation configuration names as `eos_token_id`.

`generate` of transformers and vLLM stop there. What the tokenizer calls its end-of-text token stops neither of them
by itself in transformers, so the configuration must name every token that ends an answer.
"""

from collections.abc import Iterable
from typing import Any


def stop_ids(eos_token_id: int | list[int] | None) -> set[int]:
    """The tokens at which `generate` stops, by the `eos_token_id` of a generation configuration."""
    if eos_token_id is None:
        return set()
    return set(eos_token_id) if isinstance(eos_token_id, list) else {eos_token_id}


def add_stop_ids(model: Any, ids: Iterable[int]) -> list[int]:
    """Makes `generate` stop at further tokens; a model that is saved keeps them in generation_config.json.

    Args:
        model: its generation configuration is changed.
        ids: the tokens that end an answer.

    Returns:
        The tokens at which it did not stop before, in ascending order.
    """
    known = stop_ids(model.generation_config.eos_token_id)
    new = sorted(set(ids) - known)
    if new:
        found = sorted(known | set(new))
        model.generation_config.eos_token_id = found[0] if len(found) == 1 else found
    return new
