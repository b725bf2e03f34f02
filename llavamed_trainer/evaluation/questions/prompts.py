"""The forms in which a question is put to a model.

A further form is a name in `PROMPT_FORMS`, a case in `prompt_of`, and one in `form_of` if files of answers show it
by their prompts alone.
"""

from typing import Literal, TypeAlias

from llavamed_trainer.evaluation.questions.question_set import Question

PromptForm: TypeAlias = Literal["plain", "options"]
"""`plain` asks the question as it stands; `options` lists the choices behind a closed question."""

PROMPT_FORMS: tuple[PromptForm, ...] = ("plain", "options")

OPTIONS = "Please choose from the following two options: [yes, no]"
"""What the authors put behind every closed question, those included whose answer is neither yes nor no (21 of
VQA-RAD's 272: "Is this a CT or an MRI?"); their answer files show it. Choices made from the answers would tell the
model more than theirs was told."""


def prompt_of(question: Question, form: PromptForm) -> tuple[str, PromptForm]:
    """The text of the prompt, and the form that it has: only a closed question has options, others stay plain.

    >>> closed = Question("1", "Is there a fracture?", "no", answer_type="CLOSED")
    >>> prompt_of(closed, "options")[0]
    'Is there a fracture? Please choose from the following two options: [yes, no]'
    """
    if form == "options" and question.answer_type == "CLOSED":
        return f"{question.text} {OPTIONS}", "options"
    return question.text, "plain"


def form_of(prompt: str, question: Question) -> PromptForm | None:
    """The form of a prompt that was found in a file; None if it does not ask this question.

    Args:
        prompt: the text in one line, as `without_image` gives it.
        question: the question that it should ask. Any list in square brackets behind it counts as options.
    """
    text = without_image(question.text)
    if prompt == text:
        return "plain"
    return "options" if prompt.startswith(f"{text} ") and prompt.endswith("]") else None


def without_image(text: str) -> str:
    """The text in one line, single blanks between its words, without the `<image>` markers of the released files."""
    return " ".join(text.replace("<image>", " ").split())
