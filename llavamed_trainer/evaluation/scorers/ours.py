"""The scorers that are not of another kit: the authors' released code, and our strict metrics."""

from functools import lru_cache

from llavamed_trainer.evaluation.questions import OPTIONS, Prediction
from llavamed_trainer.evaluation.scorers.scorer import AnswerScore, Kit, QuestionKind, RuleMetric, ScoringRule
from llavamed_trainer.evaluation.scoring import METRICS, Metric, final_answer, normalise, read_choice
from llavamed_trainer.evaluation.scoring.normalise import strict_words
from llavamed_trainer.evaluation.scoring.scores import metric_values

_KINDS: dict[str, QuestionKind] = {"OPEN": "open", "CLOSED": "closed", "CHOICE": "choice"}
_RELEASED = frozenset(metric.name for metric in METRICS if metric.released)
_MAIN = frozenset(
    {"open_recall", "closed_accuracy", "open_multiset_recall", "closed_word_accuracy", "choice_accuracy"}
)

_values = lru_cache(maxsize=1)(metric_values)
"""The values of one answer for both rules, which are asked one after the other."""


def _metric(metric: Metric) -> RuleMetric:
    kind = _KINDS.get(metric.family)
    return RuleMetric(
        metric.name,
        f"{metric.family.lower()} {metric.label}" if kind else metric.label,
        is_main=metric.name in _MAIN,
        kinds=(kind,) if kind else ("open", "closed", "choice"),
    )


def _score_as_released(prediction: Prediction) -> AnswerScore | None:
    kind = _KINDS.get(prediction.question.answer_type or "")
    if kind not in ("open", "closed"):
        return None
    values = {name: value for name, value in _values(prediction).items() if name in _RELEASED}
    answer, reference = normalise(prediction.answer), normalise(prediction.question.reference)
    if kind == "open":
        words = answer.split()
        shared = [word for word in dict.fromkeys(reference.split()) if word in words]
        why = (
            f"Of the words of the reference {reference!r}, the {len(words)} words of the answer have "
            f"{', '.join(shared) or 'none'}."
        )
    elif "yes" not in answer and "no" not in answer:
        why = "The answer contains neither 'yes' nor 'no'."
    else:
        contains = "contains" if values["closed_accuracy"] else "does not contain"
        why = f"The answer contains 'yes' or 'no', and {contains} the reference {reference!r}."
    return AnswerScore(kind, values, answer, why)


def _score_strictly(prediction: Prediction) -> AnswerScore | None:
    kind = _KINDS.get(prediction.question.answer_type or "")
    if kind is None:
        return None
    values = {name: value for name, value in _values(prediction).items() if name not in _RELEASED}
    words = " ".join(strict_words(final_answer(prediction.answer)))
    reference = " ".join(strict_words(prediction.question.reference))
    if kind == "open":
        why = f"The share of the words of the reference {reference!r} that the answer has."
    elif kind == "closed":
        verdict = "means" if values["closed_word_accuracy"] else "does not mean"
        why = f"As a careful reader takes its words, the answer {verdict} {reference!r}."
    else:
        letter = read_choice(prediction.answer, prediction.question.choices)
        named = f"names the choice {letter}" if letter else "names no choice, or several"
        why = f"The answer {named}; {prediction.question.reference} is right."
    return AnswerScore(kind, values, words, why)


AUTHORS = Kit(
    "authors",
    any_set=ScoringRule(
        name="authors",
        kit="LLaVA-Med",
        version="as released",
        source="llava/eval/run_eval.py",
        closed="those that the set calls closed",
        matched=(
            "open: words after normalisation; closed: the answer contains yes or no and contains the reference, also "
            "as parts of words"
        ),
        prompt=f"{OPTIONS!r} behind closed questions",
        prompt_form="options",
        languages="English alone (--language en)",
        metrics=tuple(_metric(metric) for metric in METRICS if metric.released),
        score=_score_as_released,
        slips=(
            "A word that the answer repeats counts as often as it is repeated.",
            "'no' is found in 'abnormal' and 'normal'.",
        ),
    ),
)

STRICT = Kit(
    "strict",
    any_set=ScoringRule(
        name="strict",
        kit="llavamed_trainer",
        version="this version",
        source="llavamed_trainer/evaluation/scoring/",
        closed="those that the set calls closed",
        matched=(
            "whole words of the final answer, without its reasoning, Markdown and the punctuation of any script; yes "
            "and no as a careful reader takes them, also in Chinese; the letter or text of a choice"
        ),
        prompt="any",
        prompt_form="",
        languages="those of --language together",
        metrics=tuple(_metric(metric) for metric in METRICS if not metric.released),
        score=_score_strictly,
    ),
)
