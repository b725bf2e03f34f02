"""How VLMEvalKit scores answers without an LLM (`--judge exact_matching`).

Read from `vlmeval/` of github.com/open-compass/VLMEvalKit, commit e8e78f0 (2026-08-18). It has no VQA-RAD and no SLAKE.
"""

import re
from collections.abc import Mapping
from dataclasses import replace

from llavamed_trainer.evaluation.questions import Prediction
from llavamed_trainer.evaluation.scorers.scorer import AnswerScore, Kit, RuleMetric, ScoringRule

_REFUSALS = (
    "Sorry, I can't help with images of people yet.",
    "I can't process this file.",
    "I'm sorry, but without the image provided",
    "Cannot determine the answer",
)
_FAILED = "Failed to obtain answer via API"
_BLANKS = str.maketrans(dict.fromkeys(".()[],:;!*#{}", " "))
_LAST_WORDS = 5
"""A letter counts only if it is among the last words of the answer, one fewer than this."""

_ANSWER_IS = re.compile(r"(?:correct\s+)?answer\s+is\s+\**([ABCD])\**", re.IGNORECASE)
_NO_CHOICE = "Z"
_OTHER = "Other Answers"
"""The second choice that the kit adds to an open question of MMMU, whose reference becomes the first."""


def _score_choice(prediction: Prediction) -> AnswerScore | None:
    question = prediction.question
    if not question.choices:
        return None
    choices = {chr(ord("A") + place): text for place, text in enumerate(question.choices)}
    return _score(prediction.answer, choices, question.reference)


def _score_mmmu(prediction: Prediction) -> AnswerScore:
    question = prediction.question
    if (scored := _score_choice(prediction)) is not None:
        return scored
    right = question.reference if re.fullmatch("[A-Z]", question.reference) else "A"
    return _score(prediction.answer, {"A": question.reference, "B": _OTHER}, right)


def _score(answer: str, choices: Mapping[str, str], right: str) -> AnswerScore:
    letter, how = _letter_in(answer, choices)
    if letter is None:
        letter, how = _choice_in(answer, choices)
    value = float(letter == right)
    why = (
        f"{how}, and {right!r} is right."
        if letter
        else f"{how}; without an LLM, which the kit would ask, it is wrong."
    )
    return AnswerScore("choice", {"accuracy": value}, letter or _NO_CHOICE, why)


def _letter_in(answer: str, choices: Mapping[str, str]) -> tuple[str | None, str]:
    if _FAILED in answer:
        return None, "The answer says that a request failed"
    if any(refusal in answer for refusal in _REFUSALS):
        return _NO_CHOICE, "The answer declines"
    words = answer.translate(_BLANKS).split()
    found = [letter for letter in choices if letter in words]
    if len(found) == 1 and words.index(found[0]) > len(words) - _LAST_WORDS:
        return found[0], f"The only letter among its last words is {found[0]!r}"
    if not found and _NO_CHOICE in words:
        return _NO_CHOICE, f"The answer is {_NO_CHOICE!r}, no choice"
    said = _ANSWER_IS.search(answer)
    if said and (letter := said[1].upper()) in choices:
        return letter, f"Behind 'answer is' stands {said[1]!r}"
    return None, "No letter stands out"


def _choice_in(answer: str, choices: Mapping[str, str]) -> tuple[str | None, str]:
    answer = answer.lower()
    if len(answer) > 2 * sum(map(len, choices.values())):
        return None, "No letter stands out, and the answer is more than twice as long as all choices together"
    found = [letter for letter, text in choices.items() if text.lower() in answer]
    if len(found) == 1:
        return found[0], f"It contains the text of {found[0]!r} alone"
    return None, f"No letter stands out, and it contains the texts of {len(found)} choices"


_SHARED_SLIPS = (
    "'The answer is a fracture' counts as A: one of the letters A to D at the start of the next word is enough.",
    "A capital A among the last words counts as the letter A.",
)
_PROMPT = '"Please select the correct answer from the options above."'
_METRICS = (RuleMetric("accuracy", "accuracy (Overall)", is_main=True),)
_MATCHED = "the only letter among the last four words, or the only choice whose text the answer contains"

CHOICE_RULE = ScoringRule(
    name="vlmevalkit-choice-rule",
    kit="VLMEvalKit",
    version="commit e8e78f0 (2026-08-18), without its judge",
    source="vlmeval/utils/matching_util.py and vlmeval/dataset/utils/multiple_choice.py, by ImageMCQDataset",
    closed="none, all are multiple choice",
    matched=_MATCHED,
    prompt=_PROMPT,
    prompt_form="",
    languages="one language",
    metrics=_METRICS,
    score=_score_choice,
    slips=(*_SHARED_SLIPS, "What cannot be read is given to an LLM (gpt-4o-mini); without one it is wrong."),
)

OMNI_RULE = replace(
    CHOICE_RULE,
    slips=(*CHOICE_RULE.slips, "The kit loads parts 1 to 14 of the 30 of this set (OmniMedVQA.load_data)."),
)

MMMU_RULE = replace(
    CHOICE_RULE,
    name="vlmevalkit-mmmu-rule",
    closed="none; an open question gets two choices, its reference and 'Other Answers'",
    score=_score_mmmu,
)

VLMEVALKIT = Kit(
    "vlmevalkit",
    rules={
        "medxpertqa-mm": CHOICE_RULE,
        "omni-medvqa": OMNI_RULE,
        "pathmmu": CHOICE_RULE,
        "mmmu-medical": MMMU_RULE,
    },
    unscored={
        "path-vqa": (
            "needs an LLM: PathVQA_TEST and PathVQA_VAL (vlmeval/dataset/image_shortqa.py) are judged by one, and with "
            "--judge exact_matching the kit stops with a KeyError"
        )
    },
    by_name=(CHOICE_RULE, MMMU_RULE),
)
