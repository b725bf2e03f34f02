"""ROUGE F1 of one answer as the Python package `rouge` 1.0.1 computes it with its defaults.

Both texts are split into sentences at every full stop. N-grams and common subsequences count once, however often a
text has them, and n-grams may run from one sentence into the next.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

_ALMOST_ZERO = 1e-8
"""What the package adds to the denominator of F1, so that equal texts score a little less than 1."""


class RougeScores(NamedTuple):
    """F1 of ROUGE-1, ROUGE-2 and ROUGE-L, each from 0 to 1."""

    rouge1: float
    rouge2: float
    rouge_l: float


def rouge_f1(answer: str, reference: str) -> RougeScores | None:
    """The scores of an answer; None where the package raises an error, because a text has nothing but full stops."""
    answered, wanted = _sentences(answer), _sentences(reference)
    if not answered or not wanted:
        return None
    words = [word for sentence in answered for word in sentence]
    reference_words = [word for sentence in wanted for word in sentence]
    said, asked = set(words), set(reference_words)
    if said.isdisjoint(asked):
        return RougeScores(0.0, 0.0, 0.0)
    pairs = (
        set(pairwise(words)),
        set(pairwise(reference_words)),
    )
    common = {word for one in wanted for other in answered for word in _common_subsequence(one, other)}
    return RougeScores(
        _f1(len(said & asked), len(said), len(asked)),
        _f1(len(pairs[0] & pairs[1]), len(pairs[0]), len(pairs[1])),
        _f1(len(common), len(said), len(asked)),
    )


def _sentences(text: str) -> list[list[str]]:
    """The words of each sentence; one of blanks alone has one empty word, as in the package."""
    return [sentence.split() or [""] for sentence in text.split(".") if sentence]


def _f1(common: int, answered: int, wanted: int) -> float:
    precision = common / answered if answered else 0.0
    recall = common / wanted if wanted else 0.0
    return 2.0 * ((precision * recall) / (precision + recall + _ALMOST_ZERO))


def _common_subsequence(reference: Sequence[str], answer: Sequence[str]) -> set[str]:
    """The words of a longest common subsequence; of several, the one that the package finds.

    Words of the answer that the reference lacks change nothing and are left out first.
    """
    wanted = set(reference)
    words = [word for word in answer if word in wanted]
    if not words:
        return set()
    lengths = [[0] * (len(words) + 1)]
    for word in reference:
        above, row = lengths[-1], [0]
        for column, other in enumerate(words):
            row.append(above[column] + 1 if word == other else max(above[column + 1], row[column]))
        lengths.append(row)
    found, row_at, column = set[str](), len(reference), len(words)
    while row_at and column:
        if reference[row_at - 1] == words[column - 1]:
            found.add(reference[row_at - 1])
            row_at, column = row_at - 1, column - 1
        elif lengths[row_at - 1][column] > lengths[row_at][column - 1]:
            row_at -= 1
        else:
            column -= 1
    return found
