"""Answers that decline to answer."""

import re
from importlib.resources import files

import yaml

_PHRASES: list[str] = yaml.safe_load(
    files(__package__).joinpath("refusals.yaml").read_text(encoding="utf-8")
)["phrases"]
_ANY = re.compile(rf"\b(?:{'|'.join(map(re.escape, _PHRASES))})\b")


def is_refusal(answer: str) -> bool:
    """Whether an answer holds one of the phrases of `refusals.yaml`.

    An empty answer is not one: it scores nothing, but it does not say that it declines.
    """
    return _ANY.search(" ".join(answer.lower().replace("’", "'").split())) is not None
