"""Two files of answers to the same questions, compared question by question."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from llavamed_data.errors import LlavaMedError
from llavamed_trainer.evaluation.questions import (
    AnswerSet,
    ImageMode,
    PromptForm,
    Question,
    QuestionSet,
    read_answers,
)
from llavamed_trainer.evaluation.scoring.differences import Difference, paired_differences
from llavamed_trainer.evaluation.scoring.looking import Looking, image_gains, looking_to_dict, shows_looking
from llavamed_trainer.evaluation.scoring.resample import Floats, Resampling
from llavamed_trainer.evaluation.scoring.scores import (
    METRICS,
    Scores,
    families_with_values,
    load_questions_to_score,
    metric_matrix,
)

_BINARY = frozenset({"CLOSED", "CHOICE", "ALL"})
"""Families whose metrics are right or wrong for each question."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two files of answers to the same questions.

    Attributes:
        benchmark, split: which questions both answered.
        forms: prompt form of the first and of the second.
        models: name of the first and of the second.
        images: what the first was shown, and the second.
        questions: number of questions in the split.
        missing: number of questions that one or both did not answer; above 0 only if that was allowed.
        differences: metric → difference.
        resampling: how the intervals were made.
        looking: what the image adds, where one of both was given with the images and the other without.
    """

    benchmark: str
    split: str
    forms: tuple[PromptForm, PromptForm]
    models: tuple[str, str]
    images: tuple[ImageMode, ImageMode]
    questions: int
    missing: int
    differences: Mapping[str, Difference]
    resampling: Resampling
    looking: Looking | None = None


def compare_predictions(
    first: Path,
    second: Path,
    benchmark: str,
    *,
    split: str = "test",
    language: str = "en",
    partial: bool = False,
    resampling: Resampling | None = None,
) -> list[Comparison]:
    """Compares two files of answers: once for each prompt form that both have.

    Files that have one form each are compared whatever the forms are: that is how plain and options compare. Where one
    file was given with the images and the other without, the comparison says what the image adds, too.

    Raises:
        UsageError, LlavaMedError: as `load_questions_to_score` and `read_answers`; the files have no prompt form, or
            no answered question, in common; one was given with the images and the other without, and they differ in
            their model or prompt form, too.
    """
    questions = load_questions_to_score(benchmark, split, language)
    ours, theirs = (read_answers(path, questions, partial=partial) for path in (first, second))
    if len(ours) == len(theirs) == 1:
        pairs = [(ours[0], theirs[0])]
    else:
        pairs = [(one, other) for one in ours for other in theirs if one.form == other.form]
    if not pairs:
        raise LlavaMedError(
            f"{first} and {second} were asked in different prompt forms: compare files that share one"
        )
    resampling = resampling or Resampling()
    return [_compare(one, other, questions, resampling) for one, other in pairs]


def comparison_to_dict(comparison: Comparison) -> dict[str, Any]:
    """The comparison as `score --json` prints it."""
    return {
        "benchmark": comparison.benchmark,
        "split": comparison.split,
        "models": list(comparison.models),
        "prompt_forms": list(comparison.forms),
        "questions": comparison.questions,
        "missing": comparison.missing,
        "partial": comparison.missing > 0,
        "differences": {
            name: {**asdict(each.estimate), "p": each.p, "test": each.test}
            for name, each in comparison.differences.items()
        },
        **({"images": list(comparison.images)} if set(comparison.images) != {"real"} else {}),
        **({"looking": looking_to_dict(comparison.looking)} if comparison.looking else {}),
    }


def with_looking(scores: Sequence[Scores], comparisons: Sequence[Comparison]) -> list[Scores]:
    """The scores with what the image adds, which results files have under `looking`, where a comparison says it."""
    found = {each.looking.prompt_form: looking_to_dict(each.looking) for each in comparisons if each.looking}
    return [
        replace(each, further={**each.further, "looking": found[each.prompt_form]})
        if each.prompt_form in found
        else each
        for each in scores
    ]


def _compare(
    first: AnswerSet, second: AnswerSet, questions: QuestionSet, resampling: Resampling
) -> Comparison:
    both = {each.question.id for each in first.predictions} & {
        each.question.id for each in second.predictions
    }
    if not both:
        raise LlavaMedError(
            "the two files answer no question in common: compare answers to the same questions"
        )
    looks = shows_looking(first, second)
    kept = [[each for each in answers.predictions if each.question.id in both] for answers in (first, second)]
    matrices = [metric_matrix(predictions) for predictions in kept]
    values = matrices[0] - matrices[1]
    asked = [each.question for each in kept[0]]
    images = [question.image for question in asked]
    differences = dict[str, Difference]()
    for family, columns, rows in families_with_values(values):
        found = paired_differences(
            values[rows][:, columns], [images[row] for row in rows], resampling, binary=family in _BINARY
        )
        differences |= {METRICS[column].name: each for column, each in zip(columns, found, strict=True)}
    return Comparison(
        benchmark=questions.name,
        split=questions.split,
        forms=(first.form, second.form),
        models=(first.model, second.model),
        images=(first.images, second.images),
        questions=len(questions.questions),
        missing=len(questions.questions) - len(both),
        differences={
            metric.name: differences[metric.name] for metric in METRICS if metric.name in differences
        },
        resampling=resampling,
        looking=_looking(first, second, matrices, asked, questions, resampling) if looks else None,
    )


def _looking(
    first: AnswerSet,
    second: AnswerSet,
    matrices: Sequence[Floats],
    asked: Sequence[Question],
    questions: QuestionSet,
    resampling: Resampling,
) -> Looking:
    seen, blind = matrices if first.images == "real" else matrices[::-1]
    overall, question_types = image_gains(asked, seen, blind, resampling)
    return Looking(
        benchmark=questions.name,
        split=questions.split,
        model=first.model or second.model,
        prompt_form=first.form,
        images=second.images if first.images == "real" else first.images,
        questions=len(questions.questions),
        missing=len(questions.questions) - len(asked),
        overall=overall,
        question_types=question_types,
        resampling=resampling,
    )
