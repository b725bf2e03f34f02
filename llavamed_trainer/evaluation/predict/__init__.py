"""A model's answers to a benchmark: by `generate` on the devices here, or through any OpenAI-compatible server."""

from llavamed_trainer.evaluation.predict.answer_file import Prediction, Unanswered, write_answers
from llavamed_trainer.evaluation.predict.answers_in import read_answers
from llavamed_trainer.evaluation.predict.prompts import FORMS, OPTIONS, PromptForm, prompt_of
from llavamed_trainer.evaluation.predict.questions import BENCHMARKS, Benchmark, Question

__all__ = [
    "BENCHMARKS",
    "FORMS",
    "OPTIONS",
    "Benchmark",
    "Prediction",
    "PromptForm",
    "Question",
    "Unanswered",
    "prompt_of",
    "read_answers",
    "write_answers",
]
