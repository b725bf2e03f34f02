"""What each scorer made of single answers, and why."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from llavamed_data.errors import UsageError
from llavamed_trainer.evaluation.questions import Prediction, read_answers
from llavamed_trainer.evaluation.scorers.choose import choose_rules, scorer_names
from llavamed_trainer.evaluation.scorers.scorer import AnswerScore
from llavamed_trainer.evaluation.scoring.scores import load_questions_to_score


@dataclass(frozen=True, slots=True)
class ExplainedScore:
    """What one scorer made of an answer.

    Attributes:
        scorer: the scorer, as it was asked for.
        score: what it made of the answer; None if it has no score for it.
        unscored: why it has none; empty if it has.
    """

    scorer: str
    score: AnswerScore | None
    unscored: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """One answer in one prompt form, and what each scorer made of it."""

    prediction: Prediction
    scores: tuple[ExplainedScore, ...]


def explain_answers(
    predictions: Path,
    benchmark: str,
    ids: Sequence[str],
    scorers: Iterable[str] = (),
    *,
    split: str = "test",
    language: str = "en",
    partial: bool = False,
) -> list[Explanation]:
    """Explains the scores of the answers to some questions: one explanation for each prompt form of each question.

    Args:
        predictions: file of answers, ours or the released code's.
        benchmark: as of `score_as`.
        ids: ids of the questions, in the order in which to explain them.
        scorers: names of scorers, as `score_as` takes them.
        split: split of the dataset.
        language: which questions count: `en`, `zh` or `all`.
        partial: allow questions without an answer.

    Raises:
        UsageError: the benchmark has no question of that id, or it has no answer.
        LlavaMedError: as `score_as`.
    """
    names = scorer_names(scorers)
    questions = load_questions_to_score(benchmark, split, language)
    known = [question.id for question in questions.questions]
    if unknown := [identity for identity in ids if identity not in known]:
        raise UsageError(
            f"{questions.name}, split {questions.split}, has no question {unknown[0]!r}: its ids are such as "
            f"{', '.join(map(repr, known[:3]))}"
        )
    chosen = choose_rules(names, questions.name)
    answered: dict[str, list[Prediction]] = {identity: [] for identity in ids}
    for answers in read_answers(predictions, questions, partial=partial):
        for prediction in answers.predictions:
            # an open question without options counts in both forms, and is explained once
            if prediction.question.id in answered and prediction not in answered[prediction.question.id]:
                answered[prediction.question.id].append(prediction)
    if without := [identity for identity, found in answered.items() if not found]:
        raise UsageError(f"{predictions} has no answer to {without[0]!r}: name a question that it answers")
    return [
        Explanation(prediction, tuple(_explained(prediction, *each) for each in chosen))
        for found in answered.values()
        for prediction in found
    ]


def explanation_to_dict(explanation: Explanation) -> dict[str, Any]:
    """The explanation as `score --json` prints it."""
    prediction = explanation.prediction
    return {
        "id": prediction.question.id,
        "question": prediction.question.text,
        "choices": list(prediction.question.choices),
        "prompt_form": prediction.form,
        "prompt": prediction.prompt,
        "answer": prediction.answer,
        "reference": prediction.question.reference,
        "scorers": {
            each.scorer: asdict(each.score) if each.score else {"unscored": each.unscored}
            for each in explanation.scores
        },
    }


def _explained(prediction: Prediction, name: str, rule: Any, unscored: str) -> ExplainedScore:
    score = rule.score(prediction) if rule else None
    if rule and score is None:
        unscored = "this rule says nothing of such a question"
    return ExplainedScore(name, score, unscored)
