"""How lmms-eval scores answers.

Read from `lmms_eval/tasks/` of the package lmms-eval 0.7.3 (PyPI; github.com/EvolvingLMMs-Lab/lmms-eval). Its only
medical sets that we have are SLAKE, in three forms (English, Chinese, both), and MMMU.
"""

import re
import string

from llavamed_trainer.evaluation.questions import Prediction
from llavamed_trainer.evaluation.scorers.mmmu import is_among, open_candidates, score_mmmu_choice
from llavamed_trainer.evaluation.scorers.scorer import AnswerScore, Kit, RuleMetric, ScoringRule

_KIT, _VERSION = "lmms-eval", "0.7.3"

_BRACKETS = re.compile(r"\([^)]*\)"), re.compile(r"（[^）]*）")
"""One after the other: what is taken away with the first may hide half of a pair of the second."""
_CHINESE_MARKS = "！？｡。＂＃＄％＆＇（）＊＋，－／：；＜＝＞＠［＼］＾＿｀｛｜｝～、《》？【】"
_MARKS = str.maketrans(dict.fromkeys(string.punctuation + _CHINESE_MARKS, " "))
_SAME = {
    **dict.fromkeys(("x ray", "xray"), "xray"),
    **dict.fromkeys(("yes", "yeah", "yep", "true"), "yes"),
    **dict.fromkeys(("no", "nope", "false"), "no"),
    **dict.fromkeys(("是", "是的", "有", "包含", "可以", "能", "会", "正常"), "yes"),
    **dict.fromkeys(("否", "不是", "没有", "无", "不包含", "不能", "不会", "不可以", "不正常", "异常"), "no"),
}
"""Whole answers that count as the same."""


def _normalised(text: str) -> str:
    text = text.strip().lower()
    for pattern in _BRACKETS:
        text = pattern.sub(" ", text)
    text = " ".join(text.translate(_MARKS).split())
    return _SAME.get(text, text)


def _score_slake(prediction: Prediction) -> AnswerScore:
    question = prediction.question
    said, wanted = _normalised(prediction.answer), _normalised(question.reference)
    right = float(said == wanted)
    values = {"accuracy": right, f"accuracy_{question.language}": right}
    why = f"Normalised, the answer {'is' if right else 'is not'} exactly the reference {wanted!r}."
    if question.answer_type == "CHOICE":
        return AnswerScore("choice", values, said, why)
    kind = "closed" if question.answer_type == "CLOSED" else "open"
    if question.answer_type is not None:
        values[f"{kind}_accuracy"] = right
    return AnswerScore("closed" if kind == "closed" else "open", values, said, why)


def _score_mmmu(prediction: Prediction) -> AnswerScore:
    question = prediction.question
    if question.choices:
        return score_mmmu_choice(question, prediction.answer, ("{} ", "{}."))
    right = is_among(open_candidates(prediction.answer), question.reference)
    found = "One" if right else "None"
    why = f"{found} of the ends of its sentences and of its numbers contains {question.reference!r}."
    return AnswerScore("open", {"accuracy": float(right)}, prediction.answer, why)


SLAKE_RULE = ScoringRule(
    name="lmms-eval-slake-rule",
    kit=_KIT,
    version=_VERSION,
    source="lmms_eval/tasks/slake/utils.py",
    closed="those that the set calls closed",
    matched="the whole answer, exactly, after normalisation, in which several words for yes and no count as the same",
    prompt='"Answer the question using a single word or phrase."',
    prompt_form="lmms-eval",
    languages="both together, and each by itself (--language all)",
    metrics=(
        RuleMetric("accuracy", "accuracy", is_main=True),
        RuleMetric("accuracy_en", "accuracy, English (slake_en)", language="en"),
        RuleMetric("accuracy_zh", "accuracy, Chinese (slake_zh)", language="zh"),
        RuleMetric("open_accuracy", "open accuracy", is_main=True, kinds=("open",)),
        RuleMetric("closed_accuracy", "closed accuracy", is_main=True, kinds=("closed",)),
    ),
    score=_score_slake,
    slips=(
        "'正常' (normal) counts as yes and '异常' (abnormal) as no, and what stands in brackets is left out.",
    ),
)

MMMU_RULE = ScoringRule(
    name="lmms-eval-mmmu-rule",
    kit=_KIT,
    version=_VERSION,
    source="lmms_eval/tasks/mmmu/utils.py and lmms_eval/tasks/_task_utils/mmmu_mcq_utils.py",
    closed="none, they are multiple choice or open",
    matched="the last letter in brackets or before a blank or full stop, or in long answers the text of a choice",
    prompt='"Answer with the option\'s letter from the given choices directly."',
    prompt_form="lmms-eval",
    languages="one language",
    metrics=(RuleMetric("accuracy", "accuracy", is_main=True),),
    score=_score_mmmu,
    slips=(
        "Where no letter is found the kit draws one; here the answer counts as its chance of being right.",
        "A letter counts at the end of any word in capitals ('MRA ' is A).",
    ),
)

LMMS_EVAL = Kit(
    "lmms-eval",
    rules={"slake": SLAKE_RULE, "mmmu-medical": MMMU_RULE},
    by_name=(SLAKE_RULE, MMMU_RULE),
)
