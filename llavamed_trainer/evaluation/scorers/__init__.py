"""One file of answers scored as several kits score it, each under its own name, their errors included."""

from llavamed_trainer.evaluation.scorers.choose import (
    DEFAULT_SCORERS,
    KITS,
    RULES,
    ChosenRule,
    choose_rules,
    scorer_names,
)
from llavamed_trainer.evaluation.scorers.comparable import (
    BASELINES,
    ComparableScores,
    ScorerResult,
    comparable_to_dict,
    compare_scorers,
    score_as,
)
from llavamed_trainer.evaluation.scorers.explain import (
    ExplainedScore,
    Explanation,
    explain_answers,
    explanation_to_dict,
)
from llavamed_trainer.evaluation.scorers.scorer import AnswerScore, Kit, QuestionKind, RuleMetric, ScoringRule

__all__ = [
    "BASELINES",
    "DEFAULT_SCORERS",
    "KITS",
    "RULES",
    "AnswerScore",
    "ChosenRule",
    "ComparableScores",
    "ExplainedScore",
    "Explanation",
    "Kit",
    "QuestionKind",
    "RuleMetric",
    "ScorerResult",
    "ScoringRule",
    "choose_rules",
    "comparable_to_dict",
    "compare_scorers",
    "explain_answers",
    "explanation_to_dict",
    "score_as",
    "scorer_names",
]
