"""How MedEvalKit scores answers without its LLM judge, errors included.

Read from `utils/utils.py` and `utils/*/` of github.com/alibaba-damo-academy/MedEvalKit, commit 9b12e3b (2026-02-24).
"""

import difflib
from collections.abc import Sequence
from typing import Any

from llavamed_trainer.evaluation.questions import Prediction
from llavamed_trainer.evaluation.scorers.mmmu import is_among, letters_of, score_mmmu_choice
from llavamed_trainer.evaluation.scorers.rouge import rouge_f1
from llavamed_trainer.evaluation.scorers.scorer import AnswerScore, Kit, RuleMetric, ScoringRule
from llavamed_trainer.evaluation.scoring import sentence_bleus

_KIT, _VERSION = "MedEvalKit", "commit 9b12e3b (2026-02-24), without its judge"
_NONE = "None"
"""What `extract_boxed_content` of the package mathruler returns where nothing is boxed."""

_ANSWER_MARKS = (
    "**answer**:",
    "**answer**",
    "*answer*:",
    "**answer:**",
    "answer is",
    "answer:",
    "答案:",
    "final answer",
    "final answer is",
)
"""Behind the last of each of these, in this order, stands the answer."""

_OPEN_METRICS = (
    RuleMetric("open_exact_match", "open em (exact match)", is_main=True, kinds=("open",)),
    RuleMetric("open_accuracy", "open acc (divided twice)", kinds=("open",), is_divided_again=True),
    RuleMetric("open_bleu1", "open BLEU-1", kinds=("open",)),
    RuleMetric("open_bleu2", "open BLEU-2", kinds=("open",)),
    RuleMetric("open_bleu3", "open BLEU-3", kinds=("open",)),
    RuleMetric("open_bleu4", "open BLEU-4", kinds=("open",)),
    RuleMetric("open_rouge1", "open ROUGE-1", kinds=("open",)),
    RuleMetric("open_rouge2", "open ROUGE-2", kinds=("open",)),
    RuleMetric("open_rouge_l", "open ROUGE-L", kinds=("open",)),
    RuleMetric("open_precision", "open precision (is F1)", kinds=("open",)),
    RuleMetric("open_recall", "open recall (is precision)", kinds=("open",)),
    RuleMetric("open_f1", "open F1 (is recall)", kinds=("open",)),
)
_VQA_METRICS = (
    RuleMetric("accuracy", "accuracy"),
    RuleMetric("closed_accuracy", "closed accuracy", is_main=True, kinds=("closed",)),
    *_OPEN_METRICS,
)
_CHOICE_METRICS = (RuleMetric("accuracy", "accuracy", is_main=True, kinds=("choice",)),)
_ZERO_OPEN = {metric.name: 0.0 for metric in _OPEN_METRICS} | {"accuracy": 0.0}

_OPEN_SLIPS = (
    "The accuracy of open questions is divided by their number twice; 'em' is the share that is right.",
    "Precision, recall and F1 are unpacked in the wrong order: what is called precision is F1, recall is precision, "
    "and F1 is recall.",
    "The kit stops at an answer without words (ROUGE of an empty text, or counts that cannot be unpacked); here it "
    "counts 0. It stops at a sentence of about 1,000 words, too (recursion in ROUGE-L); here that is scored.",
)
_YES_NO_SLIP = (
    "'Yes, abnormal' is wrong: 'no' is looked for in any part of a word, and both must not be there."
)


def _score_vqa(prediction: Prediction) -> AnswerScore:
    """VQA-RAD and PathVQA: a question is closed if its reference is yes or no."""
    answer = _unwrapped(prediction.answer).lower().strip()
    reference = prediction.question.reference.lower().strip()
    return _score_yes_no(answer, reference) if reference in ("yes", "no") else _score_open(answer, reference)


