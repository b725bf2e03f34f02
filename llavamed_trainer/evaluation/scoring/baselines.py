"""Answers that need no model: what a score has to be above before it says anything."""

from collections import Counter
from collections.abc import Sequence

from llavamed_trainer.evaluation.questions import Question
from llavamed_trainer.evaluation.scoring.normalise import strict_words


def majority_answer(questions: Sequence[Question]) -> str:
    """The most frequent right answer of questions, the first of those that are equally frequent.

    It is taken from the answers that are scored, so a model that was given none of them cannot know it for sure.

    >>> majority_answer([Question("1", "Left?", "Yes"), Question("2", "?", "no"), Question("3", "?", "yes.")])
    'Yes'

    Raises:
        ValueError: there are no questions.
    """
    words = [" ".join(strict_words(question.reference)) for question in questions]
    most = Counter(words).most_common(1)
    if not most:
        raise ValueError("there are no questions")
    return questions[words.index(most[0][0])].reference
