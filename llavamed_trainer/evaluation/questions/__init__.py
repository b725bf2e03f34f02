"""The questions of a benchmark, the prompts that ask them, and the files that hold a model's answers.

`predict`, `score` and `judge` read all three here, so that they agree on every file.
"""

from llavamed_trainer.evaluation.questions.answers import (
    IMAGE_MODES,
    AnswerFormat,
    AnswerSet,
    ImageMode,
    Prediction,
    Unanswered,
    file_sha256,
    read_answers,
    run_report_path,
    write_answers,
    write_unanswered,
)
from llavamed_trainer.evaluation.questions.choices import in_order, shuffle_choices
from llavamed_trainer.evaluation.questions.prompts import (
    OPTIONS,
    PROMPT_FORMS,
    PromptForm,
    PromptName,
    form_named,
    lettered,
    prompt_of,
)
from llavamed_trainer.evaluation.questions.question_set import (
    AnswerType,
    Question,
    QuestionImages,
    QuestionSet,
    StoredImage,
    load_questions,
)

__all__ = [
    "IMAGE_MODES",
    "OPTIONS",
    "PROMPT_FORMS",
    "AnswerFormat",
    "AnswerSet",
    "AnswerType",
    "ImageMode",
    "Prediction",
    "PromptForm",
    "PromptName",
    "Question",
    "QuestionImages",
    "QuestionSet",
    "StoredImage",
    "Unanswered",
    "file_sha256",
    "form_named",
    "in_order",
    "lettered",
    "load_questions",
    "prompt_of",
    "read_answers",
    "run_report_path",
    "shuffle_choices",
    "write_answers",
    "write_unanswered",
]
