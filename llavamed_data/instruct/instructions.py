"""Instructions that ask for a description of an image (Tables 6 and 7), chosen by the caption's length."""

from collections.abc import Sequence
from functools import cache
from hashlib import blake2b
from importlib.resources import files

import yaml

BRIEF_BELOW_WORDS = 30
"""Captions with fewer words take a brief instruction (section 3)."""


@cache
def instructions(kind: str) -> tuple[str, ...]:
    """The `brief` (Table 6) or `detailed` (Table 7) instructions."""
    text = files("llavamed_data.instruct").joinpath("instructions.yaml").read_text(encoding="utf-8")
    return tuple(yaml.safe_load(text)[kind])


def caption_instruction(pair_id: str, caption: str, seed: int) -> str:
    """The instruction to which `caption` is the answer, the same for the same pair and seed."""
    kind = "brief" if len(caption.split()) < BRIEF_BELOW_WORDS else "detailed"
    return pick(instructions(kind), f"{kind}:{pair_id}", seed)


def pick(choices: Sequence[str], key: str, seed: int) -> str:
    """One of `choices`, by a keyed hash: uniform over keys, the same on every machine."""
    digest = blake2b(key.encode(), digest_size=8, key=f"pick:{seed}".encode()).digest()
    return choices[int.from_bytes(digest) % len(choices)]
