"""The chat evaluation of section 5.1: an LLM scores a model's answers beside reference answers."""

from llavamed_trainer.evaluation.judge.relative import Judged, PositionBias, Relative, position_bias, table
from llavamed_trainer.evaluation.judge.run import KIND, Judgement, JudgeOptions, judge
from llavamed_trainer.evaluation.judge.verdicts import ChatJudge, Contest, Verdict, scores_of

__all__ = [
    "KIND",
    "ChatJudge",
    "Contest",
    "JudgeOptions",
    "Judged",
    "Judgement",
    "PositionBias",
    "Relative",
    "Verdict",
    "judge",
    "position_bias",
    "scores_of",
    "table",
]
