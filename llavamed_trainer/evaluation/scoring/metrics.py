"""One answer against one reference answer: the authors' metrics under their own names, and strict ones beside them."""

import math
import re
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files

import yaml

from llavamed_trainer.evaluation.scoring.closed_answers import says_reference
from llavamed_trainer.evaluation.scoring.final_answer import final_answer
from llavamed_trainer.evaluation.scoring.normalise import normalise, strict_words

_BLEU_ORDERS = (1, 2, 3, 4)
"""Lengths of n-grams. nltk takes the smallest float for the precision of one without a match, not zero."""

_REFUSALS: list[str] = yaml.safe_load(
    files(__package__).joinpath("refusals.yaml").read_text(encoding="utf-8")
)["phrases"]
_REFUSAL = re.compile(rf"\b(?:{'|'.join(map(re.escape, _REFUSALS))})\b")


@dataclass(frozen=True, slots=True)
class OpenScore:
    """The scores of the answer to an open question, each from 0 to 1.

    Attributes:
        recall, precision, f1: as the released code has them: a matched word counts as often as the *answer* repeats
            it.
        exact_match: as the released code has it: distinct reference words in the answer, over its length in words.
        bleu: nltk's sentence BLEU with its defaults.
        multiset_recall: strict: a matched word counts at most as often as the reference has it; words are those of
            `strict_words`, of the `final_answer` alone.
    """

    recall: float
    precision: float
    f1: float
    exact_match: float
    bleu: float
    multiset_recall: float


@dataclass(frozen=True, slots=True)
class ClosedScore:
    """Whether the answer to a closed question is right.

    Attributes:
        accuracy: as the released code has it: normalised, the answer contains "yes" or "no" and contains the
            reference, both as parts of words too ("no" in "abnormal").
        word_accuracy: strict: whether the answer says what the reference says, by the rules of `closed_answers`.
            Reasoning, Markdown, quotes and the punctuation of any script do not count.
    """

    accuracy: bool
    word_accuracy: bool


def score_open(answer: str, reference: str) -> OpenScore:
    """Scores the answer to an open question by its words, normalised and separated by blanks.

    Every score of the authors is 0 if either side has no words or they share none.
    """
    multiset_recall = _multiset_recall(strict_words(final_answer(answer)), strict_words(reference))
    words, reference_words = normalise(answer).split(), normalise(reference).split()
    wanted = Counter(reference_words)
    common = Counter(word for word in words if word in wanted)
    if not common:
        return OpenScore(0.0, 0.0, 0.0, 0.0, 0.0, multiset_recall)
    hits = common.total()
    missed = sum(count for word, count in wanted.items() if word not in common)
    precision, recall = hits / len(words), hits / (hits + missed)
    return OpenScore(
        recall=recall,
        precision=precision,
        f1=2 * precision * recall / (precision + recall),
        exact_match=len(common) / len(words),
        bleu=sentence_bleu(words, reference_words),
        multiset_recall=multiset_recall,
    )


def score_closed(answer: str, reference: str) -> ClosedScore:
    """Scores the answer to a closed question."""
    by_words = says_reference(answer, reference)
    answer, reference = normalise(answer), normalise(reference)
    return ClosedScore(
        accuracy=("yes" in answer or "no" in answer) and reference in answer,
        word_accuracy=by_words,
    )


def is_exact_match(answer: str, reference: str) -> bool:
    """Whether what an answer comes to has the words of the reference in its order and no other, marks aside."""
    wanted = strict_words(reference)
    return bool(wanted) and strict_words(final_answer(answer)) == wanted


def _multiset_recall(words: Sequence[str], reference: Sequence[str]) -> float:
    wanted = Counter(reference)
    found = Counter(word for word in words if word in wanted)
    return (
        sum(min(count, wanted[word]) for word, count in found.items()) / len(reference) if reference else 0.0
    )


def is_refusal(answer: str) -> bool:
    """Whether an answer contains one of the phrases of `refusals.yaml`.

    An empty answer is no refusal: it scores nothing, but it does not decline.
    """
    return _REFUSAL.search(" ".join(answer.lower().replace("’", "'").split())) is not None


def sentence_bleu(words: Sequence[str], reference: Sequence[str]) -> float:
    """BLEU-4 of one sentence as `nltk.translate.bleu_score.sentence_bleu` computes it by default.

    Weights are uniform, nothing is smoothed, and there is one reference.

    Args:
        words: words of the answer.
        reference: words of the reference.

    Returns:
        0 to 1. As in nltk, an answer that shares a word but no longer n-gram with the reference scores not exactly
        zero but less than 1e-76.
    """
    return sentence_bleus(words, reference)[-1]


def sentence_bleus(words: Sequence[str], reference: Sequence[str]) -> tuple[float, ...]:
    """BLEU-1 to BLEU-4 of one sentence, each as `sentence_bleu` has it with as many uniform weights."""
    precision = _ngram_precision(words, reference, 1)
    if precision == 0:
        return (0.0,) * len(_BLEU_ORDERS)
    precisions = [precision, *(_ngram_precision(words, reference, order) for order in _BLEU_ORDERS[1:])]
    logarithms = [math.log(each or sys.float_info.min) for each in precisions]
    brevity_penalty = 1.0 if len(words) > len(reference) else math.exp(1 - len(reference) / len(words))
    return tuple(
        brevity_penalty * math.exp(math.fsum(1 / order * each for each in logarithms[:order]))
        for order in _BLEU_ORDERS
    )


def _ngram_precision(words: Sequence[str], reference: Sequence[str], order: int) -> float:
    """The share of the answer's n-grams that the reference has, each counted at most as often as there."""
    possible = len(words) - order + 1
    if possible < 1 or len(reference) < order:
        return 0.0
    wanted = Counter(_ngrams(reference, order))
    found = Counter(ngram for ngram in _ngrams(words, order) if ngram in wanted)
    return sum(min(count, wanted[ngram]) for ngram, count in found.items()) / possible


def _ngrams(words: Sequence[str], order: int) -> Sequence[object]:
    return words if order == 1 else list(zip(*(words[start:] for start in range(order)), strict=False))
