r"""What an answer comes to: models write reasoning, headings and boxes around the words that they mean as their answer.

Reasoning in a model's own marks is left out as everywhere (`llavamed_data.llm.reasoning`). Of the rest, what is marked
as the answer counts: `\boxed{…}`, `<answer>…</answer>`, a heading or a label such as `### Answer`, "Final answer:",
"the answer is" or 答案：, of several the last. A text without any of them counts whole.
"""

import re

from llavamed_data.llm.reasoning import split_reasoning
from llavamed_trainer.evaluation.scoring.normalise import fold_case

_BOXED = re.compile(r"\\boxed\s*\{((?:[^{}]|\{[^{}]*\})*)\}")
_TEX_TEXT = re.compile(r"\\(?:text|textbf|mathrm|mathbf|textit)\s*\{([^{}]*)\}")
_TAGGED = re.compile(r"<answer>(.*?)(?:</answer>|\Z)", re.IGNORECASE | re.DOTALL)
_MARKS = r"[ \t*_#>`]*"


def _label(english: str, chinese: str) -> re.Pattern[str]:
    """A line, a heading or the words of a sentence that announce what is called by these names."""
    return re.compile(
        rf"""
        (?:^|\n){_MARKS}(?:(?:the|my|final|correct|short)\s+){{0,3}}(?:{english}){_MARKS}(?::{_MARKS}|\n)
        | \b(?:{english})(?:\s+to\s+(?:the|this|your)\s+question)?["']?\s*(?::|\bis\b){_MARKS}:?{_MARKS}
        | (?:{chinese})(?:(?:应该|应|應該|應)?[是为為]\s*:?|{_MARKS}(?::|\n)){_MARKS}
        """,
        re.IGNORECASE | re.VERBOSE,
    )


_LABELS = (_label("answer", "答案|回答"), _label("conclusion", "结论|結論"))
"""What announces an answer; a conclusion counts only where nothing is called the answer."""

_REASONS_FOLLOW = re.compile(
    r"\b(?:explanation|reasoning|rationale|justification|reason)\W{0,4}:|(?:解释|解釋|理由|原因)\s*:",
    re.IGNORECASE,
)
_WORDS_OF_LABELS = ("answer", "conclusion", "\\boxed", "答案", "回答", "结论", "結論")


def final_answer(text: str) -> str:
    r"""The part of a text that is its answer; empty if the text ends within the reasoning.

    >>> final_answer("<think>A cyst?</think>\n### Reasoning\nIt is round.\n### Answer\nYes")
    'Yes'
    >>> final_answer("So it is \\boxed{\\text{MRI}}."), final_answer("**Final answer**: no")
    ('MRI', 'no')
    >>> final_answer("Yes, there is.")
    'Yes, there is.'
    """
    text = split_reasoning(text)[1]
    folded = fold_case(text)
    if not any(word in folded for word in _WORDS_OF_LABELS):
        return text
    text = text.replace("：", ":")
    for pattern in (_BOXED, _TAGGED):
        if found := [inner for inner in pattern.findall(text) if inner.strip()]:
            return _TEX_TEXT.sub(r"\1", found[-1]).strip()
    labels = (label for pattern in _LABELS for label in reversed(list(pattern.finditer(text))))
    for label in labels:
        rest = text[label.end() :].strip()
        if re.search(r"\w", rest):
            block = re.split(r"\n\s*\n|\n(?=[ \t]*#)", rest, maxsplit=1)[0]
            meant = _REASONS_FOLLOW.split(block, maxsplit=1)[0]
            return meant if re.search(r"\w", meant) else block
    return text
