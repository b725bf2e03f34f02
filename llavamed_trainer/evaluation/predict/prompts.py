"""How a question is asked: as it stands, or with the choices beside it."""

from llavamed_trainer.evaluation.answers import PromptForm
from llavamed_trainer.evaluation.predict.questions import Question

OPTIONS = "Please choose from the following two options: [yes, no]"
"""What the authors put behind every closed question, those included whose answer is neither yes nor no (21 of
VQA-RAD's 272: "Is this a CT or an MRI?"); their answer files show it. Choices made from the answers would tell the
model more than theirs was told."""


def prompt_of(question: Question, form: PromptForm) -> tuple[str, PromptForm]:
    """The text that is sent, and the form that it has: an open question has no options and stays plain.

    >>> closed = Question("1", 0, "Is there a fracture?", "no", None, answer_type="CLOSED")
    >>> prompt_of(closed, "options")[0]
    'Is there a fracture? Please choose from the following two options: [yes, no]'
    """
    if form == "options" and question.answer_type == "CLOSED":
        return f"{question.text} {OPTIONS}", "options"
    return question.text, "plain"
