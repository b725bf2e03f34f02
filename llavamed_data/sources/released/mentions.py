"""Mentions of the released files, whose sentences were tokenised with blanks, as readable sentences again."""

import re
from functools import cache
from importlib.resources import files

import yaml


def mend_tokens(tokens: str) -> str:
    """A sentence without the blanks that its tokeniser put in; the rules are the table `mending.yaml`.

    >>> mend_tokens("Inflammatory cells were not found in the vicinity ( Fig. 3 , 4 , 5 ) .")
    'Inflammatory cells were not found in the vicinity (Fig. 3, 4, 5).'
    """
    sentence = " ".join(tokens.split())
    for pattern, to in _rules():
        sentence = pattern.sub(to, sentence)
    return sentence


@cache
def _rules() -> tuple[tuple[re.Pattern[str], str], ...]:
    table = yaml.safe_load((files(__package__) / "mending.yaml").read_text("utf-8"))
    return tuple((re.compile(rule["pattern"]), rule["to"]) for rule in table["rules"])