def _score_slake(prediction: Prediction) -> AnswerScore:
    """SLAKE: the set says what is open; a closed answer has to be the reference, whose yes and no have capitals."""
    answer, reference = _unwrapped(prediction.answer), prediction.question.reference
    if prediction.question.answer_type == "OPEN":
        return _score_open(answer, reference)
    if reference in ("yes", "no"):
        return _score_yes_no(answer, reference)
    said, wanted = _behind_marks(answer).replace("\n", "").replace(".", ""), reference.lower()
    right = float(said == wanted)
    why = f"Without full stops the answer {'is' if right else 'is not'} exactly {wanted!r}."
    return AnswerScore("closed", {"accuracy": right, "closed_accuracy": right}, said, why)


def _score_yes_no(answer: str, reference: str) -> AnswerScore:
    said = _behind_marks(answer).replace("\n", "").replace(".", "")
    has_yes, has_no = "yes" in said, "no" in said
    right = float(has_yes != has_no and reference in said)
    if has_yes and has_no:
        why = "The answer contains both 'yes' and 'no', parts of words included, which is always wrong."
    elif has_yes or has_no:
        why = f"The answer contains {'yes' if has_yes else 'no'!r} alone, and the reference is {reference!r}."
    else:
        why = "The answer contains neither 'yes' nor 'no'."
    return AnswerScore("closed", {"accuracy": right, "closed_accuracy": right}, said, why)


def _score_open(answer: str, reference: str) -> AnswerScore:
    reference = reference.lower()
    said = _behind_marks(answer)
    rouge = rouge_f1(said.lower(), reference)
    words, wanted = set(said.lower().split()), set(reference.split())
    if rouge is None or not words or not wanted:
        stops = (
            "ROUGE raises ValueError, because a text is empty"
            if rouge is None
            else "calculate_f1 returns one number where three are unpacked (TypeError)"
        )
        return AnswerScore("open", _ZERO_OPEN, said, "There are no words to compare, so it counts 0.", stops)
    bleus = sentence_bleus(_bleu_words(said), _bleu_words(reference))
    common = len(words & wanted)
    precision, recall = common / len(words), common / len(wanted)
    f1 = 2 * (precision * recall) / (precision + recall) if common else 0.0
    right = float(said == reference)
    values = {
        "accuracy": right,
        "open_exact_match": right,
        "open_accuracy": right,
        "open_bleu1": bleus[0],
        "open_bleu2": bleus[1],
        "open_bleu3": bleus[2],
        "open_bleu4": bleus[3],
        "open_rouge1": rouge.rouge1,
        "open_rouge2": rouge.rouge2,
        "open_rouge_l": rouge.rouge_l,
        "open_precision": f1,
        "open_recall": precision,
        "open_f1": recall,
    }
    why = (
        f"The answer {'is' if right else 'is not'} exactly {reference!r}; {common} of its {len(words)} different words "
        "are in the reference."
    )
    return AnswerScore("open", values, said, why)


def _bleu_words(text: str) -> list[str]:
    return text.lower().replace(".", " .").split(" ")


class _ChoiceRule:
    """Scores multiple choice: by the letter, by the text of a choice, or by the most similar choice.

    Args:
        shown: how the kit writes a choice, from `{letter}` and `{text}`; answers are compared with this.
        takes_tag: whether what stands in `<answer>` tags is taken first.
    """

    def __init__(self, shown: str, *, takes_tag: bool) -> None:
        self.shown, self.takes_tag = shown, takes_tag

    def __call__(self, prediction: Prediction) -> AnswerScore | None:
        question = prediction.question
        if not question.choices:
            return None
        letters = letters_of(question)
        choices = [
            self.shown.format(letter=letter, text=text).lower()
            for letter, text in zip(letters, question.choices, strict=True)
        ]
        lower = [letter.lower() for letter in letters]
        answer = _inside_tag(prediction.answer) if self.takes_tag else prediction.answer
        said = self._reduced(answer, lower)
        first = said.split(".")[0].split(":")[-1]
        wanted = question.reference.strip().lower()
        if first == wanted:
            right, why = True, f"It is the letter {question.reference!r}."
        elif first in lower:
            right = choices[lower.index(first)] == wanted
            why = f"It is the letter {first.upper()!r}, and {question.reference!r} is right."
        elif first in choices:
            right = wanted in lower and first == choices[lower.index(wanted)]
            why = f"It is the text of {letters[choices.index(first)]!r}, and {question.reference!r} is right."
        else:
            nearest = _most_similar(choices, said)
            right = wanted in (lower[nearest], choices[nearest])
            why = (
                f"It is no letter and no choice; the most similar is {letters[nearest]!r}, so this is taken."
            )
        return AnswerScore("choice", {"accuracy": float(right)}, said, why)

    def _reduced(self, answer: str, letters: Sequence[str]) -> str:
        answer = answer.lower()
        parts = answer.split("\n\n")
        if parts[0] in letters:
            answer = parts[0]
        elif (last := parts[-1].split(".")[0]) in letters:
            answer = last
        return _behind_marks(answer).strip().lower().replace("\n", "")


