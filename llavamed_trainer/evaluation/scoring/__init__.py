"""Scores of answers: the authors' definitions under their own names, strict ones beside them."""

from llavamed_trainer.evaluation.scoring.baselines import majority_answer
from llavamed_trainer.evaluation.scoring.choices import read_choice
from llavamed_trainer.evaluation.scoring.closed_answers import says_reference, yes_or_no_of
from llavamed_trainer.evaluation.scoring.comparison import (
    Comparison,
    compare_predictions,
    comparison_to_dict,
    with_looking,
)
from llavamed_trainer.evaluation.scoring.differences import Difference
from llavamed_trainer.evaluation.scoring.final_answer import final_answer
from llavamed_trainer.evaluation.scoring.looking import (
    MEASURES,
    ImageGain,
    Looking,
    looking_to_dict,
)
from llavamed_trainer.evaluation.scoring.metrics import (
    ClosedScore,
    OpenScore,
    is_exact_match,
    is_refusal,
    score_closed,
    score_open,
    sentence_bleu,
    sentence_bleus,
)
from llavamed_trainer.evaluation.scoring.normalise import normalise
from llavamed_trainer.evaluation.scoring.positions import PositionCounts, count_positions
from llavamed_trainer.evaluation.scoring.resample import Resampling, mcnemar_p
from llavamed_trainer.evaluation.scoring.scores import (
    METRICS,
    Metric,
    MetricEstimate,
    Scores,
    score_predictions,
    scores_to_dict,
    write_scores,
)

__all__ = [
    "MEASURES",
    "METRICS",
    "ClosedScore",
    "Comparison",
    "Difference",
    "ImageGain",
    "Looking",
    "Metric",
    "MetricEstimate",
    "OpenScore",
    "PositionCounts",
    "Resampling",
    "Scores",
    "compare_predictions",
    "comparison_to_dict",
    "count_positions",
    "final_answer",
    "is_exact_match",
    "is_refusal",
    "looking_to_dict",
    "majority_answer",
    "mcnemar_p",
    "normalise",
    "read_choice",
    "says_reference",
    "score_closed",
    "score_open",
    "score_predictions",
    "scores_to_dict",
    "sentence_bleu",
    "sentence_bleus",
    "with_looking",
    "write_scores",
    "yes_or_no_of",
]
