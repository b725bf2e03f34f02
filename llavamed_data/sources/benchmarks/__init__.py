"""VQA-RAD, SLAKE and PathVQA, from the files that users have or from their copies on the Hub; read, never trusted.

`open_benchmark` finds the files, `QuestionReader` turns their records into questions, `BenchmarkImages` finds the
images beside them, and `OriginalTypes` joins the answer types that a copy lost.
"""

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
    "OriginalTypes",
    "QuestionFilter",
    "QuestionReader",
    "open_benchmark",
]
