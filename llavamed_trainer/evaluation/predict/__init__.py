"""A model's answers to a benchmark: by `generate` on the devices here, or through any OpenAI-compatible server."""

from llavamed_trainer.evaluation.predict.answer_file import Prediction, Unanswered, write_answers
from llavamed_trainer.evaluation.predict.answers_in import read_answers
from llavamed_trainer.evaluation.predict.options import PredictOptions, PredictReport
from llavamed_trainer.evaluation.predict.prompts import OPTIONS, prompt_of
from llavamed_trainer.evaluation.predict.questions import BENCHMARKS, Benchmark, Question
from llavamed_trainer.evaluation.predict.run import convert, predict

__all__ = [
    "BENCHMARKS",
    "OPTIONS",
    "Benchmark",
    "PredictOptions",
    "PredictReport",
    "Prediction",
    "Question",
    "Unanswered",
    "convert",
    "predict",
    "prompt_of",
    "read_answers",
    "write_answers",
]