def _score_mmmu(prediction: Prediction) -> AnswerScore:
    question, answer = prediction.question, prediction.answer
    answer = _inside_tag(answer)
    if (boxed := _boxed(answer)) != _NONE:
        answer = boxed
    if not question.choices:
        # each character is compared by itself, because a text is handed over where a list is expected
        right = float(is_among(answer, question.reference))
        why = "The kit compares each character of the answer by itself, so open questions are wrong."
        return AnswerScore("open", {"accuracy": right}, answer, why)
    if "<answer>" in answer:
        answer = _inside_tag(answer)
    elif "\\boxed" in answer:
        answer = _boxed(answer)
    return score_mmmu_choice(question, answer.strip(), (" {} ",))


def _most_similar(choices: Sequence[str], answer: str) -> int:
    """The place of the choice most similar to an answer: the first of several, and the first if none is similar."""
    matcher = difflib.SequenceMatcher(None, "", answer)
    best, highest = 0, 0.0
    for place, choice in enumerate(choices):
        matcher.set_seq1(choice)
        # both are upper bounds of the ratio, and much faster
        if matcher.real_quick_ratio() <= highest or matcher.quick_ratio() <= highest:
            continue
        if (similarity := matcher.ratio()) > highest:
            best, highest = place, similarity
    return best


def _unwrapped(answer: str) -> str:
    """What is boxed, or else what stands in `<answer>` tags, or else the whole answer."""
    boxed = _boxed(answer)
    return boxed if boxed != _NONE else _inside_tag(answer)


def _behind_marks(answer: str) -> str:
    """The answer in lower case, without what stands before the words that announce it."""
    answer = answer.lower()
    answer = _boxed(answer) if "boxed" in answer else _inside_tag(answer)
    for mark in _ANSWER_MARKS:
        if mark in answer:
            answer = answer.rpartition(mark)[2]
    return answer


def _boxed(text: str) -> str:
    r"""What stands in the last `\boxed{…}`, as mathruler 0.1.0 reads it; `None` as text if there is none."""
    start = text.rfind(r"\boxed{")
    if start < 0:
        return _NONE
    content, depth = text[start + len(r"\boxed{") :], 0
    for place, character in enumerate(content):
        depth += (character == "{") - (character == "}")
        if depth < 0:
            return content[:place].strip()
    return _NONE


def _inside_tag(text: str) -> str:
    """What stands in all `<answer>` tags, separated by blanks; the whole text if that is nothing."""
    found, start = list[str](), text.find("<answer>")
    while start >= 0 and (end := text.find("</answer>", start)) >= 0:
        found.append(text[start + len("<answer>") : end])
        start = text.find("<answer>", end)
    return " ".join(found).strip() or text


def _rule(name: str, source: str, **stated: Any) -> ScoringRule:
    """A rule of this kit; what most of its rules share is stated here."""
    return ScoringRule(
        **{
            "name": f"medevalkit-{name}-rule",
            "kit": _KIT,
            "version": _VERSION,
            "source": source,
            "prompt_form": "medevalkit",
            "languages": "one language",
        }
        | stated
    )


