"""One prediction against one reference: the authors' metrics under their own names, and strict ones beside them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from llavamed_trainer.evaluation.scoring.bleu import sentence_bleu
from llavamed_trainer.evaluation.scoring.normalise import normalise

_YES_NO = frozenset({"yes", "no"})


@dataclass(frozen=True, slots=True)
class OpenScore:
    """An open question's scores, each 0 to 1.

    Attributes:
        recall, precision, f1: released code: a matched word counts as often as the *prediction* repeats it.
        exact_match: released code: distinct reference words in the prediction, over its length in words.
        bleu: nltk's sentence BLEU with its defaults.
        multiset_recall: a matched word counts at most as often as the reference has it (strict).
    """

    recall: float
    precision: float
    f1: float
    exact_match: float
    bleu: float
    multiset_recall: float


@dataclass(frozen=True, slots=True)
class ClosedScore:
    """Whether a closed question is answered right.

    Attributes:
        accuracy: released code: normalised, the prediction holds "yes" or "no" and holds the reference, both as
            parts of words too ("no" in "abnormal").
        word_accuracy: strict: where the reference is yes or no, the first of these two *words* in the prediction
            is it; else the reference stands in the prediction as whole words.
    """

    accuracy: bool
    word_accuracy: bool


def score_open(prediction: str, reference: str) -> OpenScore:
    """Scores the answer to an open question by its normalised, blank-separated words.

    Every score is 0 where either side has no words or they share none.
    """
    words, wanted = normalise(prediction).split(), normalise(reference).split()
    truth = Counter(wanted)
    common = Counter(word for word in words if word in truth)
    if not common:
        return OpenScore(0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    hits = common.total()
    missed = sum(count for word, count in truth.items() if word not in common)
    precision, recall = hits / len(words), hits / (hits + missed)
    return OpenScore(
        recall=recall,
        precision=precision,
        f1=2 * precision * recall / (precision + recall),
        exact_match=len(common) / len(words),
        bleu=sentence_bleu(words, wanted),
        multiset_recall=sum(min(count, truth[word]) for word, count in common.items()) / len(wanted),
    )


def score_closed(prediction: str, reference: str) -> ClosedScore:
    """Scores the answer to a closed question."""
    answer, truth = normalise(prediction), normalise(reference)
    return ClosedScore(
        accuracy=("yes" in answer or "no" in answer) and truth in answer,
        word_accuracy=_says(answer.split(), truth.split()),
    )


def _says(words: Sequence[str], truth: Sequence[str]) -> bool:
    if not truth:
        return False
    if len(truth) == 1 and truth[0] in _YES_NO:
        return next((word for word in words if word in _YES_NO), None) == truth[0]
    return any(words[start : start + len(truth)] == truth for start in range(len(words)))
