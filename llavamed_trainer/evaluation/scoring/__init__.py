"""Scores of predictions: the authors' definitions under their own names, strict ones beside them."""

from llavamed_trainer.evaluation.scoring.bleu import sentence_bleu
from llavamed_trainer.evaluation.scoring.comparison import (
    Comparison,
    Difference,
    compare_predictions,
    comparison_to_dict,
)
from llavamed_trainer.evaluation.scoring.metrics import ClosedScore, OpenScore, score_closed, score_open
from llavamed_trainer.evaluation.scoring.normalise import normalise
from llavamed_trainer.evaluation.scoring.refusals import is_refusal
from llavamed_trainer.evaluation.scoring.resample import Resampling, mcnemar_p
from llavamed_trainer.evaluation.scoring.results import write_results
from llavamed_trainer.evaluation.scoring.scores import (
    METRICS,
    Estimate,
    Metric,
    Scores,
    score_predictions,
    scores_to_dict,
)
from llavamed_trainer.evaluation.scoring.truth import BENCHMARKS, Question, Truth, load_truth

__all__ = [
    "BENCHMARKS",
    "METRICS",
    "ClosedScore",
    "Comparison",
    "Difference",
    "Estimate",
    "Metric",
    "OpenScore",
    "Question",
    "Resampling",
    "Scores",
    "Truth",
    "compare_predictions",
    "comparison_to_dict",
    "is_refusal",
    "load_truth",
    "mcnemar_p",
    "normalise",
    "score_closed",
    "score_open",
    "score_predictions",
    "scores_to_dict",
    "sentence_bleu",
    "write_results",
]