def _choice_rule(name: str, source: str, shown: str, *, takes_tag: bool, more: str = "") -> ScoringRule:
    return _rule(
        name,
        f"{source} and utils/utils.py (judge_multi_choice)",
        closed="none, all are multiple choice",
        matched=(
            f"the letter, or the choice as the kit writes it ({shown.format(letter='A', text='text')!r}), or the most "
            f"similar choice{more}"
        ),
        prompt='"Answer with the option\'s letter from the given choices directly."',
        metrics=_CHOICE_METRICS,
        score=_ChoiceRule(shown, takes_tag=takes_tag),
        slips=(
            "An answer that names no choice counts as the most similar one, an empty answer as A.",
            "'(B)' is not read as a letter.",
        ),
    )


_OPEN_PROMPT = '"Please answer the question concisely." for open questions'

VQA_RULE = _rule(
    "vqa-rad",
    "utils/VQA_RAD/VQA_RAD.py, utils/PATH_VQA/PATH_VQA.py and utils/utils.py (judge_judgement, judge_open_end_vqa)",
    closed="those whose reference is yes or no, whatever the set says",
    matched="closed: 'yes' or 'no' as part of the answer, not both; open: the whole answer, exactly, in lower case",
    prompt=f"\"Please output 'yes' or 'no'(no extra output).\" for closed questions, {_OPEN_PROMPT}",
    metrics=_VQA_METRICS,
    score=_score_vqa,
    slips=(_YES_NO_SLIP, *_OPEN_SLIPS),
    divides_by=("open", "closed"),
)

SLAKE_RULE = _rule(
    "slake",
    "utils/SLAKE/SLAKE.py and utils/utils.py (judge_close_end_vqa, judge_open_end_vqa)",
    closed="those that the set does not call open",
    matched="the whole answer, exactly, in lower case and for closed questions without full stops",
    prompt=f'"Answer the question using a single word or phrase." for closed questions, {_OPEN_PROMPT}',
    languages="English and Chinese together (--language all)",
    metrics=_VQA_METRICS,
    score=_score_slake,
    slips=(
        "The rule for yes and no asks for references in lower case, which SLAKE's are not ('Yes'), so it is not used.",
        "'The answer is MRI' is wrong, because the blank before MRI stays.",
        *_OPEN_SLIPS,
    ),
    divides_by=("open", "closed"),
)

MMMU_RULE = _rule(
    "mmmu",
    "utils/MMMU/eval_val.py and utils/MMMU/eval_utils.py",
    closed="none, they are multiple choice or open",
    matched="the last letter in brackets or between blanks, or in long answers the text of a choice",
    prompt='"Answer with the option\'s letter from the given choices directly."',
    metrics=(RuleMetric("accuracy", "accuracy", is_main=True),),
    score=_score_mmmu,
    slips=(
        "Where no letter is found the kit draws one; here the answer counts as its chance of being right.",
        "Open questions are compared character by character, so they are wrong.",
        "The kit stops on the test split, because evaluate is called with two arguments and takes one.",
    ),
)

CHOICE_RULE = _choice_rule(
    "choice",
    "utils/MedXpertQA/MedXpertQA.py, utils/OmniMedVQA/OmniMedVQA.py",
    "{letter}. {text}",
    takes_tag=True,
)

MEDEVALKIT = Kit(
    "medevalkit",
    rules={
        "vqa-rad": VQA_RULE,
        "path-vqa": VQA_RULE,
        "slake": SLAKE_RULE,
        "pmc-vqa-2": _choice_rule(
            "pmc-vqa",
            "utils/PMC_VQA/PMC_VQA.py",
            " {letter}:{text} ",
            takes_tag=False,
            more=" (the kit takes the choices as the file has them; the blanks around them differ from row to row)",
        ),
        "medxpertqa-mm": CHOICE_RULE,
        "omni-medvqa": CHOICE_RULE,
        "medframeqa": _choice_rule(
            "medframeqa", "utils/MedFrameQA/MedFrameQA.py", "{letter}.{text}", takes_tag=False
        ),
        "mmmu-medical": MMMU_RULE,
    },
    unscored={"pmc-vqa": "this kit scores version 2 of this set (pmc-vqa-2)"},
    by_name=(VQA_RULE, SLAKE_RULE, CHOICE_RULE, MMMU_RULE),
)
