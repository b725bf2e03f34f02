"""Multiple-choice questions with their choices in another order, since models prefer some positions."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace

from llavamed_data.dataset.choices import LETTERS
from llavamed_data.errors import LlavaMedError
from llavamed_trainer.evaluation.questions.question_set import Question


def shuffle_choices(question: Question, seed: int) -> Question:
    """The question with its choices in an order that seed and id decide, and the letter of the right one in it.

    A question without choices stays as it is.
    """
    if not question.choices:
        return question

    def rank(place: int) -> bytes:
        return hashlib.blake2b(f"{seed}\n{question.id}\n{place}".encode()).digest()

    places = sorted(range(len(question.choices)), key=rank)
    return in_order(question, [question.choices[place] for place in places])


def in_order(question: Question, choices: Sequence[str]) -> Question:
    """The question as it was asked with its choices in the order `choices`, and the letter of the right one in it.

    Raises:
        LlavaMedError: these are not the choices of the question.
    """
    if not question.choices or sorted(choices) != sorted(question.choices):
        raise LlavaMedError(
            f"the choices of {question.id!r} are stated as {', '.join(choices)[:80]!r} and not in an order of "
            f"{', '.join(question.choices)[:80]!r}"
        )
    right = question.choices[LETTERS.index(question.reference)]
    letter = LETTERS[list(choices).index(right)]
    return replace(question, choices=tuple(choices), reference=letter, shuffled=True)
