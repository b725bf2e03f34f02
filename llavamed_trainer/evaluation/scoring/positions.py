"""Which positions a model chooses in multiple-choice questions, whatever stands there."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from llavamed_data.dataset.choices import LETTERS
from llavamed_trainer.evaluation.questions import Prediction
from llavamed_trainer.evaluation.scoring.choices import read_choice


@dataclass(frozen=True, slots=True)
class PositionCounts:
    """The answers to multiple-choice questions by the letter under which a choice was shown.

    Attributes:
        chosen: letter → how often it was chosen.
        right: letter → how often the right choice was shown under it.
        unreadable: answers that name no choice.
        shuffled: questions whose choices were shown in an order that was drawn.
        chance: the accuracy of guessing, in percent: the mean of one over the number of choices.
        best_letter: the accuracy of always choosing the letter that is right most often, in percent.
    """

    chosen: Mapping[str, int]
    right: Mapping[str, int]
    unreadable: int
    shuffled: int
    chance: float
    best_letter: float


def count_positions(predictions: Sequence[Prediction]) -> PositionCounts | None:
    """Counts the letters of the answers to multiple-choice questions; None if there are no such questions."""
    asked = [each for each in predictions if each.question.answer_type == "CHOICE"]
    if not asked:
        return None
    read = Counter(read_choice(each.answer, each.question.choices) for each in asked)
    right = Counter(each.question.reference for each in asked)
    letters = LETTERS[: max(len(each.question.choices) for each in asked)]
    return PositionCounts(
        chosen={letter: read[letter] for letter in letters},
        right={letter: right[letter] for letter in letters},
        unreadable=read[None],
        shuffled=sum(each.question.shuffled for each in asked),
        chance=100 * sum(1 / len(each.question.choices) for each in asked) / len(asked),
        best_letter=100 * max(right.values()) / len(asked),
    )
