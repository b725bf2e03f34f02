"""Whether a model looks at the image: answers given with the image against answers given without it."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

import numpy as np

from llavamed_data.errors import LlavaMedError
from llavamed_trainer.evaluation.questions import (
    AnswerSet,
    AnswerType,
    ImageMode,
    Prediction,
    PromptForm,
    Question,
)
from llavamed_trainer.evaluation.scoring.baselines import majority_answer
from llavamed_trainer.evaluation.scoring.differences import Difference, paired_differences
from llavamed_trainer.evaluation.scoring.resample import Floats, Resampling
from llavamed_trainer.evaluation.scoring.scores import METRICS, metric_values, values_of_group

QuestionKind: TypeAlias = Literal["closed", "choice", "open"]


@dataclass(frozen=True, slots=True)
class _Measure:
    """What is measured of a kind of question: a metric of the results, and whether it is right or wrong."""

    answer_type: AnswerType
    metric: str
    binary: bool


MEASURES: Mapping[QuestionKind, _Measure] = {
    "closed": _Measure("CLOSED", "closed_word_accuracy", binary=True),
    "choice": _Measure("CHOICE", "choice_accuracy", binary=True),
    "open": _Measure("OPEN", "open_recall", binary=False),
}
"""Kind of question → what is measured."""


@dataclass(frozen=True, slots=True)
class ImageGain:
    """What the image adds to the answers to questions of one kind.

    Attributes:
        metric: the metric, of `MEASURES`.
        with_image, without_image: its mean in percent.
        kept: percent of the answers that are right with the image that are right without it too; of an open question
            the part of its recall that is there without it. None if none is right with the image.
        gain: with the image less without it, in percentage points, with its interval and p value.
        majority_answer: the most frequent right answer of these questions.
        majority: the metric in percent if it were the answer to all.
        always_yes, always_no: the metric in percent of these answers; None for questions that are not closed.
    """

    metric: str
    with_image: float
    without_image: float
    kept: float | None
    gain: Difference
    majority_answer: str
    majority: float
    always_yes: float | None
    always_no: float | None


Gains: TypeAlias = Mapping[QuestionKind, ImageGain]
"""Kind of question → what the image adds; kinds without questions are left out."""


@dataclass(frozen=True, slots=True)
class Looking:
    """What the image adds to a model's answers, asked in one prompt form.

    Attributes:
        benchmark, split, model, prompt_form: whose answers to which questions.
        images: what the model was shown in place of the image.
        questions: number of questions in the split.
        missing: number of questions that were not answered both times; above 0 only if that was allowed.
        overall: over all questions.
        question_types: question type → over its questions; a question of several types counts in each.
        resampling: how the intervals were made.
    """

    benchmark: str
    split: str
    model: str
    prompt_form: PromptForm
    images: ImageMode
    questions: int
    missing: int
    overall: Gains
    question_types: Mapping[str, Gains]
    resampling: Resampling


def shows_looking(first: AnswerSet, second: AnswerSet) -> bool:
    """Whether one set of answers was given with the images and the other without, in either order.

    Raises:
        LlavaMedError: it is so, but the sets are of different models or prompts, which would count as the image.
    """
    if (first.images == "real") == (second.images == "real"):
        return False
    if first.form != second.form:
        raise LlavaMedError(
            f"the answers with {first.images} images were asked in the prompt form {first.form!r} and those with "
            f"{second.images} images in {second.form!r}: predict both with the same --prompt"
        )
    if first.model and second.model and first.model != second.model:
        raise LlavaMedError(
            f"the answers with {first.images} images are of the model {first.model!r} and those with {second.images} "
            f"images of {second.model!r}: predict both with the same --model"
        )
    return True


def image_gains(
    questions: Sequence[Question], seen: Floats, blind: Floats, resampling: Resampling
) -> tuple[Gains, Mapping[str, Gains]]:
    """What the image adds, over all questions and by question type.

    Args:
        questions: the questions.
        seen: the `metric_matrix` of the answers to them that were given with the image.
        blind: that of the answers given without it.
        resampling: how the intervals are made.
    """
    gains = _ImageGains(questions, seen, blind, resampling)
    return gains.over(range(len(questions))), {
        name: found
        for name, rows in values_of_group(questions, "question_type").items()
        if (found := gains.over(rows))
    }


def looking_to_dict(looking: Looking) -> dict[str, Any]:
    """What the image adds, as results files have it under `looking`."""
    return {
        "images": looking.images,
        "questions": looking.questions,
        "missing": looking.missing,
        "partial": looking.missing > 0,
        "overall": {kind: _gain_to_dict(each) for kind, each in looking.overall.items()},
        "question_type": {
            name: {kind: _gain_to_dict(each) for kind, each in gains.items()}
            for name, gains in looking.question_types.items()
        },
    }


class _ImageGains:
    """What the image adds over any of the questions; what one answer to all would score is computed once."""

    def __init__(
        self, questions: Sequence[Question], seen: Floats, blind: Floats, resampling: Resampling
    ) -> None:
        self._questions, self._seen, self._blind = questions, seen, blind
        self._resampling = resampling
        self._columns = {metric.name: column for column, metric in enumerate(METRICS)}
        self._scores = dict[tuple[str, str, str], float]()

    def over(self, rows: Sequence[int]) -> Gains:
        """What the image adds to the questions in these rows."""
        found = dict[QuestionKind, ImageGain]()
        for kind, measure in MEASURES.items():
            of_kind = [row for row in rows if self._questions[row].answer_type == measure.answer_type]
            if of_kind and measure.metric in self._columns:
                found[kind] = self._gain(measure, of_kind)
        return found

    def _gain(self, measure: _Measure, rows: Sequence[int]) -> ImageGain:
        column = self._columns[measure.metric]
        with_image, without = self._seen[rows, column], self._blind[rows, column]
        questions = [self._questions[row] for row in rows]
        majority = majority_answer(questions)
        (gain,) = paired_differences(
            (with_image - without)[:, None],
            [question.image for question in questions],
            self._resampling,
            binary=measure.binary,
        )
        right = float(with_image.sum())
        is_closed = measure.answer_type == "CLOSED"
        return ImageGain(
            metric=measure.metric,
            with_image=100 * float(with_image.mean()),
            without_image=100 * float(without.mean()),
            kept=100 * float(np.minimum(with_image, without).sum()) / right if right else None,
            gain=gain,
            majority_answer=majority,
            majority=self._score_of(majority, questions, measure.metric),
            always_yes=self._score_of("yes", questions, measure.metric) if is_closed else None,
            always_no=self._score_of("no", questions, measure.metric) if is_closed else None,
        )

    def _score_of(self, answer: str, questions: Sequence[Question], metric: str) -> float:
        """The mean of a metric in percent if all questions had one answer."""
        total = 0.0
        for question in questions:
            key = metric, answer, question.reference
            if question.choices or key not in self._scores:  # which letter is right depends on the choices
                asked = Prediction(question, question.text, "plain", answer, "")
                self._scores[key] = metric_values(asked)[metric]
            total += self._scores[key]
        return 100 * total / len(questions)


def _gain_to_dict(gain: ImageGain) -> dict[str, Any]:
    return {
        "metric": gain.metric,
        "with_image": gain.with_image,
        "without_image": gain.without_image,
        "kept": gain.kept,
        "gain": {**asdict(gain.gain.estimate), "p": gain.gain.p, "test": gain.gain.test},
        "majority_answer": gain.majority_answer,
        "majority": gain.majority,
        "always_yes": gain.always_yes,
        "always_no": gain.always_no,
    }
