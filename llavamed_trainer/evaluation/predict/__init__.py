"""A model's answers to a benchmark: by `generate` on this machine, or through any OpenAI-compatible server."""

from llavamed_trainer.evaluation.predict.options import PredictOptions, PredictReport, QuestionPrompt
from llavamed_trainer.evaluation.predict.run import convert, default_path, predict

__all__ = [
    "PredictOptions",
    "PredictReport",
    "QuestionPrompt",
    "convert",
    "default_path",
    "predict",
]
