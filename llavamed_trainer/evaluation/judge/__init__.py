"""The chat evaluation of section 5.1: an LLM scores a model's answers beside reference answers."""

from llavamed_trainer.evaluation.judge.chat_judge import (
    AnswerPair,
    ChatJudge,
    ChatVerdict,
    parse_scores,
)
from llavamed_trainer.evaluation.judge.relative_scores import (
    JudgedQuestion,
    PositionBias,
    RelativeScore,
    position_bias,
    relative_scores,
)
from llavamed_trainer.evaluation.judge.run import Judgement, JudgeOptions, judge

__all__ = [
    "AnswerPair",
    "ChatJudge",
    "ChatVerdict",
    "JudgeOptions",
    "JudgedQuestion",
    "Judgement",
    "PositionBias",
    "RelativeScore",
    "judge",
    "parse_scores",
    "position_bias",
    "relative_scores",
]
