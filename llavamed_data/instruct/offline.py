"""The embedded back end: question–answer rounds from caption and mentions by rule, without a model.

Two to four rounds: what kind of image it is, what it shows, what else it shows (where the caption has more than one
sentence), and what the article says where it mentions the figure (where mentions are given). The answers are the
article's own sentences with their pointers to the figure cut.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from llavamed_data.instruct.conversation import Conversation, Pair
from llavamed_data.instruct.instructions import pick
from llavamed_data.jats.sentences import split_sentences
from llavamed_data.reasons import Drop, Reason

_NUMBER = r"\d+(?:\s*[A-Za-z]\b)?"
_POINTER = rf"(?:[Ff]ig(?:ure)?s?|FIG(?:URE)?S?)\b\.?\s*{_NUMBER}(?:\s*(?:,|and|to|[-–&])\s*{_NUMBER})*"
_OPENING = re.compile(
    rf"^(?:As\s+(?:shown|seen|depicted|illustrated)\s+in\s+)?{_POINTER}\s*[:,.]?\s+", re.ASCII
)
_ASIDE = re.compile(rf"\s*[(\[]\s*(?:see\s+|cf\.?\s+)?(?:also\s+)?{_POINTER}[^()\[\]]*[)\]]", re.ASCII)
_WITHIN = re.compile(rf"\b(?:in|on|by)\s+{_POINTER}", re.ASCII)
_VERB = re.compile(r"^(?:shows?|demonstrates?|depicts?|illustrates?|presents?|reveals?|displays?)\b")
_GIVE_AWAY = re.compile(r"\b(?:fig(?:ure)?s?|captions?|context|legend|table|article|paper)\b", re.IGNORECASE)


class Offline:
    """Writes conversations by rule; the same pair and seed give the same conversation.

    Args:
        seed: chooses between the phrasings of a question.
    """

    name = "offline"
    model = None
    prompt_sha256 = None
    few_shots_sha256 = None
    rules_version = None

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def generate(self, pairs: Iterable[Pair]) -> Iterator[Conversation | tuple[str, Drop]]:
        """A conversation for each pair, in order; a drop with the pair's id where nothing can be said."""
        for pair in pairs:
            rounds = list(self._rounds(pair))
            if len(rounds) >= 2:
                yield Conversation(pair.pair_id, tuple(rounds), model=None, rules={})
            else:
                yield pair.pair_id, Drop(Reason.NO_CONVERSATION, "fewer than two rounds could be written")

    def _rounds(self, pair: Pair) -> Iterator[tuple[str, str]]:
        if pair.domain:
            yield self._question("modality", pair), _phrases()["modality"]["answers"][pair.domain]
        first, *more = [*filter(None, map(mend, split_sentences(pair.caption)))] or [""]
        if first:
            yield self._question("finding", pair), first
        if more:
            yield self._question("detail", pair), " ".join(more)
        said = [*filter(None, map(mend, pair.inline_mentions))]
        if said:
            yield self._question("background", pair), " ".join(said)

    def _question(self, kind: str, pair: Pair) -> str:
        return pick(_phrases()[kind]["questions"], f"{kind}:{pair.pair_id}", self.seed)


def mend(sentence: str) -> str:
    """A sentence without its pointers to the figure, or "" where it cannot stand without them."""
    text = _ASIDE.sub("", sentence.strip())
    opened = _OPENING.sub("", text)
    if opened != text:
        text = f"The image {opened}" if _VERB.match(opened) else opened
    text = _WITHIN.sub("in the image", text)
    text = re.sub(r"\s+([.,;:])", r"\1", " ".join(text.split())).strip(" ,;:")
    if not re.search(r"\w", text) or _GIVE_AWAY.search(text):
        return ""
    text = text[0].upper() + text[1:] if text[:2].islower() else text
    return text if text[-1] in ".!?" else f"{text}."


@cache
def _phrases() -> Mapping[str, Any]:
    text = files("llavamed_data.instruct").joinpath("offline.yaml").read_text(encoding="utf-8")
    phrases: Mapping[str, Any] = yaml.safe_load(text)
    return phrases
