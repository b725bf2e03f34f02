"""Benchmarks for visual question answering, from the files that users have or their copies on the Hub; never trusted.

`open_benchmark` finds the files, `QuestionReader` turns their records into questions and `ChoiceReader` into
multiple-choice questions, `BenchmarkImages` finds the images beside them, and `OriginalTypes` joins the answer types
that a copy lost.
"""

from llavamed_data.sources.benchmarks.choices import ChoiceQuestion, ChoiceReader
from llavamed_data.sources.benchmarks.files import HUB, BenchmarkFiles, open_benchmark
from llavamed_data.sources.benchmarks.questions import (
    ALL_LANGUAGES,
    BenchmarkQuestion,
    OriginalTypes,
    QuestionFilter,
    QuestionReader,
)
from llavamed_data.sources.images import BenchmarkImages

__all__ = [
    "ALL_LANGUAGES",
    "HUB",
    "BenchmarkFiles",
    "BenchmarkImages",
    "BenchmarkQuestion",
    "ChoiceQuestion",
    "ChoiceReader",
    "OriginalTypes",
    "QuestionFilter",
    "QuestionReader",
    "open_benchmark",
]
