"""BLEU of one sentence against one reference, as `nltk.translate.bleu_score.sentence_bleu` has it by default."""

import math
import sys
from collections import Counter
from collections.abc import Sequence

_ORDERS = (1, 2, 3, 4)
_WEIGHT = 0.25
_NOTHING = _WEIGHT * math.log(sys.float_info.min)
"""What an order of n-grams without a match adds: nltk takes the smallest float for its precision, not zero."""


def sentence_bleu(words: Sequence[str], reference: Sequence[str]) -> float:
    """BLEU-4, uniform weights, no smoothing, one reference.

    Args:
        words: of the candidate.
        reference: words of the reference.

    Returns:
        0 to 1. As in nltk, a candidate that shares a word but no longer n-gram with the reference scores not
        exactly zero but less than 1e-76.
    """
    precision = _precision(words, reference, 1)
    if precision == 0:
        return 0.0
    terms = [_WEIGHT * math.log(precision)]
    for order in _ORDERS[1:]:
        precision = _precision(words, reference, order)
        terms.append(_WEIGHT * math.log(precision) if precision else _NOTHING)
    return _brevity(len(words), len(reference)) * math.exp(math.fsum(terms))


def _precision(words: Sequence[str], reference: Sequence[str], order: int) -> float:
    """The share of the candidate's n-grams that the reference has, each counted at most as often as there."""
    possible = len(words) - order + 1
    if possible < 1 or len(reference) < order:
        return 0.0
    wanted = Counter(_ngrams(reference, order))
    had = Counter(ngram for ngram in _ngrams(words, order) if ngram in wanted)
    return sum(min(count, wanted[ngram]) for ngram, count in had.items()) / possible


def _ngrams(words: Sequence[str], order: int) -> Sequence[object]:
    return words if order == 1 else list(zip(*(words[start:] for start in range(order)), strict=False))


def _brevity(length: int, reference: int) -> float:
    return 1.0 if length > reference else math.exp(1 - reference / length)
