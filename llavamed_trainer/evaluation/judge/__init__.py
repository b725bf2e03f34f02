"""An LLM as the judge of answers: the chat evaluation of section 5.1, and whether short answers mean the same."""

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
from llavamed_trainer.evaluation.judge.run import Judgement, JudgeOptions, estimate_judgement, judge
from llavamed_trainer.evaluation.judge.short_answer_scores import (
    JudgedShortAnswers,
    JudgeScore,
    ShortAnswerOptions,
    ShortAnswerScores,
    estimate_short_answers,
    judge_short_answers,
)
from llavamed_trainer.evaluation.judge.short_answers import ShortAnswerJudge, ShortVerdict, parse_verdict

__all__ = [
    "AnswerPair",
    "ChatJudge",
    "ChatVerdict",
    "JudgeOptions",
    "JudgeScore",
    "JudgedQuestion",
    "JudgedShortAnswers",
    "Judgement",
    "PositionBias",
    "RelativeScore",
    "ShortAnswerJudge",
    "ShortAnswerOptions",
    "ShortAnswerScores",
    "ShortVerdict",
    "estimate_judgement",
    "estimate_short_answers",
    "judge",
    "judge_short_answers",
    "parse_scores",
    "parse_verdict",
    "position_bias",
    "relative_scores",
]
