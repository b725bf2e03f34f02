"""Writes conversations from caption and mentions by rule, without a model.

A conversation has two to four rounds: what kind of image it is, what it shows, what else it shows (if the caption has
more than one sentence), and what the article says where it mentions the figure (if mentions are given). The answers
are the article's own sentences without their references to the figure.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from llavamed_data.instruct.cleaning import Cleaned, CleaningRules, clean
from llavamed_data.instruct.conversation import OFFLINE, Conversation, Pair, Round
from llavamed_data.instruct.prompts import pick
from llavamed_data.jats.sentences import split_sentences
from llavamed_data.reasons import Drop, Reason

_NUMBER = r"\d+(?:\s*[A-Za-z]\b)?"
_REFERENCE = rf"(?:[Ff]ig(?:ure)?s?|FIG(?:URE)?S?)\b\.?\s*{_NUMBER}(?:\s*(?:,|and|to|[-–&])\s*{_NUMBER})*"
_AT_START = re.compile(
    rf"^(?:As\s+(?:shown|seen|depicted|illustrated)\s+in\s+)?{_REFERENCE}\s*[:,.]?\s+", re.ASCII
)
_IN_BRACKETS = re.compile(
    rf"\s*[(\[]\s*(?:see\s+|cf\.?\s+)?(?:also\s+)?{_REFERENCE}[^()\[\]]*[)\]]", re.ASCII
)
_AFTER_PREPOSITION = re.compile(rf"\b(?:in|on|by)\s+{_REFERENCE}", re.ASCII)
_VERB = re.compile(r"^(?:shows?|demonstrates?|depicts?|illustrates?|presents?|reveals?|displays?)\b")
_POINTS_TO_TEXT = re.compile(
    r"\b(?:fig(?:ure)?s?|captions?|context|legend|table|article|paper)\b", re.IGNORECASE
)


class OfflineGenerator:
    """Writes conversations by rule; the same pair and seed give the same conversation.

    Args:
        seed: chooses between the phrasings of a question.
        rules: cleaning rules for what was written; None leaves it as it is.
    """

    name = OFFLINE
    model = None

    def __init__(self, seed: int, rules: CleaningRules | None = None) -> None:
        self.seed = seed
        self.rules = rules
        self.versions: Mapping[str, str] = {"rules_version": rules.version} if rules else {}

    def generate(self, pairs: Iterable[Pair]) -> Iterator[Conversation | tuple[str, Drop]]:
        """Yields, in order, a conversation for each pair, or its id and why there is none."""
        for pair in pairs:
            rounds = tuple(self._rounds(pair))
            if len(rounds) < 2:
                yield pair.pair_id, Drop(Reason.NO_CONVERSATION, "fewer than two rounds could be written")
                continue
            cleaned = clean(rounds, self.rules) if self.rules else Cleaned(rounds)
            if cleaned.rounds:
                yield Conversation(pair.pair_id, cleaned.rounds, rule_counts=cleaned.rule_counts)
            else:
                yield pair.pair_id, Drop(Reason.NO_CONVERSATION, "no round is left after cleaning")

    def _rounds(self, pair: Pair) -> Iterator[Round]:
        caption = [*filter(None, map(without_references, split_sentences(pair.caption)))]
        mentions = [*filter(None, map(without_references, pair.inline_mentions))]
        if pair.domain:
            yield self._question("modality", pair), _phrases()["modality"]["answers"][pair.domain]
        if caption:
            yield self._question("finding", pair), caption[0]
        if caption[1:]:
            yield self._question("detail", pair), " ".join(caption[1:])
        if mentions:
            yield self._question("background", pair), " ".join(mentions)

    def _question(self, kind: str, pair: Pair) -> str:
        return pick(_phrases()[kind]["questions"], f"{kind}:{pair.pair_id}", self.seed)


def without_references(sentence: str) -> str:
    """A sentence without its references to figures; "" if it makes no sense without them, or points to the text.

    >>> without_references("Figure 3A shows a cavity (see Fig. 2).")
    'The image shows a cavity.'
    """
    text = _IN_BRACKETS.sub("", sentence.strip())
    opened = _AT_START.sub("", text)
    if opened != text:
        text = f"The image {opened}" if _VERB.match(opened) else opened
    text = _AFTER_PREPOSITION.sub("in the image", text)
    text = re.sub(r"\s+([.,;:])", r"\1", " ".join(text.split())).strip(" ,;:")
    if not re.search(r"\w", text) or _POINTS_TO_TEXT.search(text):
        return ""
    text = text[0].upper() + text[1:] if text[:2].islower() else text
    return text if text[-1] in ".!?" else f"{text}."


@cache
def _phrases() -> Any:
    return yaml.safe_load(files(__package__).joinpath("offline_generator.yaml").read_text(encoding="utf-8"))
